from __future__ import annotations

from typing import Any

import pytest

from sidecar.call import Direction, SkipReason
from sidecar.experiment.blind import BlindCalls
from sidecar.judge.counts import Coverage
from sidecar.judge.report import State
from sidecar.settings.settings import Settings
from sidecar.wire.records import Kind
from tests.house import House, told


def figures(blind: int) -> dict[str, Any]:
    """Of STATS, the calls that this observer has to answer for and was not shown."""
    return {"session_blind_calls": blind}


def greeting(
    session: int = 1, life: str = "a", unattended: int = 0, **ended: int
) -> dict[str, Any]:
    """A HELLO; `ended` says `_1=5`: session 1 had five calls."""
    had = {number.strip("_"): calls for number, calls in ended.items()}
    return {"life": life, "session": session, "ended": had, "unattended_calls": unattended}


def changed(house: House, **given: Any) -> Settings:
    return Settings.model_validate(house.settings.model_dump() | given)


def coverage(*told_by_wire: int, **given: Any) -> Coverage:
    house = House({}, **given)
    for blind in told_by_wire:
        house.experiment.connections.stats(figures(blind))
    return house.judged.coverage


def test_calls_that_only_the_wire_saw_lower_coverage() -> None:
    house = House({})
    house.experiment.connections.attached(greeting())
    for _ in range(300):
        house.call(told(1.0))
    assert house.judged.coverage == Coverage(300, 300)
    house.experiment.connections.stats(figures(100))
    assert house.judged.coverage == Coverage(300, 400, 100)
    verdict = house.judged.evaluate(house.now_ns)
    assert (verdict.state, verdict.coverage) == (State.INCONCLUSIVE, 0.75)
    assert "(100 were not seen by the observer)" in verdict.reason


def test_of_blind_calls_each_is_counted_once() -> None:
    assert coverage(3, 3, 5) == Coverage(0, 5, 5)


def test_what_came_before_this_observer_is_not_counted() -> None:
    blind = BlindCalls()
    assert blind.attached(greeting(session=7, unattended=1000, _6=50)) == 0


def test_what_a_lost_session_had_and_what_came_until_the_next_is_counted() -> None:
    blind = BlindCalls()
    blind.attached(greeting(session=1))
    for _ in range(10):
        blind.seen()
    assert blind.since_last(figures(4)) == 4
    blind.detached()
    assert blind.unsettled
    assert blind.attached(greeting(session=2, unattended=6, _1=17)) == 17 - (10 + 4) + 6
    assert not blind.unsettled
    assert blind.since_last(figures(1)) == 1
    assert blind.total == 4 + 9 + 1


def test_another_wire_under_the_same_pid_is_another_wire() -> None:
    blind = BlindCalls()
    blind.attached(greeting(session=1))
    blind.since_last(figures(30))
    blind.detached()
    assert blind.attached(greeting(session=2, life="b", unattended=6, _1=500)) == 6
    assert blind.since_last(figures(2)) == 2


def test_a_connection_that_cannot_be_read_is_counted_by_the_wire() -> None:
    house = House({})
    house.experiment.connections.attached(greeting())
    house.experiment.connections.opened(3, {"peer": "10.0.0.1:9", "upstream": "127.0.0.1:1"})
    house.experiment.connections.copied(3, Direction.CLIENT, b"what no client says", 1)
    for _ in range(300):
        house.call(told(1.0))
    verdict = house.judged.evaluate(house.now_ns)
    assert verdict.state is State.WATCHING
    assert verdict.reason.endswith("calls of 1 connections are not counted")
    house.experiment.connections.counted(3, 1)
    house.experiment.connections.out_of_sight(3, Kind.BLIND, "the observer cannot read it")
    assert house.judged.evaluate(house.now_ns).state is State.PASS
    assert house.judged.coverage == Coverage(300, 301, 1)
    assert sum(house.experiment.state().opaque.values()) == 1


def test_no_pass_while_nobody_has_said_what_a_lost_session_had() -> None:
    house = House({})
    house.experiment.connections.attached(greeting())
    for _ in range(300):
        house.call(told(1.0))
    house.experiment.connections.detached()
    assert house.state() is State.WATCHING
    house.experiment.connections.attached(greeting(session=2, _1=0))
    assert house.state() is State.PASS
    # What has passed stays passed until harm is seen: an observer that is away takes nothing back.
    house.experiment.connections.detached()
    assert house.state() is State.PASS


def test_what_a_lost_session_had_counts_by_the_most_that_was_sampled_in_it() -> None:
    house = House({})
    house.experiment.connections.attached(greeting())
    for _ in range(300):
        house.call(told(1.0))
    house.experiment.connections.detached()
    house.experiment.change(changed(house, sample={"fraction": 0.0001}))
    house.experiment.connections.attached(greeting(session=2, unattended=500, _1=5000))
    assert house.judged.coverage == Coverage(300, 5800, 5500)
    assert house.state() is State.INCONCLUSIVE
    # What comes from now on counts by what is sampled now, and so does what this session had.
    house.experiment.connections.stats(figures(10_000))
    house.experiment.connections.detached()
    house.experiment.connections.attached(greeting(session=3, _2=20_000))
    assert house.judged.coverage == Coverage(300, 5802, 5502)


def test_a_blind_call_counts_by_the_chance_that_it_was_to_be_compared() -> None:
    assert coverage(0, 100, fraction=0.25) == Coverage(0, 25, 25)
    house = House({})
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
    for _ in range(30):
        house.call(told(1.0))
        for _ in range(3):
            house.ledger.refuse(SkipReason.RATE_LIMITED)
    house.experiment.connections.stats(figures(100))
    assert house.judged.coverage == Coverage(30, 55, 25)


def test_no_pass_follows_however_many_of_the_followed_calls_agree() -> None:
    house = House({})
    house.experiment.connections.stats(figures(400))
    assert house.state() is State.INCONCLUSIVE
    for _ in range(400):
        house.call(told(1.0))
    assert house.state() is State.INCONCLUSIVE


def test_a_pass_that_waits_for_the_wire_s_count_does_not_come_when_many_were_missed() -> None:
    house = House({})
    house.experiment.connections.attached(greeting())
    house.experiment.connections.opened(3, {"peer": "10.0.0.1:9", "upstream": "127.0.0.1:1"})
    house.experiment.connections.copied(3, Direction.CLIENT, b"what no client says", 1)
    for _ in range(300):
        house.call(told(1.0))
    assert house.state() is State.WATCHING
    house.experiment.connections.counted(3, 10_001)
    assert house.state() is State.INCONCLUSIVE


def test_a_verdict_says_that_most_bytes_could_not_be_read() -> None:
    house = House({})
    house.experiment.connections.attached(greeting())
    passed = {"bytes_from_client_total": 0, "bytes_from_server_total": 0, "opaque_bytes_total": 0}
    house.experiment.connections.stats(passed)
    for _ in range(300):
        house.call(told(1.0))
    passed = {"bytes_from_client_total": 60, "bytes_from_server_total": 40}
    house.experiment.connections.stats(passed | {"opaque_bytes_total": 50})
    assert "bytes" not in house.judged.evaluate(house.now_ns).reason
    house.experiment.connections.stats(passed | {"opaque_bytes_total": 93})
    reason = house.judged.evaluate(house.now_ns).reason
    assert reason.endswith("; 93% of the bytes came on connections that are not HTTP/2 without TLS")


@pytest.mark.parametrize(
    ("observers", "unknown", "missed"), [(1, 0, 190_010), (3, 0, 10), (3, 20, 50)]
)
def test_calls_of_other_observers_sessions_are_theirs(
    observers: int, unknown: int, missed: int
) -> None:
    """Three that ended together: each had counted its own, the wire tells each of all."""
    blind = BlindCalls(observers)
    blind.resume(["a", 1, 500], unknown=unknown)
    assert blind.attached(greeting(4, _1=510, _2=100_000, _3=90_000)) == missed


def test_calls_that_are_counted_late_are_no_busy_moment() -> None:
    blind = BlindCalls()
    blind.attached(greeting())
    blind.most_lately()
    blind.seen(20)
    assert blind.counted(1, 500_000, 0) == 500_000
    assert blind.most_lately() == 2 * 20
