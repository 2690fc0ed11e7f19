"""One connection as the tap sees it: its walk, its session, and how observing it can end.

Rule: `saw` never raises, and never waits. Whatever goes wrong here ends the observing, not the
connection. Counterparts: `frames` decides what is copied, `session` carries it away, `later` has it
look again when there was too much for one turn.
"""

from __future__ import annotations

import json
from collections import deque
from random import random
from time import monotonic_ns
from typing import Final

from sidecar.wire.frames import CLIENT, Walker
from sidecar.wire.later import CHUNK_COST, MAX_LATER, MAX_LATER_IN_ALL, Later
from sidecar.wire.records import HEADER, U64, Kind
from sidecar.wire.sample import Sampler
from sidecar.wire.session import Session
from sidecar.wire.state import State
from sidecar.wire.stats import Counters, Tally

LEAST_CALL: Final = 27
"""Bytes of the smallest gRPC call: HEADERS with :method, :scheme, :path and content-type, each one
byte by HPACK's index, and DATA with an empty message (RFC 9113, 4.1; gRPC over HTTP/2)."""

_pack: Final = HEADER.pack
_OBSERVED: Final = State.OBSERVED
_TOO_MANY: Final = b"more frames than can be walked"
_ILLEGIBLE: Final = b"the observer cannot read it"
_NOBODYS: Final = Sampler(random, 0.0)


class Watch:
    """The observing of one connection.

    Args:
        number: the connection's, in records.
        session: who observes it; None if nobody does, then it is blind from the start.
        about: what the OPEN record says.
        tally: whose books its calls come into while no session has them in its own.
        resync: whether a GOAWAY may ever be asked for, which makes blind connections cost more.
    """

    __slots__ = (
        "_aside",
        "_assumed",
        "_bytes",
        "_closing",
        "_counters",
        "_kept",
        "_kept_bytes",
        "_later",
        "_owner",
        "_queued",
        "_state",
        "_tally",
        "_unwalked",
        "_walker",
        "number",
        "session",
    )

    def __init__(
        self,
        number: int,
        session: Session | None,
        about: dict[str, str],
        tally: Tally,
        counters: Counters,
        later: Later,
        *,
        resync: bool,
    ) -> None:
        self.number = number
        self.session = session  # is told
        self._owner = session  # counts, also when it is not told any more
        self._tally = tally
        self._counters = counters
        self._later = later
        self._aside = False  # whether new bytes are not walked at once: some wait, or none will be
        self._kept: deque[tuple[int, memoryview, int, int]] = deque()  # as `saw` takes them
        self._kept_bytes = 0
        self._queued = False  # whether `later` has it look again
        self._bytes = 0  # that passed
        self._unwalked = 0  # of the client's, since nobody looks any more
        self._assumed = 0  # calls in those
        self._closing: tuple[int, str] | None = None  # the connection's end, to be told at last
        self._walker = Walker(
            session.sampler if session else _NOBODYS,
            session.tally if session else tally,
            observed=session is not None,
            follow_server=resync,
        )
        self._state = self._walker.state
        counters.now[self._state] += 1
        counters.ever[self._state] += 1
        if session is not None:
            session.watches[number] = self
            session.tell(Kind.OPEN, number, monotonic_ns(), json.dumps(about).encode())

    @property
    def blind(self) -> bool:
        """Whether it could have been observed, and is not."""
        return self._state is State.BLIND

    @property
    def walked(self) -> bool:
        """Whether it is known where frames end."""
        return self._state < State.OPAQUE

    @property
    def goaway_fits(self) -> bool:
        """Whether a GOAWAY may follow what the server has sent so far.

        Only between two frames, outside a header block; and not before the client's first call:
        gRPC's C core (1.85), told to go while it still sets the connection up, at times keeps it,
        and every call on it hangs.
        """
        return self._walker.called and self._walker.at_boundary and not self._kept

    def saw(self, direction: int, data: memoryview, now: int, flags: int = 0) -> None:
        """Look at bytes that were sent on, now or a little later; `data` is not kept.

        Args:
            now: before the bytes were sent on, after they had come.
            flags: of the records.
        """
        self._bytes += len(data)
        if self._aside:
            self._put_aside(direction, data, now, flags)
            return
        walker = self._walker
        session = self.session
        try:
            if session is None:
                walker.feed(direction, data, 0, 0)
            else:
                room = session.limit - session.size
                records = walker.feed(direction, data, room, room - session.reserve)
                if walker.state is not _OBSERVED:
                    self._counted(session)
                number = self.number
                for kind, payload in records:
                    header = _pack(len(payload), kind, direction, flags, number, now)
                    session.put(header, payload)
        except Exception as error:
            self._counters.errors += 1
            self._stop(f"{type(error).__name__} in the walk".encode())
            self._assume(direction, len(data))
            return
        if walker.state is not self._state:
            self._move()
        if walker.rest:
            self._leave(direction, data[len(data) - walker.rest :], now, flags)

    def look_again(self) -> bool:
        """Walk more of what was left; False if nothing is."""
        if not self._kept:
            self._queued = False
            return False
        direction, data, now, flags = self._kept.popleft()
        self._cost(-len(data) - CHUNK_COST)
        self._bytes -= len(data)  # for they are seen again
        self._aside = self._state >= State.OPAQUE
        self.saw(direction, data, now, flags)
        if self._kept:
            self._aside = True
            return True
        self._queued = False
        if self._closing is not None:
            self._close(*self._closing)
        return False

    def abandon(self) -> None:
        """The session has ended: go on without."""
        self._walker.blind()
        self._walker.tally = self._tally
        self._owner = None
        self._move()

    def unreadable(self) -> None:
        """The session cannot read the copy: it is told how many calls there were, and no more."""
        session = self.session
        if session is not None:
            self._counted(session)
            session.tell(Kind.BLIND, self.number, monotonic_ns(), _ILLEGIBLE)
            self._walker.blind()
            self._move()

    def close(self, direction: int, how: str) -> None:
        """The connection has ended; `direction` says which side did it, `how` is eof or reset."""
        self._closing = direction, how
        if not self._kept:
            self._close(direction, how)

    def _close(self, direction: int, how: str) -> None:
        session = self.session
        if session is not None:
            self._counted(session)
            session.tell(Kind.CLOSE, self.number, monotonic_ns(), how.encode(), direction)
            self.session = None
        if self._owner is not None:
            self._owner.watches.pop(self.number, None)
            self._owner = None
        self._walker.forget()
        self._counters.now[self._state] -= 1
        if self._state is State.OPAQUE:
            self._counters.opaque_bytes_open -= self._bytes

    def _leave(self, direction: int, data: memoryview, now: int, flags: int) -> None:
        """These bytes are too many for this turn, and come before all that are kept."""
        self._walker.rest = 0
        self._kept.appendleft((direction, _own(data), now, flags))
        self._cost(len(data) + CHUNK_COST)
        self._aside = True
        if not self._queued:
            self._queued = True
            self._later.put(self)

    def _put_aside(self, direction: int, data: memoryview, now: int, flags: int) -> None:
        if self._state is State.OPAQUE:
            self._counters.opaque_bytes += len(data)
            self._counters.opaque_bytes_open += len(data)
        elif self._state is State.UNCOUNTED:
            self._assume(direction, len(data))
        else:
            self._keep(direction, data, now, flags)

    def _keep(self, direction: int, data: memoryview, now: int, flags: int) -> None:
        """Keep for later, or give up."""
        self._kept.append((direction, _own(data), now, flags))
        self._cost(len(data) + CHUNK_COST)
        if self._kept_bytes > MAX_LATER or self._later.bytes > MAX_LATER_IN_ALL:
            self._stop(_TOO_MANY)

    def _cost(self, size: int) -> None:
        self._kept_bytes += size
        self._later.bytes += size

    def _stop(self, reason: bytes) -> None:
        """Look no more: what calls there will be is not known to anybody."""
        session = self.session
        if session is not None:
            self._counted(session)
            session.tell(Kind.BLIND, self.number, monotonic_ns(), reason)
        self._walker.forget()
        self._walker.state = State.UNCOUNTED
        for direction, data, _, _ in self._kept:
            self._assume(direction, len(data))
        self._move()

    def _assume(self, direction: int, size: int) -> None:
        """Of bytes that nobody walks: they are as many calls as fit into them."""
        if direction == CLIENT:
            self._unwalked += size
            more = self._unwalked // LEAST_CALL - self._assumed
            self._assumed += more
            self._walker.tally.blind_calls += more
            self._walker.tally.assumed_calls += more

    def _counted(self, session: Session) -> None:
        calls = U64.pack(self._walker.calls)
        session.tell(Kind.COUNTED, self.number, monotonic_ns(), calls)

    def _move(self) -> None:
        """Nobody is told more about this connection; the record that says so has been written."""
        state = self._walker.state
        if state is self._state:
            return
        self._counters.now[self._state] -= 1
        self._state = state
        self._counters.now[state] += 1
        self._counters.ever[state] += 1
        if state >= State.OPAQUE:
            self._aside = True
            self._cost(-self._kept_bytes)
            self._kept.clear()
        if state is State.OPAQUE:
            self._counters.opaque_bytes += self._bytes
            self._counters.opaque_bytes_open += self._bytes
        self.session = None


def _own(data: memoryview) -> memoryview:
    """The same bytes, for good: those of the read buffer are overwritten."""
    return data if isinstance(data.obj, bytes) else memoryview(bytes(data))
