"""Identical requests within a short window: they are one observation, not many.

Rule: bounded in count and age. The first to arrive counts, and it is chosen before any answer is
known: of calls that are chosen as they finish, quick ones would be kept and slow ones, such as
those that time out, left out. Counterparts: `experiment.judging`, which asks as each request
arrives; `judge`, which counts the rest.
"""

from __future__ import annotations

from collections import OrderedDict

MAX_REQUESTS = 4096


class Repeats:
    """The digests of the latest requests."""

    __slots__ = ("_seen", "_window_ns")

    def __init__(self, window_seconds: float) -> None:
        self._window_ns = int(window_seconds * 1e9)
        self._seen: OrderedDict[int, int] = OrderedDict()

    def is_repeat(self, method: str, request: tuple[bytes, ...], now_ns: int) -> bool:
        """Whether the same request came less than a window ago; if not, this one counts."""
        if not self._window_ns or not request:
            return False
        while self._seen and next(iter(self._seen.values())) <= now_ns - self._window_ns:
            self._seen.popitem(last=False)
        digest = hash((method, request))  # keyed by this process's own seed
        if digest in self._seen:
            return True
        self._seen[digest] = now_ns
        if len(self._seen) > MAX_REQUESTS:
            self._seen.popitem(last=False)
        return False
