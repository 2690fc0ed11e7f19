"""When the calls of a channel have to end: one timer of the event loop for all of them.

Rule: each call that has not ended by its deadline is told of once, at most half a millisecond
before it or one after, by the loop's clock. A timer for each call would cost as much as sending it.
Counterpart: `channel`, which asks and says what has ended.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Final

from sidecar.tee.connection import Call

SLACK: Final = 0.0005  # seconds: the loop's timers are whole milliseconds, rounded
SPARE: Final = 64  # calls that have ended and are still here, beside as many as are open


class Deadlines:
    """Open calls by their deadline.

    Args:
        loop: whose clock deadlines are of.
        late: told of a call whose deadline has come.
    """

    __slots__ = ("_added", "_at", "_calls", "_late", "_loop", "_open", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, late: Callable[[Call], None]) -> None:
        self._loop = loop
        self._late = late
        self._calls: list[tuple[float, int, Call]] = []  # a heap
        self._added = 0
        self._open = 0
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0  # when it is due

    def add(self, call: Call) -> None:
        """A call begins; `ended` follows once, when its `ended` is set."""
        calls = self._calls
        while calls and calls[0][2].ended:
            heapq.heappop(calls)
        if len(calls) > 2 * self._open + SPARE:
            calls[:] = [one for one in calls if not one[2].ended]
            heapq.heapify(calls)
        self._added += 1
        self._open += 1
        heapq.heappush(calls, (call.deadline, self._added, call))
        if self._timer is None or call.deadline < self._at:
            self._arm(call.deadline)

    def ended(self) -> None:
        """A call has ended."""
        self._open -= 1

    def close(self) -> None:
        """No call is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            if self._at <= at:
                return
            self._timer.cancel()
        self._at = at
        self._timer = self._loop.call_at(at, self._due)

    def _due(self) -> None:
        self._timer = None
        calls, now = self._calls, self._loop.time() + SLACK
        while calls and (calls[0][2].ended or calls[0][0] <= now):
            call = heapq.heappop(calls)[2]
            if not call.ended:
                self._late(call)
        if calls:
            self._arm(calls[0][0])
