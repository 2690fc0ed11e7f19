"""One connection as the tap sees it: its walk, its session, and how observing it can end.

Rule: `saw` never raises, and never waits. Whatever goes wrong here ends the observing, not the
connection. Counterparts: `frames` decides what is copied, `tap` carries it away, `later` has it
look again when there was too much for one turn.
"""

from __future__ import annotations

import json
from collections import deque
from time import monotonic_ns
from typing import Final

from sidecar.wire.frames import State, Tally, Walker
from sidecar.wire.later import CHUNK_COST, MAX_LATER, MAX_LATER_IN_ALL, Later
from sidecar.wire.records import HEADER, U64, Kind
from sidecar.wire.stats import Counters
from sidecar.wire.tap import Session

_pack = HEADER.pack
_TOO_MANY: Final = b"more frames than can be walked"


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
        "_bytes",
        "_closing",
        "_counters",
        "_kept",
        "_kept_bytes",
        "_later",
        "_owner",
        "_state",
        "_tally",
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
        self._kept: deque[tuple[int, bytes, int]] = deque()  # direction, bytes, time
        self._kept_bytes = 0
        self._bytes = 0  # that passed
        self._closing: tuple[int, str] | None = None  # the connection's end, to be told at last
        self._walker = Walker(
            session.sample if session else _never,
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
    def goaway_fits(self) -> bool:
        """Whether a GOAWAY may follow what the server has sent so far.

        Only between two frames, outside a header block; and not before the client's first call:
        gRPC's C core (1.85), told to go while it still sets the connection up, at times keeps it,
        and every call on it hangs.
        """
        return self._walker.called and self._walker.at_boundary and not self._kept

    def saw(self, direction: int, data: memoryview, now: int) -> None:
        """Look at bytes that were sent on, now or a little later; `data` is not kept.

        Args:
            now: before the bytes were sent on, after they had come.
        """
        self._bytes += len(data)
        if self._state >= State.OPAQUE:
            if self._state is State.OPAQUE:
                self._counters.opaque_bytes += len(data)
                self._counters.opaque_bytes_open += len(data)
        elif self._kept:
            self._keep(direction, bytes(data), now)
        else:
            rest = self._look(direction, data, now)
            if rest:
                self._keep(direction, rest, now)
                if self._kept:
                    self._later.put(self)

    def look_again(self) -> bool:
        """Walk more of what was left; False if nothing is."""
        if not self._kept:
            return False
        direction, data, now = self._kept.popleft()
        cost = len(data) + CHUNK_COST
        self._kept_bytes -= cost
        self._later.bytes -= cost
        rest = self._look(direction, data, now)
        if rest:
            self._kept.appendleft((direction, rest, now))
            self._cost(len(rest) + CHUNK_COST)
        if not self._kept and self._closing is not None:
            self._close(*self._closing)
        return bool(self._kept)

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

    def _look(self, direction: int, data: bytes | memoryview, now: int) -> bytes:
        """Walk and tell; returns what is left."""
        walker = self._walker
        session = self.session
        try:
            if session is None:
                walker.feed(direction, data, 0, 0)
            else:
                room = session.room
                records = walker.feed(
                    direction,
                    data,
                    room,
                    room - session.reserve,
                    everything=session.fraction >= 1.0,
                )
                if walker.state is not State.OBSERVED:
                    self._counted(session)
                number = self.number
                for kind, payload in records:
                    session.put(_pack(len(payload), kind, direction, 0, number, now), payload)
        except Exception as error:
            self._counters.errors += 1
            self._stop(f"{type(error).__name__} in the walk".encode())
            return b""
        if walker.state is not self._state:
            self._move()
        rest = walker.rest
        if rest:
            walker.rest = b""
        return rest

    def _keep(self, direction: int, data: bytes, now: int) -> None:
        """Keep for later, or give up."""
        self._kept.append((direction, data, now))
        self._cost(len(data) + CHUNK_COST)
        if self._kept_bytes > MAX_LATER or self._later.bytes > MAX_LATER_IN_ALL:
            self._stop(_TOO_MANY)

    def _cost(self, size: int) -> None:
        self._kept_bytes += size
        self._later.bytes += size

    def _stop(self, reason: bytes) -> None:
        """Look no more: what calls there will be is not known to anybody."""
        self._cost(-self._kept_bytes)
        self._kept.clear()
        session = self.session
        if session is not None:
            self._counted(session)
            session.tell(Kind.BLIND, self.number, monotonic_ns(), reason)
        self._walker.forget()
        self._walker.state = State.UNCOUNTED
        self._move()

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
        if state is State.OPAQUE:
            self._counters.opaque_bytes += self._bytes
            self._counters.opaque_bytes_open += self._bytes
        self.session = None


def _never() -> bool:
    return False
