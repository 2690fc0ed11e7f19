"""How much a shadow is given each second: token buckets of calls and of bytes.

Rule: what is taken in any t seconds is at most rate * t + burst, and one request's overshoot when
a request is larger than the burst. Counterpart: `gate`, which asks before it charges.
"""

from __future__ import annotations

from sidecar.tee.settings import RateSettings

NANOSECONDS = 1_000_000_000


class TokenBucket:
    """Tokens flow in at `rate` a second up to `burst`; it starts full.

    A request larger than the burst would starve forever in a strict bucket. Here it may pass when
    the bucket is full and leaves a debt that the flow must pay back before anything else passes.
    """

    __slots__ = ("_burst", "_rate", "_seen_ns", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._seen_ns = 0

    def has_room(self, n: float, now_ns: int) -> bool:
        """Whether `take` would succeed. A clock that steps back takes its flow back with it."""
        flow = self._rate * (now_ns - self._seen_ns) / NANOSECONDS
        self._tokens = min(self._burst, self._tokens + flow)
        self._seen_ns = now_ns
        return self._tokens >= min(n, self._burst)

    def take(self, n: float, now_ns: int) -> bool:
        """Take n tokens, all or none."""
        if not self.has_room(n, now_ns):
            return False
        self._tokens -= n
        return True


class RateLimit:
    """Both buckets of one shadow: both have room, or neither is charged."""

    __slots__ = ("_bytes", "_calls")

    def __init__(self, settings: RateSettings) -> None:
        self._calls = _second_of(settings.calls_per_second)
        self._bytes = _second_of(settings.bytes_per_second)

    def has_room(self, size: int, now_ns: int) -> bool:
        """Whether one call of `size` bytes would be taken; charges nothing."""
        return self.has_call(now_ns) and self.has_bytes(size, now_ns)

    def has_call(self, now_ns: int) -> bool:
        """Whether there is room for one more call, of whatever size."""
        return self._calls is None or self._calls.has_room(1, now_ns)

    def has_bytes(self, size: int, now_ns: int) -> bool:
        """Whether there is room for so many bytes."""
        return self._bytes is None or self._bytes.has_room(size, now_ns)

    def take(self, size: int, now_ns: int) -> bool:
        """Take one call of `size` bytes, or nothing."""
        if not self.has_room(size, now_ns):
            return False
        if self._calls is not None:
            self._calls.take(1, now_ns)
        if self._bytes is not None:
            self._bytes.take(size, now_ns)
        return True


def _second_of(rate: float | None) -> TokenBucket | None:
    return None if rate is None else TokenBucket(rate, max(rate, 1.0))
