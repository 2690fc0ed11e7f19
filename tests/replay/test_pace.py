"""When each call is due."""

from __future__ import annotations

import pytest

from sidecar.replay.pace import SpeedError, parse_speed

SECOND = 1_000_000_000


def test_calls_are_due_as_they_came_or_faster() -> None:
    pace = parse_speed("1x")
    assert [pace.due(n, 5 * SECOND + n * SECOND) for n in range(3)] == [0, 1, 2]
    fast = parse_speed("4x")
    assert [fast.due(n, n * SECOND) for n in range(3)] == [0, 0.25, 0.5]


def test_a_call_that_came_out_of_order_is_due_at_once() -> None:
    pace = parse_speed("1x")
    assert pace.due(0, 5 * SECOND) == 0
    assert pace.due(1, 4 * SECOND) == 0


def test_a_rate_counts_calls_and_max_waits_for_nothing() -> None:
    assert [parse_speed("50").due(n, 0) for n in (0, 1, 100)] == [0, 0.02, 2]
    assert parse_speed("max").due(7, 7) is None


@pytest.mark.parametrize("text", ["", "fast", "-1", "0", "0x", "1xx", "nan"])
def test_no_other_speed_is_taken(text: str) -> None:
    with pytest.raises(SpeedError, match="must be max"):
        parse_speed(text)
