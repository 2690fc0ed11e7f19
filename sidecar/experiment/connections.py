"""What the wire tells of connections: they open, their bytes come or are missing, they end.

Rule: connections are numbered by the wire, and one that is unknown or out of sight is left alone.
What their bytes turn out to be is handed on, and nothing is decided here. Counterparts: `session`,
which calls; `app`, which is told of calls; `observe.connection`, which reads one connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from sidecar.call import CallKey, Chunk, Direction, Event, Started
from sidecar.experiment.epoch import BoundedCounts
from sidecar.experiment.parts import Parts
from sidecar.http2.limits import ReadLimits
from sidecar.log import Log
from sidecar.observe.connection import Connection
from sidecar.wire.records import Kind

OPAQUE_REASONS = 8  # why connections cannot be read, counted by themselves


class Connections:
    """Every connection that is in sight; a `session.Listener`."""

    def __init__(
        self,
        parts: Parts,
        seen: Callable[[Started], bool],
        happened: Callable[[int, Sequence[Event]], None],
        now_ns: Callable[[], int],
        log: Log,
    ) -> None:
        """Begin with none.

        Args:
            parts: those of the experiment.
            seen: told of a call whose header has been read; whether anybody gets it.
            happened: told what became of calls of a connection, in order.
            now_ns: the monotonic clock.
            log: told of a wire that comes and goes.
        """
        self._operation = parts.operation
        self._harmless = parts.harmless
        self._receivers = parts.receivers
        self._judging = parts.judging
        self._spans = parts.spans
        self._wire = parts.wire
        self._budget = parts.budget
        self._seen = seen
        self._happened = happened
        self._now_ns = now_ns
        self._log = log
        bounds = parts.operation.settings.pairs
        self._limits = ReadLimits(
            max_request_bytes=bounds.max_request_bytes,
            max_response_bytes=bounds.max_response_bytes,
        )
        self._open: dict[int, Connection] = {}
        self._opaque = BoundedCounts(OPAQUE_REASONS)
        self.is_attached = False  # to a wire
        self.wire_stats: Mapping[str, Any] = {}  # the wire's own figures; empty: unknown

    # ---- the wire itself ------------------------------------------------------------------------

    def attached(self, hello: dict[str, Any]) -> None:
        self.is_attached = True
        self._judging.attached(hello, self._operation.fraction)
        self._harmless.attached(str(hello.get("life", "")), self._now_ns())
        self._wire.attached.set()
        self._log.info("attached", wire_pid=hello.get("pid"))

    def detached(self) -> None:
        for number in list(self._open):
            self.out_of_sight(number, Kind.BLIND, "detached from the wire")
        self.is_attached = False
        self.wire_stats = {}
        self._judging.detached()
        self._harmless.detached()
        self._log.info("detached")

    def stats(self, figures: dict[str, Any]) -> None:
        self.wire_stats = figures
        self._judging.stats(figures, self._operation.fraction)

    def heard(self, copied_ns: int) -> None:
        """Learn how late the copies come, and change how many there will be."""
        now_ns = self._now_ns()
        self._operation.heard(now_ns - copied_ns, self._receivers.pressure(), now_ns)

    # ---- one connection -------------------------------------------------------------------------

    def opened(self, conn: int, about: dict[str, Any]) -> None:
        self._open[conn] = Connection(
            conn, about["peer"], self._seen, self._limits, self._budget, self._harmless.timing
        )
        self._spans.upstream(conn, about["upstream"])
        self._wire.busy.set()

    def copied(self, conn: int, direction: Direction, data: Chunk, now_ns: int) -> None:
        connection = self._open.get(conn)
        if connection is not None:
            self._happened(conn, connection.feed(direction, data, now_ns))
            if connection.state != "open":
                self._unreadable(connection)

    def gap(self, conn: int, direction: Direction, size: int, now_ns: int) -> None:
        self._operation.pace.lost()
        connection = self._open.get(conn)
        if connection is not None:
            self._happened(conn, connection.gap(direction, size, now_ns))
            if connection.state != "open":
                self._unreadable(connection)

    def unsampled(self, conn: int, streams: tuple[int, ...]) -> None:
        connection = self._open.get(conn)
        if connection is not None:
            if lost := connection.unsampled(streams):
                self._happened(conn, lost)
            if connection.state != "open":
                self._unreadable(connection)

    def counted(self, conn: int, calls: int) -> None:
        connection = self._open.get(conn)
        if connection is not None:
            self._judging.counted(conn, calls, connection.calls, self._operation.fraction)

    def out_of_sight(self, conn: int, kind: Kind, reason: str) -> None:
        connection = self._open.pop(conn, None)
        if kind is Kind.OPAQUE:
            self._unread(reason)
        if connection is not None:
            state: Literal["opaque", "blind"] = "opaque" if kind is Kind.OPAQUE else "blind"
            self._happened(conn, connection.lose_sight(state, reason))
            self._spans.gone(conn)

    def closed(self, conn: int, by: Direction, how: str, now_ns: int) -> None:
        connection = self._open.pop(conn, None)
        if connection is not None:
            self._happened(conn, connection.close(by, how, now_ns))
            self._spans.gone(conn)

    def forget(self, key: CallKey) -> None:
        """Stop reading a call that nobody waits for any more."""
        connection = self._open.get(key.connection)
        if connection is not None:
            connection.forget(key)

    def _unreadable(self, connection: Connection) -> None:
        """Once: from here on the wire counts the connection's calls."""
        if not connection.reported:
            connection.reported = True
            self._unread(connection.why)
            self._judging.unreadable(connection.conn)
            self._wire.unreadable(connection.conn)

    def _unread(self, reason: str) -> None:
        """Count a connection that nobody can read; tell of each reason once."""
        if reason not in self._opaque.counts:
            self._log.warning("unreadable_connection", reason=reason, further="in /status, opaque")
        self._opaque.count(reason)

    # ---- what is shown --------------------------------------------------------------------------

    @property
    def by_state(self) -> dict[str, int]:
        """How many connections are open, opaque and blind: the wire's count and our own."""
        here = [connection.state for connection in self._open.values()]
        return {
            "open": self.wire_stats.get("connections_open", 0),
            "opaque": self.wire_stats.get("connections_opaque", 0) + here.count("opaque"),
            "blind": self.wire_stats.get("connections_blind", 0) + here.count("blind"),
        }

    @property
    def opaque(self) -> Mapping[str, int]:
        """Connections that nobody reads, by reason, since the start."""
        return self._opaque.counts
