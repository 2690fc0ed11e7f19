"""The token buckets: what is let through, and never more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.tee.limits import NANOSECONDS, RateLimit, TokenBucket
from sidecar.tee.settings import RateSettings

SECOND = NANOSECONDS
steps = st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(0, 400)), max_size=60)


@given(st.floats(0.01, 1000), st.integers(1, 500), steps)
def test_no_window_of_time_sees_more_than_rate_and_burst_allow(
    rate: float, burst: int, script: list[tuple[int, int]]
) -> None:
    bucket, now = TokenBucket(rate, burst), 7
    taken: list[tuple[int, int]] = []
    for pause, n in script:
        now += pause
        if bucket.take(n, now):
            taken.append((now, n))
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            span = (taken[last][0] - taken[first][0]) / SECOND
            amount = sum(n for _, n in taken[first : last + 1])
            # One request may overshoot, when it is larger than the bucket.
            overshoot = max(0, max(n for _, n in taken[first : last + 1]) - burst)
            assert amount <= (rate * span + burst + overshoot) * (1 + 1e-9)


@given(st.floats(0.01, 1000), st.floats(1, 1000), st.integers(0, 10**6))
def test_a_full_bucket_lets_any_request_pass(rate: float, burst: float, n: int) -> None:
    assert TokenBucket(rate, burst).take(n, 0)


def test_it_starts_full_and_refills_at_its_rate() -> None:
    bucket = TokenBucket(rate=2, burst=3)

    assert [bucket.take(1, 0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(1, SECOND // 2 - 1)
    assert bucket.take(1, SECOND // 2)
    assert [bucket.take(1, 100 * SECOND) for _ in range(4)] == [True, True, True, False]


def test_a_debt_is_paid_before_anything_else_passes() -> None:
    bucket = TokenBucket(rate=10, burst=10)

    assert bucket.take(30, 0)
    assert not bucket.take(1, 2 * SECOND)
    assert not bucket.take(30, 3 * SECOND - 1)
    assert bucket.take(30, 3 * SECOND)


def test_a_clock_that_steps_back_gives_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=1)

    assert bucket.take(1, 10 * SECOND)
    assert not bucket.take(1, 5 * SECOND)
    assert not bucket.take(1, 10 * SECOND)
    assert bucket.take(1, 11 * SECOND)


def test_neither_limit_is_charged_when_the_other_refuses() -> None:
    by_calls = RateLimit(RateSettings(calls_per_second=1, bytes_per_second=100))
    assert by_calls.take(10, 0)
    assert not by_calls.take(90, 0)  # no call left; the 90 bytes stay
    assert by_calls.take(100, SECOND)

    by_bytes = RateLimit(RateSettings(calls_per_second=2, bytes_per_second=100))
    assert by_bytes.take(100, 0)
    assert not by_bytes.take(50, 0)  # no byte left; the call stays
    assert by_bytes.take(50, SECOND)
    assert by_bytes.take(50, SECOND)


def test_asking_charges_nothing() -> None:
    limit = RateLimit(RateSettings(calls_per_second=1))

    assert all(limit.has_room(1, 0) for _ in range(5))
    assert limit.take(1, 0)
    assert not limit.has_room(1, 0)


def test_less_than_a_call_a_second_still_lets_one_through() -> None:
    limit = RateLimit(RateSettings(calls_per_second=0.25))

    assert limit.take(1, 0)
    assert not limit.take(1, 3 * SECOND)
    assert limit.take(1, 4 * SECOND)


@given(st.lists(st.integers(0, 10**9)))
def test_no_limit_lets_everything_through(sizes: list[int]) -> None:
    limit = RateLimit(RateSettings())

    assert all(limit.take(size, 0) for size in sizes)
