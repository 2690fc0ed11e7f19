"""One connection as the tap sees it: its walk, its session, and how observing it can end.

Rule: `saw` never raises, and never waits. Whatever goes wrong here ends the observing, not the
connection. Counterparts: `frames` decides what is copied, `tap` carries it away.
"""

from __future__ import annotations

import json
from time import monotonic_ns

from sidecar.wire.frames import State, Tally, Walker
from sidecar.wire.records import HEADER, Kind
from sidecar.wire.stats import Counters
from sidecar.wire.tap import Session

_pack = HEADER.pack


class Watch:
    """The observing of one connection.

    Args:
        number: the connection's, in records.
        session: who observes it; None if nobody does, then it is blind from the start.
        about: what the OPEN record says.
        resync: whether a GOAWAY may ever be asked for, which makes blind connections cost more.
    """

    __slots__ = ("_counters", "_state", "_walker", "number", "session")

    def __init__(
        self,
        number: int,
        session: Session | None,
        about: dict[str, str],
        tally: Tally,
        counters: Counters,
        *,
        resync: bool,
    ) -> None:
        self.number = number
        self.session = session
        self._counters = counters
        self._walker = Walker(
            session.sample if session else _never,
            tally,
            observed=session is not None,
            follow_server=resync,
        )
        self._state = self._walker.state
        counters.now[self._state] += 1
        counters.ever[self._state] += 1
        if session is not None:
            session.watches.add(self)
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
        return self._walker.called and self._walker.at_boundary

    def saw(self, direction: int, data: memoryview) -> None:
        """Look at bytes that were sent on; they are not kept."""
        walker = self._walker
        session = self.session
        try:
            if session is None:
                walker.feed(direction, data, 0, 0)
            else:
                room = session.limit - session.size
                records = walker.feed(
                    direction,
                    data,
                    room,
                    room - session.reserve,
                    everything=session.fraction >= 1.0,
                )
                if records:
                    now = monotonic_ns()
                    number = self.number
                    for kind, payload in records:
                        session.put(_pack(len(payload), kind, direction, 0, number, now), payload)
        except Exception as error:
            walker.state = State.OPAQUE
            if session is not None:
                reason = f"{type(error).__name__} in the walk".encode()
                session.tell(Kind.OPAQUE, self.number, monotonic_ns(), reason)
        if walker.state is not self._state:
            self._move()

    def abandon(self) -> None:
        """The session has ended: go on without."""
        self._walker.blind()
        self._move()

    def close(self, direction: int, how: str) -> None:
        """The connection has ended; `direction` says which side did it, `how` is eof or reset."""
        session = self.session
        if session is not None:
            session.tell(Kind.CLOSE, self.number, monotonic_ns(), how.encode(), direction)
            session.watches.discard(self)
            self.session = None
        self._counters.now[self._state] -= 1

    def _move(self) -> None:
        """Nobody is told more about this connection; the record that says so has been written."""
        self._counters.now[self._state] -= 1
        self._state = self._walker.state
        self._counters.now[self._state] += 1
        self._counters.ever[self._state] += 1
        if self.session is not None:
            self.session.watches.discard(self)
            self.session = None


def _never() -> bool:
    return False
