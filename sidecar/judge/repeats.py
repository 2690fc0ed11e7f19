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
        """Whether the same request came less than a window apart; if not, this one counts.

        Args:
            method: the method.
            request: its messages.
            now_ns: when it began; captured calls come in the order in which they ended.
        """
        if not self._window_ns or not request:
            return False
        while self._seen and next(iter(self._seen.values())) <= now_ns - self._window_ns:
            self._seen.popitem(last=False)
        digest = hash((method, request))  # keyed by this process's own seed
        seen_ns = self._seen.get(digest)
        if seen_ns is not None and abs(now_ns - seen_ns) < self._window_ns:
            return True
        self._seen[digest] = now_ns
        self._seen.move_to_end(digest)
        if len(self._seen) > MAX_REQUESTS:
            self._seen.popitem(last=False)
        return False
