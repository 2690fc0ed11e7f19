from __future__ import annotations

from typing import Any

from sidecar.call import SkipReason
from sidecar.judge.counts import Coverage
from sidecar.judge.report import State
from sidecar.settings.settings import Settings
from tests.house import House, told


def figures(blind: int, sessions: int = 1) -> dict[str, Any]:
    return {"blind_calls_total": blind, "tap_sessions": sessions}


def changed(house: House, **given: Any) -> Settings:
    return Settings.model_validate(house.settings.model_dump() | given)


def coverage(*told_by_wire: int, **given: Any) -> Coverage:
    house = House({}, **given)
    for blind in told_by_wire:
        house.experiment.connections.stats(figures(blind))
    return house.judged.coverage


def test_calls_that_only_the_wire_saw_lower_coverage() -> None:
    house = House({})
    house.experiment.connections.stats(figures(7))
    for _ in range(300):
        house.call(told(1.0))
    assert house.judged.coverage == Coverage(300, 300)
    house.experiment.connections.stats(figures(107))
    assert house.judged.coverage == Coverage(300, 400, 100)
    verdict = house.judged.evaluate(house.now_ns)
    assert (verdict.state, verdict.coverage) == (State.INCONCLUSIVE, 0.75)
    assert "(100 came on connections that cannot be followed)" in verdict.reason


def test_what_came_before_this_observer_or_while_it_was_away_is_not_counted() -> None:
    assert coverage(1000) == Coverage(0, 0)
    assert coverage(1000, 1003, 1005) == Coverage(0, 5, 5)
    house = House({})
    house.experiment.connections.stats(figures(10))
    house.experiment.connections.detached()
    house.experiment.connections.stats(figures(500))
    house.experiment.connections.stats(figures(501))
    assert house.judged.coverage == Coverage(0, 1, 1)


def test_a_wire_that_began_anew_takes_nothing_back() -> None:
    assert coverage(10, 30, 2, 3) == Coverage(0, 21, 21)


def test_observers_that_share_a_wire_share_what_it_counted() -> None:
    house = House({})
    house.experiment.connections.stats(figures(0, sessions=2))
    house.experiment.connections.stats(figures(100, sessions=2))
    assert house.judged.coverage == Coverage(0, 50, 50)


def test_a_blind_call_counts_by_the_chance_that_it_was_to_be_compared() -> None:
    assert coverage(0, 100, fraction=0.25) == Coverage(0, 25, 25)
    house = House({})
    house.experiment.connections.stats(figures(0))
    house.experiment.change(changed(house, sample={"fraction": 0.5}))
    house.experiment.connections.stats(figures(100))
    house.experiment.change(changed(house, paused=True))
    house.experiment.connections.stats(figures(200))
    assert house.judged.coverage == Coverage(0, 50, 50)
    house.experiment.change(house.settings)
    house.experiment.end()
    house.experiment.connections.stats(figures(300))
    assert house.judged.coverage == Coverage(0, 50, 50)


def test_calls_over_the_rate_limit_would_not_have_been_compared_either() -> None:
    house = House({})
    house.experiment.connections.stats(figures(0))
    for _ in range(30):
        house.call(told(1.0))
        for _ in range(3):
            house.ledger.refuse(SkipReason.RATE_LIMITED)
    house.experiment.connections.stats(figures(100))
    assert house.judged.coverage == Coverage(30, 55, 25)


def test_no_pass_follows_however_many_of_the_followed_calls_agree() -> None:
    house = House({})
    house.experiment.connections.stats(figures(0))
    house.experiment.connections.stats(figures(400))
    assert house.state() is State.INCONCLUSIVE
    for _ in range(400):
        house.call(told(1.0))
    assert house.state() is State.INCONCLUSIVE
