"""When a decision will come: as it then does, with its uncertainty, and nothing where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from sidecar.judge.counts import Coverage, counts_of, total
from sidecar.judge.forecast import Forecast, forecasts, overall
from sidecar.judge.judge import Judge
from sidecar.judge.labels import Label
from sidecar.judge.report import State, Verdict
from sidecar.judge.verdict import plans_of
from tests.judge.pairs import SECOND, pair, required, settings

RATE = 10
FEW = 4
SAME = required("disagreement", 0.05)
CHOSEN = settings(
    SAME, independent_calls=False, repeat_seconds=0.0, swing=1, min_blocks=10, slices=()
)


def _told(judge: Judge, now: int, calls: int) -> tuple[Verdict, tuple[Forecast, ...]]:
    coverage = Coverage(calls, calls)
    verdict = judge.verdict(now, coverage)
    whole = total(counts_of([judge.snapshot(now, coverage)]))
    return verdict, forecasts(CHOSEN, plans_of(CHOSEN), whole, verdict)


@pytest.mark.parametrize(("rate", "state"), [(0.01, State.PASS), (0.1, State.FAIL)])
def test_what_is_foretold_comes_when_it_was_foretold(rate: float, state: State) -> None:
    took, said = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        judge = Judge(CHOSEN, "pod", 0)
        for i in range(2 * 3600 * RATE):
            now = i * SECOND // RATE
            judge.observe(pair(i, bool(rng.random() < rate), arrived_ns=now), now)
            if i % (20 * RATE) == 0:
                verdict, found = _told(judge, now, i + 1)
                if verdict.state is state:
                    took.append(now / SECOND)
                    break
                if now == 100 * SECOND:
                    one = overall(found, verdict)
                    assert one is not None
                    assert one.verdict == state
                    assert one.seconds is not None
                    assert one.calls == pytest.approx(one.seconds * RATE, rel=0.02)
                    assert (one.soonest_seconds or 0) <= one.seconds
                    assert one.effect_low < one.effect < one.effect_high
                    said.append(100 + one.seconds)
    assert len(took) == len(said) == 4
    assert np.median(said) == pytest.approx(np.median(took), rel=0.5)


@pytest.mark.parametrize("kind", ["precision", "f1"])
@pytest.mark.parametrize(("flips", "state"), [(0.06, State.PASS), (0.22, State.FAIL)])
def test_of_a_ratio_by_labels_too(kind: str, flips: float, state: State) -> None:
    """The shadow says the opposite in a share of the calls; production is right in nine of ten."""
    criterion = required(kind, 0.1, labels="sample", decision={"threshold": 0.5})
    declared = settings(
        criterion, independent_calls=False, repeat_seconds=0.0, swing=1, min_blocks=10, slices=()
    )
    took: list[float] = []
    said: list[float] = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        judge = Judge(declared, "pod", 0)
        for i in range(3600 * FEW):
            now = i * SECOND // FEW
            truth = i % 2
            ours = truth if rng.random() < 0.9 else 1 - truth
            theirs = 1 - ours if rng.random() < flips else ours
            values = {"score": (0.9 if ours else 0.1, 0.9 if theirs else 0.1)}
            judge.observe(pair(i, values=values, arrived_ns=now), now)
            judge.label(Label(f"id-{i}", truth), now)
            if i % (60 * FEW) == 0:
                coverage = Coverage(i + 1, i + 1)
                verdict = judge.verdict(now, coverage)
                if verdict.state is state:
                    took.append(now / SECOND)
                    break
                if now >= 120 * SECOND and len(said) == seed:
                    whole = total(counts_of([judge.snapshot(now, coverage)]))
                    found = forecasts(declared, plans_of(declared), whole, verdict)
                    if not found:
                        continue  # too few blocks yet
                    (one,) = found
                    assert one.verdict == state
                    assert one.seconds is not None
                    assert (one.soonest_seconds or 0) <= one.seconds
                    assert one.effect_low < one.effect < one.effect_high
                    assert (one.effect < 0.1) is (state is State.PASS)
                    said.append(now / SECOND + one.seconds)
    assert len(took) == len(said) == 3
    assert np.median(said) == pytest.approx(np.median(took), rel=0.5)


def test_at_the_margin_nothing_is_foretold_but_that_it_may_be_either() -> None:
    judge = Judge(CHOSEN, "pod", 0)
    calls = 300 * RATE
    for i in range(calls):
        now = i * SECOND // RATE
        judge.observe(pair(i, i % 20 == 0, arrived_ns=now), now)
    verdict, (found,) = _told(judge, 300 * SECOND, calls)
    assert found.may_be_either
    assert found.latest_seconds is None or found.verdict == ""
    assert overall([], verdict) is None


def test_nothing_is_foretold_of_what_is_decided_or_was_hardly_seen() -> None:
    judge = Judge(CHOSEN, "pod", 0)
    assert _told(judge, SECOND, 0)[1] == ()
    for i in range(20):
        judge.observe(pair(i, arrived_ns=i * SECOND // RATE), i * SECOND // RATE)
    assert _told(judge, 2 * SECOND, 20)[1] == ()
    for i in range(20, 3000):
        judge.observe(pair(i, True, arrived_ns=i * SECOND // RATE), i * SECOND // RATE)
    verdict, found = _told(judge, 300 * SECOND, 3000)
    assert verdict.state is State.FAIL
    assert found == ()
