"""Identical requests within a short window: they are one observation, not many.

Rule: bounded in count and age; the first of them counts. Counterpart: `judge`.
"""

from __future__ import annotations

from collections import OrderedDict

MAX_REQUESTS = 4096


class Repeats:
    """The digests of the latest requests."""

    __slots__ = ("_seen", "_window_ns")

    def __init__(self, window_seconds: float) -> None:
        self._window_ns = int(window_seconds * 1e9)
        self._seen: OrderedDict[bytes, int] = OrderedDict()

    def is_repeat(self, digest: bytes, now_ns: int) -> bool:
        """Whether the same request counted less than a window ago; if not, this one counts."""
        if not digest or not self._window_ns:
            return False
        while self._seen and next(iter(self._seen.values())) <= now_ns - self._window_ns:
            self._seen.popitem(last=False)
        if digest in self._seen:
            return True
        self._seen[digest] = now_ns
        if len(self._seen) > MAX_REQUESTS:
            self._seen.popitem(last=False)
        return False
