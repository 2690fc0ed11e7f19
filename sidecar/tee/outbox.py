"""Bytes on their way into one socket, and the requests that end within them.

Rule: a request is handed over when the call that took its last byte into the socket began; that
instant is where a shadow's latency begins. Counterpart: `connection`.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Sequence
from time import monotonic_ns
from typing import Final, TypeAlias

JOIN_BYTES: Final = 64 << 10  # up to here one copy is cheaper than many buffers
MAX_PARTS: Final = 512  # of one sendmsg; the kernel takes 1024

HandedOver: TypeAlias = list[tuple[int, int]]
"""Streams and when the last byte of their request went."""


class Outbox:
    """Holds what the socket does not take yet."""

    __slots__ = ("_ends", "_parts", "_pushed", "_sent")

    def __init__(self) -> None:
        self._parts: deque[bytes | memoryview] = deque()
        self._ends: deque[tuple[int, int]] = deque()  # position, stream
        self._pushed = self._sent = 0  # bytes, ever

    def __bool__(self) -> bool:
        return self._sent < self._pushed

    def push(
        self, parts: Sequence[bytes | memoryview], complete: Sequence[tuple[int, int]]
    ) -> None:
        """Append.

        Args:
            parts: the bytes.
            complete: requests that end in them: after how many parts, and their stream.
        """
        at = 0
        for count, stream in complete:
            self._pushed += sum(map(len, parts[at:count]))
            at = count
            self._ends.append((self._pushed, stream))
        self._pushed += sum(map(len, parts[at:]))
        self._parts.extend(parts)

    def send(self, sock: socket.socket) -> HandedOver:
        """Send what the socket takes now.

        Returns:
            The requests that it has taken to their end.

        Raises:
            OSError: the connection is broken.
        """
        handed: HandedOver = []
        parts = self._parts
        while self:
            now = monotonic_ns()
            try:
                if self._pushed - self._sent <= JOIN_BYTES:
                    joined = b"".join(parts)
                    parts.clear()
                    parts.append(joined)
                    sent = sock.send(joined)
                else:
                    sent = sock.sendmsg([parts[i] for i in range(min(len(parts), MAX_PARTS))])
            except (BlockingIOError, InterruptedError):
                break
            self._drop(sent)
            while self._ends and self._ends[0][0] <= self._sent:
                handed.append((self._ends.popleft()[1], now))
        return handed

    def _drop(self, sent: int) -> None:
        self._sent += sent
        parts = self._parts
        while parts and sent >= len(parts[0]):
            sent -= len(parts.popleft())
        if sent:
            parts[0] = memoryview(parts[0])[sent:]
