"""One direction of a connection: two sockets, and nothing between them that could hold a byte.

Rule: a byte is handed to the other side's socket before anything looks at it. A pipe holds at most
what one read returned and the other side did not yet take; until then it reads no more. All pipes
together hold about `Counters.waiting_limit`; beyond it they take from the kernel only what the
other side has taken. Counterparts: `forward`, whose connections have two of them; `watch`, which
looks at what has been sent.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from sidecar.wire.clock import STAMP_BYTES, ask_for_stamps, came
from sidecar.wire.frames import CLIENT
from sidecar.wire.poll import DEAD, READ, WRITE

if TYPE_CHECKING:
    from sidecar.wire.forward import Connection

READ_BYTES: Final = 128 << 10
"""Most that one read takes: few system calls for large payloads, and no more than caches hold."""

# One buffer for every connection: nothing of it is kept after a read has been dealt with.
_BUFFER: Final = memoryview(bytearray(READ_BYTES))
_now_ns: Final = monotonic_ns
_BUSY: Final = (BlockingIOError, InterruptedError)


class Pipe:
    """One direction of a connection: reads from `src`, writes to the other pipe's."""

    __slots__ = (
        "_buffer",
        "_buffers",
        "_connection",
        "_counters",
        "_fd",
        "_flags",
        "_ours",
        "_pending",
        "_poller",
        "_recv_into",
        "_recvmsg_into",
        "_send",
        "_stalled",
        "_stamped",
        "_wanted",
        "broken",
        "direction",
        "dst",
        "ended",
        "reverse",
        "src",
        "time",
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
        self._counters = connection.counters
        self._buffer = _BUFFER[: min(limit, READ_BYTES)]
        self._pending: memoryview | None = None
        self._ours = False  # whether what is pending is nothing that src sent
        self.time = monotonic_ns()  # when src sent something last
        self._stalled = False  # dst takes nothing now, and what there is stays with the kernel
        self._recv_into = src.recv_into
        self._send = dst.send
        self._flags = 0  # of the records about what came last
        self._stamped = False  # whether the kernel says when what is read came
        self._buffers = [self._buffer]
        self._recvmsg_into = src.recvmsg_into

    def stamp(self, wanted: bool) -> None:
        """Have the kernel say when what is read came, if it does; or no longer."""
        self._stamped = wanted and ask_for_stamps(self.src)

    def want(self) -> None:
        """Hear of what can go on now: reading from `src`, and writing what waits for it."""
        events = 0
        if not (self.ended or self.broken or self._pending or self._stalled):
            events = READ
        if self.reverse._pending or self.reverse._stalled:
            events |= WRITE
        self._poller.want(self._fd, self._wanted, events, self._ready)
        self._wanted = events

    def close(self) -> None:
        """Close `src`."""
        self._poller.want(self._fd, self._wanted, 0, self._ready)
        self._wanted = 0
        self._hold(None)
        self.src.close()

    def insert(self, data: bytes) -> bool:
        """Send bytes that `src` did not; False if that is no longer possible."""
        if self.ended or self.broken:
            return False
        view = memoryview(data)
        sent = self._forward(view)
        if 0 <= sent < len(view):
            self._ours = True
            self._wait(view[sent:])
        return sent >= 0

    @property
    def held(self) -> bool:
        """Whether bytes wait, so that nothing can be put in behind what has been looked at."""
        return self._pending is not None or self._stalled

    def _ready(self, events: int) -> None:
        """Something can be done with `src`."""
        if events != READ and events & (WRITE | DEAD):
            self._writable()
        if not (events & (READ | DEAD) and self._wanted & READ):
            return
        if self._counters.crowded:
            self._pass()
            return
        stamped = self._stamped
        try:
            if stamped:
                size, said, _, _ = self._recvmsg_into(self._buffers, STAMP_BYTES)
            else:
                size = self._recv_into(self._buffer)
        except _BUSY:
            return
        except OSError:
            self._connection.reset(self.direction)
            return
        if not size:
            self._end()
            return
        now = _now_ns()  # not after a request's last byte left, not before an answer's came
        data = self._buffer[:size]
        try:
            sent = self._send(data)
        except _BUSY:
            sent = 0
        except OSError:
            self._break()
            return
        if stamped:
            now, self._flags = came(said, self.time, now)
        self.time = now
        self._count(size)
        if sent != size:
            self._wait(data[sent:])
            data = data[:sent]
        watch = self._connection.watch
        if watch is not None:
            watch.saw(self.direction, data, now, self._flags)
            if self._connection.goaway_wanted:
                self._connection.goaway()

    def _count(self, size: int) -> None:
        if self.direction == CLIENT:
            self._counters.bytes_from_client += size
        else:
            self._counters.bytes_from_server += size

    def _writable(self) -> None:
        """`src`, which is the reverse's `dst`, may take more."""
        reverse = self.reverse
        if reverse._pending:
            reverse._resume()
        elif reverse._stalled:
            reverse._stalled = False
            self.want()
            reverse.want()

    def _pass(self) -> None:
        """Take from the kernel what `dst` takes, and no more: too many bytes wait already."""
        try:
            size = self._recv_into(self._buffer, 0, socket.MSG_PEEK)
        except _BUSY:
            return
        except OSError:
            self._connection.reset(self.direction)
            return
        if not size:
            self._end()
            return
        now = _now_ns()
        sent = self._forward(self._buffer[:size])
        if sent < 0:
            return
        if sent:
            sent = self._recv_into(self._buffer, sent)
            self.time, self._flags = now, 0
            self._count(sent)
            self._sent(self._buffer[:sent], now)
        if sent != size and not self.ended:
            self._stalled = True
            self.want()
            self.reverse.want()

    def _sent(self, data: memoryview, now: int) -> None:
        """`dst` has these bytes of `src`."""
        watch = self._connection.watch
        if watch is not None and data:
            watch.saw(self.direction, data, now, self._flags)
            if self._connection.goaway_wanted:
                self._connection.goaway()

    def _forward(self, data: memoryview) -> int:
        """Send what `dst` takes; how many bytes those are, -1 if it takes none any more."""
        try:
            return self._send(data)
        except _BUSY:
            return 0
        except OSError:
            self._break()
            return -1

    def _wait(self, data: memoryview) -> None:
        """Hold what `dst` did not take, and read no more until it is gone."""
        self._hold(memoryview(bytes(data)))
        self.want()
        self.reverse.want()

    def _hold(self, data: memoryview | None) -> None:
        self._counters.wait(len(data or b"") - len(self._pending or b""))
        self._pending = data

    def _resume(self) -> None:
        """Send more of what waits."""
        pending, ours = self._pending, self._ours
        assert pending is not None
        # An answer came when it was read; a request has left when its last byte is handed over.
        now = _now_ns() if self.direction == CLIENT else self.time
        sent = self._forward(pending)
        if sent < 0:
            return
        self._hold(pending[sent:] if sent != len(pending) else None)
        if self._pending is None:
            self._ours = False
            self.want()
            self.reverse.want()
        if not ours:
            self._sent(pending[:sent], now)

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
        self._hold(None)
        if self.reverse.ended:
            self._connection.reset(self.reverse.direction)
            return
        self.want()
        self.reverse.want()
