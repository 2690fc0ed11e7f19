"""How the share of calls follows the time that there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.tee.pace import FALL, LATE_NS, LEAST, STEP_NS, Pace

LATE = LATE_NS + 1


def test_who_is_late_gets_less_and_says_why() -> None:
    pace = Pace()
    assert not pace.heard(0, 0.0, 0)
    assert pace.heard(LATE, 0.0, 0)
    assert (pace.share, pace.limit) == (FALL, "observer")
    pace = Pace()
    assert pace.heard(0, 1.1, 0)
    assert (pace.share, pace.limit) == (FALL, "shadow")


def test_what_was_lost_counts_as_late_once() -> None:
    pace = Pace()
    pace.lost()
    assert pace.heard(0, 0.0, 0)
    assert (pace.share, pace.limit) == (FALL, "observer")
    assert not pace.heard(0, 0.0, LATE_NS - 1)
    assert pace.heard(0, 0.0, LATE_NS)
    assert pace.share > FALL


def test_a_change_is_waited_for_until_it_can_show() -> None:
    pace = Pace()
    assert pace.heard(3 * LATE, 0.0, 0)
    assert not pace.heard(3 * LATE, 0.0, 3 * LATE - 1)  # copied before the wire heard of it
    assert pace.heard(3 * LATE, 0.0, 3 * LATE)
    assert pace.share == FALL * FALL


def test_it_recovers_to_everything() -> None:
    pace, now = Pace(), 0
    pace.heard(LATE, 0.0, now)
    for _ in range(100):
        now += LATE
        pace.heard(0, 0.0, now)
    assert (pace.share, pace.limit) == (1.0, "")
    assert not pace.heard(0, 0.0, now + LATE)


def test_time_in_which_nothing_was_heard_counts() -> None:
    often, rarely = Pace(), Pace()
    for fallen in range(20):
        often.heard(LATE, 0.0, fallen * LATE)
        rarely.heard(LATE, 0.0, fallen * LATE)
    now = 20 * LATE
    for _ in range(10):
        now += STEP_NS
        often.heard(0, 0.0, now)
    rarely.heard(0, 0.0, now)
    assert 5 * LEAST < often.share < 1
    assert rarely.share == pytest.approx(often.share, rel=0.5)


def test_in_between_it_stays() -> None:
    pace = Pace()
    pace.heard(LATE, 0.0, 0)
    for pressure, late_ns in ((0.5, 0), (0.0, LATE_NS // 2)):
        assert not pace.heard(late_ns, pressure, 10 * LATE)


@given(st.lists(st.tuples(st.integers(0, 10 * LATE_NS), st.floats(0, 3), st.integers(0, 1 << 40))))
def test_the_share_is_never_nothing_and_never_more_than_all(
    heard: list[tuple[int, float, int]],
) -> None:
    pace, now = Pace(), 0
    for late_ns, pressure, passed in heard:
        now += passed
        before = pace.share
        assert pace.heard(late_ns, pressure, now) == (pace.share != before)
        assert LEAST <= pace.share <= 1
        assert (pace.limit == "") == (pace.share == 1)
