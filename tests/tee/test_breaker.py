"""The breaker by playbook, and with Hypothesis: no probe's slot is ever lost or given twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.tee.breaker import Breaker, BreakerState
from sidecar.tee.limits import NANOSECONDS
from sidecar.tee.settings import BreakerSettings

CLOSED, OPEN, HALF_OPEN = BreakerState
COOLDOWN = 5 * NANOSECONDS


def breaker(**settings: Any) -> Breaker:
    defaults = {"consecutive_failures": 3, "window_calls": 10, "probes": 2}
    return Breaker(BreakerSettings(**{**defaults, **settings}))


def play(target: Breaker, outcomes: str, now_ns: int = 0) -> None:
    """Admit and report calls one after the other: "f" fails, "s" succeeds."""
    for outcome in outcomes:
        assert target.admit(now_ns)
        if outcome == "f":
            target.failed(target.epoch, now_ns)
        else:
            target.succeeded(target.epoch, now_ns)


def half_open(**settings: Any) -> Breaker:
    """A breaker that has just let its first probe through, at the end of its cool-down."""
    target = breaker(**settings)
    play(target, "fff")
    assert target.admit(COOLDOWN)
    assert target.state is HALF_OPEN
    return target


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("ff", CLOSED),
        ("fff", OPEN),
        ("ffsff", CLOSED),
        ("ffsfff", OPEN),
        ("ffsffsff", CLOSED),  # a ratio of 0.75, and the window is not full
        ("ffsffsffsf", OPEN),  # full, and 0.7
        ("fsfsfsfsfs", OPEN),  # full with a success, at 0.5
        ("fsfsfsfsss", CLOSED),  # full, 0.4
        ("fsfsfsfsssssssssssff", CLOSED),  # the early failures have left the window
    ],
)
def test_it_opens_on_failures_in_a_row_or_their_ratio_over_a_full_window(
    outcomes: str, state: BreakerState
) -> None:
    target = breaker()

    play(target, outcomes)

    assert target.state is state


def test_open_it_admits_nothing_until_it_has_cooled_down() -> None:
    target = breaker()
    play(target, "fff", now_ns=100)

    assert not target.admit(100)
    assert not target.admit(100 + COOLDOWN - 1)
    assert target.would_admit(100 + COOLDOWN)
    assert target.state is OPEN  # asking is not admitting
    assert target.admit(100 + COOLDOWN)
    assert target.state is HALF_OPEN


def test_half_open_it_admits_no_more_than_its_probes() -> None:
    target = half_open()

    assert target.admit(COOLDOWN)
    assert not target.admit(COOLDOWN)


def test_enough_successes_close_it() -> None:
    target = half_open()
    target.succeeded(target.epoch, COOLDOWN)
    assert target.state is HALF_OPEN

    play(target, "s", COOLDOWN)

    assert target.state is CLOSED
    play(target, "ff", COOLDOWN)
    assert target.state is CLOSED  # what was before is forgotten


def test_one_failed_probe_opens_it_again_for_a_whole_cool_down() -> None:
    target = half_open()
    target.failed(target.epoch, COOLDOWN + 9)

    assert target.state is OPEN
    assert not target.admit(2 * COOLDOWN + 8)
    assert target.admit(2 * COOLDOWN + 9)


def test_a_released_probe_gives_its_slot_back() -> None:
    target = half_open(probes=1)
    assert not target.admit(COOLDOWN)

    target.released(target.epoch)

    assert target.state is HALF_OPEN
    assert target.admit(COOLDOWN)


@pytest.mark.parametrize("report", ["succeeded", "failed", "released"])
def test_a_straggler_from_before_changes_nothing(report: str) -> None:
    target = breaker(probes=1)
    assert target.admit(0)
    straggler = target.epoch
    play(target, "fff")
    assert target.admit(COOLDOWN)

    if report == "released":
        target.released(straggler)
    else:
        getattr(target, report)(straggler, COOLDOWN)

    assert target.state is HALF_OPEN
    assert not target.admit(COOLDOWN)  # the one slot is still taken


@given(
    st.integers(1, 4),
    st.lists(
        st.tuples(st.sampled_from("asfr"), st.integers(0, 30), st.integers(0, COOLDOWN)),
        max_size=120,
    ),
)
def test_no_order_of_reports_leaks_a_slot_or_wedges_the_breaker(
    probes: int, script: list[tuple[str, int, int]]
) -> None:
    target, now = breaker(probes=probes), 0
    in_flight: list[int] = []
    for action, which, pause in script:
        now += pause
        if action == "a":
            if target.admit(now):
                in_flight.append(target.epoch)
        elif in_flight:
            epoch = in_flight.pop(which % len(in_flight))
            if action == "s":
                target.succeeded(epoch, now)
            elif action == "f":
                target.failed(epoch, now)
            else:
                target.released(epoch)
        probing = in_flight.count(target.epoch) if target.state is HALF_OPEN else 0
        assert probing <= probes
    for epoch in in_flight:
        target.released(epoch)
    # Whatever happened, with nothing in flight a healthy shadow closes it again.
    now += COOLDOWN
    for _ in range(probes):
        assert target.admit(now)
        target.succeeded(target.epoch, now)
    assert target.state is CLOSED
