"""What waits for one observer: whole records, in order, and what keeping them costs.

Rule: nothing here waits, and a record is put down in two parts and picked up with all the others:
what a read of production's costs the tap is two entries in a list. Whoever adds has seen that there
is room. Counterpart: `session`, which sends it.
"""

from __future__ import annotations

import socket
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # an int of the machine's; as Python it is an int
    from mypy_extensions import i64

CHUNK_BYTES: Final = 128 << 10  # of records that are made one
_PART: Final = 48  # bytes that an object costs beside what it holds
_RECORD_COST: Final = 2 * _PART
_MAX_CHUNKS: Final = 64  # in one system call


class Backlog:
    """Records that an observer's socket has not taken yet."""

    __slots__ = ("_chunks", "_fresh", "_new", "sent", "size")

    def __init__(self) -> None:
        self.size: i64 = 0  # bytes waiting, and what keeping them costs
        self.sent: i64 = 0  # bytes, ever
        self._fresh: list[bytes] = []
        self._new: i64 = 0  # of `size`, in those
        self._chunks: deque[bytes | memoryview] = deque()  # that came before them

    def add(self, header: bytes, payload: bytes) -> None:
        """Append a record."""
        self._fresh.append(header)
        self._fresh.append(payload)
        more: i64 = len(header) + len(payload) + _RECORD_COST
        self.size += more
        self._new += more
        if self._new >= CHUNK_BYTES:
            self._join()

    def add_large(self, header: bytes, payload: bytes | memoryview) -> None:
        """Append a record whose payload is not worth being copied to be one with others."""
        self.add(header, b"")
        self._join()
        self._chunks.append(payload)
        self.size += len(payload) + _PART

    def send(self, sock: socket.socket) -> None:
        """Send all of it.

        Raises:
            OSError: not all, as `socket.send` says why.
        """
        if self._fresh:
            self._join()
        chunks = self._chunks
        while chunks:
            if len(chunks) == 1:
                self._drop(sock.send(chunks[0]))
            else:
                self._drop(sock.sendmsg(islice(chunks, _MAX_CHUNKS)))

    def send_with(self, sock: socket.socket, header: bytes, payload: memoryview) -> None:
        """Append a record whose payload is only lent, and send all: what is sent is not copied.

        Raises:
            OSError: not all was sent; the rest is kept.
        """
        self.add_large(header, payload)
        chunks = self._chunks
        try:
            self.send(sock)
        finally:
            if chunks:
                chunks[-1] = bytes(chunks[-1])

    def clear(self) -> None:
        """Let go of it all."""
        self._fresh.clear()
        self._chunks.clear()
        self.size = self._new = 0

    def _join(self) -> None:
        """Make one of what came since the last time."""
        chunk = b"".join(self._fresh)
        self._fresh.clear()
        self._chunks.append(chunk)
        self.size += len(chunk) + _PART - self._new
        self._new = 0

    def _drop(self, sent: int) -> None:
        self.size -= sent
        self.sent += sent
        chunks = self._chunks
        while chunks:
            first = chunks[0]
            if len(first) > sent:
                if sent:
                    chunks[0] = memoryview(first)[sent:]
                return
            sent -= len(first)
            self.size -= _PART
            chunks.popleft()
