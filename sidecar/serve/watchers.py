"""Who watches pairs as they happen: a bounded buffer for each, its losses counted.

Rule: telling a watcher costs an append; a slow one loses the oldest pairs and nothing waits for
it. Counterpart: `admin.grpc`, which streams a buffer out.
"""

from __future__ import annotations

import asyncio
from collections import deque

from sidecar.judge.pair import JudgedPair
from sidecar.judge.worst import Note, note_of

BUFFER = 256
MOST = 64  # watchers at a time


class Watcher:
    """One watcher's buffer."""

    def __init__(self, shadow: str, agreeing: bool, size: int = BUFFER) -> None:
        """Watch one shadow, or all with an empty name; the pairs that agree too, if asked for."""
        self._shadow = shadow
        self._agreeing = agreeing
        self._size = size
        self._pairs: deque[tuple[str, Note]] = deque()
        self._dropped = 0
        self._filled = asyncio.Event()

    def wants(self, shadow: str, pair: JudgedPair) -> bool:
        """Whether a pair is one to be shown."""
        return self._shadow in {"", shadow} and (self._agreeing or not pair.comparison.agrees)

    def offer(self, shadow: str, note: Note) -> None:
        """Take a pair, without its values."""
        if len(self._pairs) >= self._size:
            self._pairs.popleft()
            self._dropped += 1
        self._pairs.append((shadow, note))
        self._filled.set()

    async def next(self) -> tuple[str, Note, int]:
        """The next pair, and how many were lost before it."""
        while not self._pairs:
            self._filled.clear()
            await self._filled.wait()
        shadow, note = self._pairs.popleft()
        dropped, self._dropped = self._dropped, 0
        return shadow, note, dropped


class Watchers:
    """Everybody who watches."""

    def __init__(self, unix_offset_ns: int) -> None:
        """Nobody yet; the offset makes Unix time of the monotonic clock's."""
        self._unix_offset_ns = unix_offset_ns
        self._watchers: set[Watcher] = set()

    def add(self, watcher: Watcher) -> bool:
        """Begin to tell a watcher; False when there are too many."""
        if len(self._watchers) >= MOST:
            return False
        self._watchers.add(watcher)
        return True

    def remove(self, watcher: Watcher) -> None:
        """Stop telling a watcher."""
        self._watchers.discard(watcher)

    def tell(self, shadow: str, pair: JudgedPair) -> None:
        """Tell everybody of a pair; a judging's listener."""
        wanting = [watcher for watcher in self._watchers if watcher.wants(shadow, pair)]
        if wanting:
            note = note_of(pair, pair.arrived_ns + self._unix_offset_ns)
            for watcher in wanting:
                watcher.offer(shadow, note)

    def __len__(self) -> int:
        return len(self._watchers)
