"""Forwarding: two sockets, two pipes, and nothing between them that could hold a byte.

Rule: a byte is handed to the other side's socket before anything looks at it, and what one side
does, the other side sees: the end of a stream as the end, a reset as a reset, not reading as not
reading. A pipe holds at most what one read returned and the other side did not yet take; until
then it reads no more. Counterpart: `watch`, which looks afterwards.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal

from sidecar.wire.frames import CLIENT, SERVER
from sidecar.wire.stats import Counters
from sidecar.wire.watch import Watch

READ_BYTES: Final = 256 << 10
"""Most that one read takes: large payloads want few system calls."""

# One buffer for every connection: nothing of it is kept after a read has been dealt with.
_BUFFER: Final = memoryview(bytearray(READ_BYTES))
_RESET: Final = struct.pack("ii", 1, 0)  # linger for no time: close sends RST
_BUSY: Final = (BlockingIOError, InterruptedError)

# RFC 9113, 6.8: GOAWAY, stream 0, last stream 2^31-1, NO_ERROR.
GOAWAY: Final = bytes.fromhex("0000080700000000007fffffff00000000")


class Pipe:
    """One direction of a connection: reads from `src`, writes to `dst`."""

    __slots__ = (
        "_buffer",
        "_connection",
        "_count",
        "_loop",
        "_pending",
        "_recv_into",
        "_send",
        "broken",
        "direction",
        "dst",
        "ended",
        "finished",
        "src",
    )

    def __init__(
        self,
        connection: Connection,
        direction: int,
        src: socket.socket,
        dst: socket.socket,
        limit: int,
    ) -> None:
        self.direction = direction
        self.src = src
        self.dst = dst
        self.ended = False  # src has sent all it will
        self.finished = False  # and dst has got it all
        self.broken = False  # dst takes nothing any more
        self._connection = connection
        self._loop = connection.loop
        self._count = connection.counters.bytes_from
        self._buffer = _BUFFER[: min(limit, READ_BYTES)]
        self._pending: memoryview | None = None
        self._recv_into = src.recv_into
        self._send = dst.send

    def start(self) -> None:
        """Begin to read."""
        self._loop.add_reader(self.src, self._readable)

    def insert(self, data: bytes) -> bool:
        """Send bytes that `src` did not; False if that is no longer possible."""
        if self.ended or self.broken:
            return False
        if self._pending is not None:
            self._pending = memoryview(bytes(self._pending) + data)
            return True
        return self._forward(memoryview(data))

    def _readable(self) -> None:
        try:
            size = self._recv_into(self._buffer)
        except _BUSY:
            return
        except OSError:
            self._connection.reset(self.direction)
            return
        if not size:
            self._end()
            return
        data = self._buffer[:size]
        if not self._forward(data):
            return
        self._count[self.direction] += size
        watch = self._connection.watch
        if watch is not None:
            watch.saw(self.direction, data)
            if self._connection.goaway_wanted:
                self._connection.goaway()

    def _forward(self, data: memoryview) -> bool:
        """Send what `dst` takes; hold the rest and read no more until it is gone."""
        try:
            sent = self._send(data)
        except _BUSY:
            sent = 0
        except OSError:
            self._break()
            return False
        if sent != len(data):
            self._pending = memoryview(bytes(data[sent:]))
            self._loop.remove_reader(self.src)
            self._loop.add_writer(self.dst, self._writable)
        return True

    def _writable(self) -> None:
        pending = self._pending
        assert pending is not None
        try:
            sent = self._send(pending)
        except _BUSY:
            return
        except OSError:
            self._break()
            return
        if sent != len(pending):
            self._pending = pending[sent:]
            return
        self._pending = None
        self._loop.remove_writer(self.dst)
        if self.ended:
            self._finish()
        else:
            self._loop.add_reader(self.src, self._readable)

    def _end(self) -> None:
        self.ended = True
        self._loop.remove_reader(self.src)
        if self._connection.pipes[1 - self.direction].broken:
            # What looks like an orderly end came after src had refused our bytes: a reset, which
            # the failing write was told of and the read that follows it is not.
            self._connection.reset(self.direction)
            return
        self._connection.ended_by(self.direction, "eof")
        if self._pending is None:
            self._finish()

    def _finish(self) -> None:
        self.finished = True
        with suppress(OSError):
            self.dst.shutdown(socket.SHUT_WR)
        self._connection.finish()

    def _break(self) -> None:
        """`dst` refused bytes. What it had said before may still wait to be read, so only this
        direction stops; reading from `dst` finds the rest, and then its end."""
        self.broken = True
        self._pending = None
        self._loop.remove_reader(self.src)
        self._loop.remove_writer(self.dst)
        if self._connection.pipes[1 - self.direction].ended:
            self._connection.reset(1 - self.direction)


class Connection:
    """A client's connection and ours to production.

    Args:
        limit: bound on bytes that were read and not yet taken by the other side, each direction.
        watch: what looks at the bytes afterwards; None if nothing ever does.
        closed: called once, when both sockets are closed.
    """

    __slots__ = (
        "_asked",
        "_closed",
        "_first_end",
        "counters",
        "goaway_wanted",
        "loop",
        "pipes",
        "watch",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: socket.socket,
        upstream: socket.socket,
        limit: int,
        counters: Counters,
        watch: Watch | None,
        closed: Callable[[Connection], None],
    ) -> None:
        self.loop = loop
        self.counters = counters
        self.watch = watch
        self.goaway_wanted = False  # and waits for the end of a frame
        self._asked = False
        self._closed: Callable[[Connection], None] | None = closed
        self._first_end: tuple[int, Literal["eof", "reset"]] | None = None
        self.pipes = (
            Pipe(self, CLIENT, client, upstream, limit),
            Pipe(self, SERVER, upstream, client, limit),
        )
        for pipe in self.pipes:
            pipe.start()

    def ended_by(self, direction: int, how: Literal["eof", "reset"]) -> None:
        """Remember which side ended the connection; the first one counts."""
        if self._first_end is None:
            self._first_end = (direction, how)

    def finish(self) -> None:
        """Close if both directions are at their end."""
        if all(pipe.finished for pipe in self.pipes):
            self.close()

    def reset(self, direction: int) -> None:
        """The side that sends in `direction` has reset the connection: so do we."""
        self.ended_by(direction, "reset")
        for pipe in self.pipes:
            reset_on_close(pipe.src)
        self.close()

    def close(self) -> None:
        """Close both sockets."""
        closed, self._closed = self._closed, None
        if closed is None:
            return
        for pipe in self.pipes:
            self.loop.remove_reader(pipe.src)
            self.loop.remove_writer(pipe.src)
            pipe.src.close()
        if self.watch is not None:
            self.watch.close(*(self._first_end or (SERVER, "reset")))
        closed(self)

    def goaway(self) -> None:
        """Ask the client to reconnect, as soon as the server's last byte was a frame's last.

        Only for a connection that is blind: on its successor everything is seen from the start.
        """
        watch = self.watch
        self.goaway_wanted = False
        if watch is None or not watch.blind or self._asked:
            return
        if not watch.at_boundary:
            self.goaway_wanted = True
            return
        self._asked = True
        if self.pipes[SERVER].insert(GOAWAY):
            self.counters.goaways += 1


def reset_on_close(sock: socket.socket) -> None:
    """Make `sock.close()` send RST; on a Unix socket it changes nothing."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
