"""After a PASS: what turns bad in one slice is found soon, and nothing pushes it out of sight."""

from __future__ import annotations

from random import Random

import pytest

from sidecar.collect.experiments import Experiment
from sidecar.judge.counts import Coverage, counts_of, total
from sidecar.judge.judge import Judge
from sidecar.judge.report import State, Verdict
from tests.judge.pairs import MS, pair, required, settings

EVERY = 25  # of so many calls one is in slice b: below the margin of all calls
APART_NS = 1000 * MS


class Sliced:
    """A judge of calls a second apart, whose slice b turns bad."""

    def __init__(self, flagged: str = "fail") -> None:
        self.judge = Judge(
            settings(
                required("disagreement", 0.05),
                slices=[{"source": "metadata:c"}],
                flagged=flagged,
                block_seconds=[10, 100],
            ),
            "pod",
            0,
        )
        self.calls = 0
        self.bad = 0
        self.random = Random(5)

    def serve(self, calls: int, bad: float) -> Verdict:
        """So many calls; of those in b a share differs."""
        for _ in range(calls):
            i, self.calls = self.calls, self.calls + 1
            in_b = i % EVERY == 0
            differs = in_b and self.random.random() < bad
            self.bad += differs
            where = (("c", "b" if in_b else "a"),)
            self.judge.observe(
                pair(i, differs, arrived_ns=i * APART_NS, slices=where), i * APART_NS
            )
        coverage = Coverage(self.calls, self.calls)
        return self.judge.verdict(self.calls * APART_NS, coverage)

    def until_told(self, bad: float, most: int) -> Verdict:
        """Calls until it is no PASS any more."""
        for _ in range(most // 500):
            verdict = self.serve(500, bad)
            if verdict.state is not State.PASS:
                break
        return verdict


def test_a_slice_that_turns_bad_is_found_however_long_it_was_good() -> None:
    found = []
    for good in (3_000, 48_000):
        sliced = Sliced()
        assert sliced.serve(good, 0.0).state is State.PASS
        assert sliced.serve(500, 0.0).state is State.PASS
        verdict = sliced.until_told(1.0, 20_000)
        assert verdict.state is State.FAIL
        assert "c=b" in verdict.reason
        assert [s.slice for s in verdict.slices if s.flagged] == ["c=b"]
        assert not sliced.judge.latches.slice_watches, "nothing is watched after a FAIL"
        found.append(sliced.bad)
    assert found[1] < 60, "of its whole life more than 1,900 x 5 % would have to be bad"


def test_a_slice_that_stays_good_is_no_harm() -> None:
    sliced = Sliced()
    for _ in range(30):
        verdict = sliced.serve(500, 0.04)
    assert verdict.state is State.PASS
    assert len(sliced.judge.latches.slice_watches) == 3, "and the others"


@pytest.mark.parametrize(
    ("flagged", "state"), [("hold", State.INCONCLUSIVE), ("report", State.PASS)]
)
def test_where_slices_do_not_fail_a_candidate_they_do_not_after_a_pass(
    flagged: str, state: State
) -> None:
    sliced = Sliced(flagged)
    sliced.serve(20_000, 0.0)
    verdict = sliced.until_told(1.0, 3_000)
    assert verdict.state is state
    assert ("c=b" in verdict.reason) == (flagged == "hold")


def test_a_collector_watches_slices_and_goes_on_after_a_restart() -> None:
    sliced = Sliced()
    plans = sliced.judge.plans
    experiment = Experiment("e", "candidate", "rules", {}, 1)

    def follow() -> tuple[str | None, str | None]:
        coverage = Coverage(sliced.calls, sliced.calls)
        snapshot = sliced.judge.snapshot(sliced.calls * APART_NS, coverage)
        whole = total(counts_of([snapshot]))
        experiment.passes(plans, whole, 0.05, 1.0)
        return experiment.follow(sliced.judge.settings, plans, whole)

    sliced.serve(20_000, 0.0)
    assert follow() == (None, None)
    for _ in range(6):
        sliced.serve(500, 1.0)
        told = follow()
        experiment = Experiment.from_dict("e", experiment.to_dict())
    assert told[0] is None
    assert told[1] is not None
    assert told[1].startswith("disagreement in c=b: passed at ")


@pytest.mark.parametrize("capacity", [2, 8])
def test_a_slice_that_was_found_worse_is_not_pushed_out_by_new_values(capacity: int) -> None:
    chosen = settings(
        required("disagreement", 0.05),
        slices=[{"source": "metadata:c"}],
        flagged="hold",
        max_slices=capacity,
    )
    judge, calls = Judge(chosen, "pod", 0), 0

    def serve(values: list[str]) -> Verdict:
        nonlocal calls
        for value in values:
            differs = value == "be"
            judge.observe(pair(calls, differs, slices=(("c", value),)), calls * MS)
            calls += 1
        return judge.verdict(calls * MS, Coverage(calls, calls))

    verdict = serve((["nl"] * 30 + ["be"]) * 60)
    assert (verdict.state, "c=be" in verdict.reason) == (State.WATCHING, True)
    for i in range(20):
        serve([f"new-{i}-{n}" if n % 4 == 0 else "nl" for n in range(200)])
    verdict = serve(["nl"] * 100)
    assert (verdict.state, "c=be" in verdict.reason) == (State.WATCHING, True)
    assert [s.slice for s in verdict.slices if s.flagged] == ["c=be"]
    assert verdict.criteria[0].state is State.PASS, "it is the slice that forbids a PASS"


def test_what_a_part_does_not_have_any_more_is_told_by_the_figures_of_then() -> None:
    sliced = Sliced("hold")
    sliced.serve(4_000, 1.0)
    judge = sliced.judge
    assert judge.latches.slices
    for key in list(judge.latches.slices):
        del judge.cells[key]
        judge.block_cells.drop(key.slice)
    verdict = sliced.serve(0, 0.0)
    (told,) = [s for s in verdict.slices if s.flagged]
    assert (told.slice, told.n) == ("c=b", 0.0)
    assert told.decided_estimate == 1.0
    assert verdict.state is State.WATCHING


def test_where_every_place_is_taken_by_what_is_worse_newcomers_are_others() -> None:
    chosen = settings(
        required("disagreement", 0.05),
        slices=[{"source": "metadata:c"}],
        flagged="hold",
        max_slices=1,
    )
    judge = Judge(chosen, "pod", 0)
    for i in range(400):
        judge.observe(pair(i, True, slices=(("c", "bad"),)), i * MS)
    judge.verdict(400 * MS, Coverage(400, 400))
    for i in range(400, 800):
        judge.observe(pair(i, slices=(("c", f"{i}"),)), i * MS)
    assert {key.slice for key in judge.cells} == {"", "c=bad", "c=(other)"}
