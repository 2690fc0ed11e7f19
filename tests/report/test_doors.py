"""Whoever is asked, and by whatever way, says the same at the same moment."""

from __future__ import annotations

import pytest

from sidecar.call import SkipReason
from sidecar.judge.report import State
from sidecar.report.build import build
from sidecar.report.live import parts_of, report_of
from sidecar.serve.convert import counts_message, part_of_message
from tests.house import House, told

JUDGE = {
    "min_calls": 100,
    "criteria": [{"name": "same", "kind": "disagreement", "margin": 0.2, "required": True}],
}


def doors(house: House) -> set[tuple[State, str]]:
    """What is said by `gate` and `report`, which pull counts, by `/verdict`, and by the page."""
    now = house.experiment.state()
    messages = [counts_message(part) for part in parts_of(now, house.judged)]
    pulled = build([part_of_message(m, "pod") for m in messages], 1.0).verdict
    own = house.judged.evaluate(now.now_ns)
    page = report_of(now, house.judged).verdict
    return {(v.state, v.reason) for v in (pulled, own, page)}


def agreeing(calls: int) -> House:
    house = House(JUDGE)
    for _ in range(calls):
        house.call(told(1.0))
    return house


def test_before_a_decision() -> None:
    ((state, _),) = doors(agreeing(50))
    assert state is State.WATCHING


@pytest.mark.parametrize("reason", [SkipReason.BREAKER_OPEN, SkipReason.SHED, SkipReason.EXPIRED])
def test_a_shadow_that_dies_after_a_pass_is_promoted_by_nobody(reason: SkipReason) -> None:
    house = agreeing(1_000)
    ((state, _),) = doors(house)
    assert state is State.PASS
    for _ in range(6_000):
        house.ledger.refuse(reason)
    ((state, said),) = doors(house)
    assert state is State.INCONCLUSIVE
    assert "of the latest calls were compared" in said


def test_harm_after_a_pass_is_told_before_the_observer_has_looked_again() -> None:
    house = agreeing(1_000)
    house.judged.evaluate(house.now_ns)
    for _ in range(1_500):
        house.call(told(9.0))
    ((state, _),) = doors(house)  # the counts are pulled first
    assert state is State.FAIL
