"""Forwarding: two sockets, two pipes, and nothing between them that could hold a byte.

Rule: a byte is handed to the other side's socket before anything looks at it, and what one side
does, the other side sees: the end of a stream as the end, a reset as a reset, not reading as not
reading. A pipe holds at most what one read returned and the other side did not yet take; until
then it reads no more. Counterpart: `watch`, which looks afterwards.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal

from sidecar.wire.frames import CLIENT, SERVER
from sidecar.wire.poll import DEAD, READ, WRITE, Poller
from sidecar.wire.stats import Counters
from sidecar.wire.watch import Watch

READ_BYTES: Final = 128 << 10
"""Most that one read takes: few system calls for large payloads, and no more than caches hold."""

# One buffer for every connection: nothing of it is kept after a read has been dealt with.
_BUFFER: Final = memoryview(bytearray(READ_BYTES))
_RESET: Final = struct.pack("ii", 1, 0)  # linger for no time: close sends RST
_BUSY: Final = (BlockingIOError, InterruptedError)

# RFC 9113, 6.8: GOAWAY, stream 0, last stream 2^31-1, NO_ERROR.
GOAWAY: Final = bytes.fromhex("0000080700000000007fffffff00000000")


class Pipe:
    """One direction of a connection: reads from `src`, writes to the other pipe's."""

    __slots__ = (
        "_buffer",
        "_connection",
        "_count",
        "_fd",
        "_pending",
        "_poller",
        "_recv_into",
        "_send",
        "_wanted",
        "broken",
        "direction",
        "dst",
        "ended",
        "reverse",
        "src",
    )

    reverse: Pipe  # the other direction

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
        self.ended = False  # src has sent all it will, and dst knows
        self.broken = False  # dst takes nothing any more
        self._connection = connection
        self._poller = connection.poller
        self._wanted = 0  # of src
        self._fd = src.fileno()
        self._count = connection.counters.bytes_from
        self._buffer = _BUFFER[: min(limit, READ_BYTES)]
        self._pending: memoryview | None = None
        self._recv_into = src.recv_into
        self._send = dst.send

    def want(self) -> None:
        """Hear of what can go on now: reading from `src`, and writing what waits for it."""
        events = 0
        if not (self.ended or self.broken or self._pending):
            events = READ
        if self.reverse._pending:
            events |= WRITE
        self._poller.want(self._fd, self._wanted, events, self._ready)
        self._wanted = events

    def close(self) -> None:
        """Close `src`."""
        self._poller.want(self._fd, self._wanted, 0, self._ready)
        self._wanted = 0
        self.src.close()

    def insert(self, data: bytes) -> bool:
        """Send bytes that `src` did not; False if that is no longer possible."""
        if self.ended or self.broken:
            return False
        if self._pending is not None:
            self._pending = memoryview(bytes(self._pending) + data)
            return True
        return self._forward(memoryview(data))

    def _ready(self, events: int) -> None:
        """Something can be done with `src`."""
        if events != READ and self.reverse._pending and events & (WRITE | DEAD):
            self.reverse._resume()
        if not (events & (READ | DEAD) and self._wanted & READ):
            return
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
            self.want()
            self.reverse.want()
        return True

    def _resume(self) -> None:
        """Send more of what waits."""
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
        self.want()
        self.reverse.want()

    def _end(self) -> None:
        if self.reverse.broken:
            # What looks like an orderly end came after src had refused our bytes: a reset, which
            # the failing write was told of and the read that follows it is not.
            self._connection.reset(self.direction)
            return
        self.ended = True
        self.want()
        self._connection.ended_by(self.direction, "eof")
        with suppress(OSError):
            self.dst.shutdown(socket.SHUT_WR)
        self._connection.finish()

    def _break(self) -> None:
        """`dst` refused bytes. What it had said before may still wait to be read, so only this
        direction stops; reading from `dst` finds the rest, and then its end."""
        self.broken = True
        self._pending = None
        if self.reverse.ended:
            self._connection.reset(self.reverse.direction)
            return
        self.want()
        self.reverse.want()


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
        "pipes",
        "poller",
        "watch",
    )

    def __init__(
        self,
        poller: Poller,
        client: socket.socket,
        upstream: socket.socket,
        limit: int,
        counters: Counters,
        watch: Watch | None,
        closed: Callable[[Connection], None],
    ) -> None:
        self.poller = poller
        self.counters = counters
        self.watch = watch
        self.goaway_wanted = False  # and waits until it fits in
        self._asked = False
        self._closed: Callable[[Connection], None] | None = closed
        self._first_end: tuple[int, Literal["eof", "reset"]] | None = None
        here = Pipe(self, CLIENT, client, upstream, limit)
        back = Pipe(self, SERVER, upstream, client, limit)
        here.reverse, back.reverse = back, here
        self.pipes = (here, back)
        for pipe in self.pipes:
            pipe.want()

    def ended_by(self, direction: int, how: Literal["eof", "reset"]) -> None:
        """Remember which side ended the connection; the first one counts."""
        if self._first_end is None:
            self._first_end = (direction, how)

    def finish(self) -> None:
        """Close if both directions are at their end."""
        if all(pipe.ended for pipe in self.pipes):
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
            pipe.close()
        if self.watch is not None:
            self.watch.close(*(self._first_end or (SERVER, "reset")))
        closed(self)

    def goaway(self) -> None:
        """Ask the client to reconnect, as soon as that fits in.

        Only for a connection that is blind: on its successor everything is seen from the start.
        """
        watch = self.watch
        self.goaway_wanted = False
        if watch is None or not watch.blind or self._asked:
            return
        if not watch.goaway_fits:
            self.goaway_wanted = True
            return
        self._asked = True
        if self.pipes[SERVER].insert(GOAWAY):
            self.counters.goaways += 1


def reset_on_close(sock: socket.socket) -> None:
    """Make `sock.close()` send RST; on a Unix socket it changes nothing."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
