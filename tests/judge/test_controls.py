"""What a control differs in is excused, up to a bound: a broken one excuses nothing for PASS."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from sidecar.judge.counts import ALL, CellKey
from sidecar.judge.judge import Judge
from sidecar.judge.pair import ControlTimes
from sidecar.judge.pieces import Cutter, restore
from sidecar.judge.report import State, Verdict
from tests.judge.pairs import MS, compared, judged, pair, required, settings

SAME = ("m:1", "m:1")


class Beside:
    """A judge beside a control that is asked for a share of the calls, whose answers are random."""

    def __init__(self, fraction: float = 1.0, margin: float = 0.05, **given: object) -> None:
        self.fraction = fraction
        self.judge = Judge(
            settings(required("disagreement", margin), **given), "pod", 0, control_fraction=fraction
        )
        self.calls = 0
        self.random = Random(3)

    def serve(self, calls: int, candidate: float, control: float) -> Verdict:
        """So many calls, of which each side's share differs from production."""
        chance = self.random.random
        for _ in range(calls):
            asked = chance() < self.fraction
            self.judge.observe(
                pair(
                    self.calls,
                    chance() < candidate,
                    control=compared(chance() < control, models=SAME) if asked else None,
                    control_times=ControlTimes() if asked else None,
                ),
                self.calls * MS,
            )
            self.calls += 1
        return judged(self.judge, self.calls)


@pytest.mark.parametrize("fraction", [1.0, 0.2])
@pytest.mark.parametrize("broken", [0.35, 1.0])
def test_beside_a_broken_control_a_candidate_that_differs_never_passes(
    fraction: float, broken: float
) -> None:
    beside = Beside(fraction)
    for _ in range(4):
        verdict = beside.serve(1000, 0.33, broken)
        assert verdict.state in {State.WATCHING, State.INCONCLUSIVE}
        passes = verdict.criteria[0].state is State.PASS
        assert passes == ("judge.max_noise" in verdict.reason)
    assert passes or (fraction, broken) == (0.2, 0.35)


@pytest.mark.parametrize("fraction", [1.0, 0.2])
def test_identical_models_with_ordinary_noise_pass_beside_a_healthy_control(
    fraction: float,
) -> None:
    assert Beside(fraction).serve(12_000, 0.02, 0.02).state is State.PASS


def test_a_control_that_never_differs_delays_nothing() -> None:
    beside = Beside(0.01)
    assert beside.serve(2000, 0.0, 0.0).state is State.PASS
    assert beside.judge.cells[CellKey("disagreement", ALL)]["controls"] < 40


def test_what_is_declared_as_noise_is_excused_and_noise_below_the_margin_always_is() -> None:
    assert Beside(max_noise=0.5).serve(8000, 0.3, 0.3).state is State.PASS
    assert Beside(margin=0.3, max_noise=0.0).serve(4000, 0.2, 0.2).state is State.PASS
    tight = Beside(max_noise=0.0).serve(8000, 0.06, 0.06)
    assert (tight.state, "at most 5.0%" in tight.reason) == (State.INCONCLUSIVE, True)


def test_a_few_noisy_answers_are_not_enough_to_excuse_by() -> None:
    judge = Judge(settings(required("disagreement", 0.05)), "pod", 0, control_fraction=0.01)
    for i in range(2000):
        asked = i % 100 == 0
        control = compared(i == 500, models=SAME) if asked else None
        times = ControlTimes() if asked else None
        judge.observe(pair(i, control=control, control_times=times), i * MS)
    verdict = judged(judge, 2000)
    assert verdict.criteria[0].state is State.PASS
    assert (verdict.state, "not shown yet" in verdict.reason) == (State.WATCHING, True)


def test_a_control_that_breaks_after_a_pass_is_seen_in_its_latest_answers() -> None:
    beside = Beside()
    assert beside.serve(4000, 0.0, 0.0).state is State.PASS
    verdict = beside.serve(400, 0.33, 0.5)
    assert verdict.state is State.INCONCLUSIVE
    assert "of its latest answers" in verdict.reason
    assert beside.serve(400, 0.0, 0.0).state is State.PASS


def test_how_much_a_control_differs_is_counted_to_the_call() -> None:
    rng = np.random.default_rng(5)
    criterion = required("disagreement", 0.05)
    judge = Judge(settings(criterion), "pod", 0, control_fraction=0.3)
    answers = differing = 0
    for i in range(500):
        asked, answered, differs = rng.random(3) < (0.3, 0.8, 0.4)
        control = compared(bool(differs), models=SAME) if asked and answered else None
        times = ControlTimes() if asked else None
        judge.observe(pair(i, bool(rng.random() < 0.2), control=control, control_times=times), i)
        answers += bool(control)
        differing += bool(control and differs)
    plan = judge.plans[0]
    found = plan.criterion.noise(plan, judge.cells[CellKey("disagreement", ALL)])
    assert found == pytest.approx((answers, differing))


def test_a_fail_outlives_the_version_that_made_it() -> None:
    """What a later version notes beside decisions is as at its begin."""
    beside = Beside(margin=0.01)
    assert beside.serve(400, 0.5, 0.0).state is State.FAIL
    pieces = Cutter(beside.judge).latches()
    (_, attributes) = pieces["judge/_latches"]["c"]
    del attributes["controls"], attributes["noisy"]
    later = Beside(margin=0.01).judge
    restore(later, pieces, 400 * MS)
    assert later.stands is not None
    assert later.stands[0] is State.FAIL
    assert later.latches.controls == {}
