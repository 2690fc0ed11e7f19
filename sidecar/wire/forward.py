"""Forwarding: a client's connection and ours to production, and how they end.

Rule: what one side does, the other side sees: the end of a stream as the end, a reset as a reset,
not reading as not reading. Counterparts: `pipe`, which forwards one direction's bytes; `watch`,
which looks at what has been sent.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal

from sidecar.wire.connect import RESET
from sidecar.wire.frames import CLIENT, SERVER
from sidecar.wire.pipe import Pipe
from sidecar.wire.poll import Poller
from sidecar.wire.stats import Counters
from sidecar.wire.watch import Watch

# RFC 9113, 6.8: GOAWAY, stream 0, last stream 2^31-1, NO_ERROR.
GOAWAY: Final = bytes.fromhex("0000080700000000007fffffff00000000")


class Connection:
    """A client's connection and ours to production.

    Args:
        limit: bound on bytes that were read and not yet taken by the other side, each direction.
        watch: what looks at the bytes afterwards; None if nothing ever does.
        closed: called once, when both sockets are closed.
        half_closed: called when production has ended and the client has not.
    """

    __slots__ = (
        "_asked",
        "_closed",
        "_first_end",
        "_half_closed",
        "_leaving",
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
        half_closed: Callable[[Connection], None],
    ) -> None:
        self.poller = poller
        self._half_closed = half_closed
        self.counters = counters
        self.watch = watch
        self.goaway_wanted = False  # and waits until it fits in
        self._asked = False
        self._leaving = False  # whoever it is, blind or not, is to go
        self._closed: Callable[[Connection], None] | None = closed
        self._first_end: tuple[int, Literal["eof", "reset"]] | None = None
        here = Pipe(self, CLIENT, client, upstream, limit)
        back = Pipe(self, SERVER, upstream, client, limit)
        here.reverse, back.reverse = back, here
        self.pipes = (here, back)
        if watch is not None and watch.session is not None:
            back.stamp(True)
        for pipe in self.pipes:
            pipe.want()

    def ended_by(self, direction: int, how: Literal["eof", "reset"]) -> None:
        """Remember which side ended the connection; the first one counts."""
        if self._first_end is None:
            self._first_end = (direction, how)

    @property
    def time(self) -> int:
        """When either side sent something last, by the monotonic clock."""
        return max(self.pipes[CLIENT].time, self.pipes[SERVER].time)

    def finish(self) -> None:
        """Close if both directions are at their end; say so if only production's is.

        A client may end first and wait for its answer as long as production takes.
        """
        if all(pipe.ended for pipe in self.pipes):
            self.close()
        elif self.pipes[SERVER].ended:
            self._half_closed(self)

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

    def leave(self) -> None:
        """Ask the client to go elsewhere: production will not be here much longer."""
        self._leaving = True
        self.goaway()

    def goaway(self) -> None:
        """Ask the client to reconnect, as soon as that fits in.

        Only for a connection that is blind, on whose successor everything is seen from the start,
        or that is to leave.
        """
        watch = self.watch
        self.goaway_wanted = False
        if watch is None or self._asked or not (watch.blind or (self._leaving and watch.walked)):
            return
        if not watch.goaway_fits or self.pipes[SERVER].held:
            self.goaway_wanted = True
            return
        self._asked = True
        if self.pipes[SERVER].insert(GOAWAY):
            self.counters.goaways += 1


def reset_on_close(sock: socket.socket) -> None:
    """Make `sock.close()` send RST; on a Unix socket it changes nothing."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
