"""What is left to look at when a connection's frames were too many for one turn.

Rule: forwarding never waits for looking. A connection that sends more frames than can be walked at
once is looked at between the turns of the others, and one that keeps on is not looked at any more.
Counterparts: `frames`, which says what is left; `watch`, which keeps it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

MAX_LATER: Final = 1 << 20  # bytes kept for one connection
MAX_LATER_IN_ALL: Final = 8 << 20
CHUNK_COST: Final = 256  # of a chunk that is kept, beside its bytes
_LOOKS_A_TURN: Final = 1


class _Looks(Protocol):
    def look_again(self) -> bool: ...


class Later:
    """The connections that have something left to look at.

    Args:
        soon: calls back after the connections that are ready have had their turn.
    """

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        self.bytes = 0  # kept by all of them
        self._soon = soon
        self._queue: deque[_Looks] = deque()

    def put(self, watch: _Looks) -> None:
        """Have it look again soon."""
        self._queue.append(watch)
        if len(self._queue) == 1:
            self._soon(self._turn)

    def _turn(self) -> None:
        queue = self._queue
        for _ in range(min(_LOOKS_A_TURN, len(queue))):
            watch = queue.popleft()
            if watch.look_again():
                queue.append(watch)
        if queue:
            self._soon(self._turn)
