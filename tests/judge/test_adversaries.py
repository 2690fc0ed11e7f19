"""Streams made to fool the verdict, none of which the simulation has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sidecar.judge.counts import Coverage
from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.evidence.mean_bets import MeanBets
from sidecar.judge.evidence.mixtures import threshold
from sidecar.judge.judge import Judge
from sidecar.judge.labels import Label
from sidecar.judge.pair import ControlTimes
from sidecar.judge.repeats import Repeats
from sidecar.judge.report import State
from tests.judge.pairs import MS, SECOND, compared, pair, required, settings

START = 1_700_006_400 * SECOND  # a whole hour
M = 0.01
LIMIT = threshold(0.025)
CALLS = 50.0

Rate = Callable[[np.random.Generator, int], float]


def _alternating(seconds: int) -> Rate:
    return lambda rng, second: 2 * M * (second // seconds % 2)


def _ramp(rng: np.random.Generator, second: int) -> float:
    return 2 * M * (second % 3600) / 3600


def _first_seconds(rng: np.random.Generator, second: int) -> float:
    """All of it in the first second of each ten minutes, as of a job that runs then."""
    return 1.0 if second % 600 < 6 else 0.0


def _heavy(rng: np.random.Generator, second: int) -> float:
    """Minutes of nothing, and now and then one in which everything differs."""
    return 1.0 if (second // 60 * 2_654_435_761) % 100 == 0 else 0.0


ALIKE: dict[str, Rate] = {
    "every other second": _alternating(1),
    "ten seconds in twenty": _alternating(10),
    "five seconds in ten, across the blocks": lambda g, s: 2 * M * ((s + 3) // 5 % 2),
    "a minute in two": _alternating(60),
    "an hour's ramp": _ramp,
    "a job every ten minutes": _first_seconds,
    "whole minutes, one in a hundred": _heavy,
}


@pytest.mark.parametrize("rate", ALIKE.values(), ids=ALIKE)
def test_harm_in_step_with_the_blocks_proves_nothing_at_the_margin(rate: Rate) -> None:
    """The mean is the margin itself, for two hours looked at every minute; five streams."""
    wrong = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        blocks = Blocks(MeanBets(M, 2.0))
        for second in range(2 * 3600):
            k = float(rng.binomial(int(CALLS), rate(rng, second)))
            blocks.add(START + second * SECOND, CALLS, (k, k))
            if second % 60 == 59:
                found = blocks.evidence()
                if max(found.log_pass, found.log_fail) >= LIMIT:
                    wrong += 1
                    break
    assert wrong == 0


def test_a_clock_that_steps_to_and_fro_loses_no_call_and_makes_no_evidence() -> None:
    rng = np.random.default_rng(1)
    blocks = Blocks(MeanBets(M))
    for i in range(4000):
        at = START + (i + int(rng.integers(-120, 120))) * SECOND
        blocks.add(at, 10.0, (0.0, 0.0))
    blocks.advance(START + 5000 * SECOND)
    assert blocks.calls == 40_000
    assert blocks.blocks(60) <= 4240 / 60 + 2
    still = Blocks(MeanBets(M))
    for i in range(4000):
        still.add(START + i * SECOND, 10.0, (0.0, 0.0))
    still.advance(START + 5000 * SECOND)
    assert blocks.evidence().log_pass <= still.evidence().log_pass + 0.2


def test_losses_that_go_with_disagreement_never_pass() -> None:
    """Every call that would disagree, 2 %, ends in a full queue."""
    same = required("disagreement", M)
    chosen = settings(same, independent_calls=False, repeat_seconds=0.0, coverage_floor=0.5)
    judge = Judge(chosen, "pod", 0)
    calls = 0
    for second in range(4 * 3600):
        for i in range(5):
            at = second * SECOND + i * MS
            judge.observe(pair(calls, arrived_ns=at), at)
            calls += 1
        if second % 10 == 9:
            judge.lose({"queue_full": 1}, second * SECOND)
    found = judge.verdict(4 * 3600 * SECOND, Coverage(calls, calls + 1440))
    assert found.state is State.WATCHING, found.reason


@pytest.mark.parametrize("independent", [True, False])
def test_losses_of_agreeing_calls_do_not_fail_a_slice(independent: bool) -> None:
    """In a slice 2 % disagree, as much as may be, and of its others each call is lost."""
    asked = {"independent_calls": independent, "swing": 1, "slices": [{"source": "metadata:c"}]}
    judge = Judge(settings(required("disagreement", 0.02), repeat_seconds=0.0, **asked), "pod", 0)
    for i in range(40_000):
        now, sick = i * SECOND // 5, i % 1000 == 0
        if i % 20 == 0 and not sick:
            judge.lose({"response_too_large": 1}, now)
        else:
            where = (("c", "b" if sick else "a"),)
            judge.observe(pair(i, sick, arrived_ns=now, slices=where), now)
    found = judge.verdict(8000 * SECOND, Coverage(38_040, 40_000))
    assert not any(s.flagged for s in found.slices)
    assert found.state is not State.FAIL


def test_one_input_asked_again_and_again_counts_once_a_second() -> None:
    judge = Judge(settings(required("disagreement", M)), "pod", 0)
    repeats = Repeats(judge.settings.repeats_within)
    for i in range(5000):
        again = repeats.is_repeat("/M", (b"same",), i * MS)
        judge.observe(pair(i, is_repeat=again, arrived_ns=i * MS), i * MS)
    assert judge.verdict(5 * SECOND, Coverage(5000, 5000)).criteria[0].n <= 6


def test_labels_of_small_weight_do_not_hide_harm() -> None:
    right = required("accuracy", 0.05, decision={"threshold": 0.5})
    judge = Judge(settings(right, repeat_seconds=0.0), "pod", 0)
    for i in range(4000):
        worse = i % 10 == 0
        judge.observe(pair(i, worse, values={"score": (0.9, 0.1 if worse else 0.9)}), i)
        if worse:
            judge.label(Label(f"id-{i}", 1, weight=0.01), i)
    found = judge.verdict(10**12, Coverage(4000, 4000))
    assert found.state is not State.PASS, found.reason


def test_slices_of_a_few_calls_each_raise_no_alarm() -> None:
    same = required("disagreement", 0.05)
    flagged = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        chosen = settings(
            same, repeat_seconds=0.0, slices=[{"source": "metadata:user"}], max_slices=64
        )
        judge = Judge(chosen, "pod", 0)
        for i in range(600):
            where = (("user", str(rng.integers(60))),)
            judge.observe(pair(i, bool(rng.random() < 0.05), slices=where), i)
        found = judge.verdict(10**12, Coverage(600, 600))
        flagged += any(s.flagged for s in found.slices)
    assert flagged <= 2


def test_beside_a_control_that_is_broken_nothing_passes_and_it_is_told_what_it_excuses() -> None:
    """Net of a control that differs in half of the calls nearly everything would pass."""
    judge = Judge(
        settings(required("disagreement", 0.05), repeat_seconds=0.0),
        "pod",
        0,
        control_fraction=1.0,
    )
    for i in range(3000):
        judge.observe(
            pair(
                i,
                i % 3 == 0,
                control=compared(i % 2 == 0, models=("m:1", "m:1")),
                control_times=ControlTimes(),
            ),
            i,
        )
    found = judge.verdict(10**12, Coverage(3000, 3000))
    assert any("the control itself differs in 50" in told for told in found.evidence)
    assert found.state is State.INCONCLUSIVE
    assert "the control differs in 50.0% of its own answers, at most 10.0%" in found.reason


def _under_load(r_quiet: float, r_heavy: float, hours: float, seed: int = 0) -> list[State]:
    """One second in twenty has a hundred times the calls: what is said every five minutes."""
    rng = np.random.default_rng(seed)
    judge = Judge(
        settings(
            required("disagreement", 0.05), independent_calls=False, repeat_seconds=0.0, swing=1
        ),
        "pod",
        0,
        unix_offset_ns=START,
    )
    calls, states = 0, []
    for second in range(round(hours * 3600)):
        heavy = rng.random() < 0.05
        for differs in rng.random(rng.poisson(400 if heavy else 4)) < (
            r_heavy if heavy else r_quiet
        ):
            judge.observe(pair(calls, bool(differs), arrived_ns=second * SECOND), second * SECOND)
            calls += 1
        if second % 300 == 299:
            states.append(judge.verdict((second + 1) * SECOND, Coverage(calls, calls)).state)
    return states


def test_a_model_that_errs_only_when_idle_is_judged_by_its_calls() -> None:
    """One call in sixty differs, one in ten of the idle seconds'; the margin is one in twenty."""
    assert State.FAIL not in _under_load(0.1, 0.0, 0.5)


def test_a_model_that_errs_only_when_busy_is_judged_by_its_calls() -> None:
    """Of the seconds 95 % are perfect; 6.3 % of the calls differ, the margin is 5 %."""
    assert State.PASS not in _under_load(0.0, 0.075, 1.25)


def test_a_shadow_that_dies_after_a_pass_has_none_until_it_answers_again() -> None:
    judge = Judge(settings(required("disagreement", 0.05)), "pod", 0)
    for i in range(1000):
        judge.observe(pair(i), i * MS)
    assert judge.verdict(SECOND, Coverage(1000, 1000)).state is State.PASS
    judge.observe(pair(1000), 2 * SECOND)  # one in five thousand
    dead = judge.verdict(2 * SECOND, Coverage(1001, 6001))
    assert (dead.state, "0.0% of the latest calls were compared" in dead.reason) == (
        State.INCONCLUSIVE,
        True,
    )
    assert judge.verdict(3 * SECOND, Coverage(3000, 8000)).state is State.INCONCLUSIVE
    assert judge.verdict(4 * SECOND, Coverage(8000, 13_000)).state is State.PASS


def test_what_is_worse_after_a_pass_fails_it_although_half_of_the_calls_are_lost() -> None:
    judge = Judge(settings(required("disagreement", 0.05)), "pod", 0)
    for i in range(1000):
        judge.observe(pair(i), i * MS)
    assert judge.verdict(SECOND, Coverage(1000, 1000)).state is State.PASS
    for i in range(1000, 1500):
        judge.observe(pair(i, True), i * MS)
    for _ in range(2):
        worse = judge.verdict(2 * SECOND, Coverage(1500, 3000))
        assert {worse.state, worse.criteria[0].state} == {State.FAIL}


@pytest.mark.parametrize("kind", ["accuracy", "recall", "precision", "f1", "mae", "rmse"])
def test_batches_of_which_no_label_can_tell_are_open_where_all_calls_have_labels(kind: str) -> None:
    """Every other call is a batch of 300 rows that the shadow has wrong; the others are right."""
    numbers = kind in {"mae", "rmse"}
    how = {} if numbers else {"decision": {"argmax": True}}
    declared = required(kind, 0.05, outputs="p", labels="sample", **how)
    judge = Judge(settings(declared, repeat_seconds=0.0), "pod", 0)
    for i in range(2000):
        truth = np.arange(300) % 2 if i % 2 else np.array([i // 2 % 2])
        ours = truth.astype(float) if numbers else np.stack([1 - truth, truth], 1).astype(float)
        theirs = (1 - ours) if i % 2 else ours
        judge.observe(pair(i, bool(i % 2), values={"p": (ours, theirs)}), i * MS)
        given = [int(x) for x in truth]
        judge.label(Label(f"id-{i}", given if i % 2 else given[0]), i * MS)
    assert judge.verdict(3 * SECOND, Coverage(2000, 2000)).state is State.WATCHING


def test_calls_that_were_shed_while_busy_are_spoken_for_by_those_that_were_not() -> None:
    """One second in twenty has 12 calls more, which differ; of those one in six is compared."""
    declared = settings(
        required("disagreement", 0.05), independent_calls=False, repeat_seconds=0.0, swing=1
    )
    judge = Judge(declared, "pod", 0, unix_offset_ns=START)
    compared_, all_ = 0, 0
    for second in range(3600):
        busy = second % 20 == 7
        for differs, weight in [(False, 1.0)] * 5 + [(True, 6.0)] * (2 if busy else 0):
            judge.observe(
                pair(compared_, differs, arrived_ns=second * SECOND, weight=weight),
                second * SECOND,
            )
            compared_ += 1
            all_ += round(weight)
    verdict = judge.verdict(3600 * SECOND, Coverage(compared_, all_))
    (found,) = verdict.criteria
    assert verdict.state is not State.PASS
    assert found.estimate == pytest.approx(12 / 112)
    assert found.state is State.FAIL


@pytest.mark.parametrize(("lost", "said"), [(0, State.PASS), (80, State.WATCHING)])
def test_calls_taken_one_by_one_pass_only_if_what_was_lost_may_have_been_worst(
    lost: int, said: State
) -> None:
    """A tenth may be lost by the coverage floor; the margin is one in twenty."""
    judge = Judge(settings(required("disagreement", 0.05)), "pod", 0)
    for i in range(1000):
        judge.observe(pair(i), i * MS)
    judge.lose({"queue_full": lost}, SECOND)
    assert judge.verdict(SECOND, Coverage(1000, 1000 + lost)).state is said
