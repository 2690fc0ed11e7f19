"""The observer's end of the tap: attaches to the wire, reads records, feeds the connections.

Rule: whatever arrives, the reader survives; a wire that goes away is waited for. Counterpart:
`sidecar.wire.tap`, which listens.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Protocol, cast

from sidecar.call import Chunk, Direction
from sidecar.log import Log
from sidecar.observe.tap import Record, TapError, TapReader
from sidecar.wire.peer import check_directory, check_peer
from sidecar.wire.records import Kind, record

READ_BYTES = 64 << 10  # in one go: then what the shadows have answered has its turn
RETRY_FIRST = 0.05
RETRY_LAST = 1.0
FRACTION = struct.Struct("!d")
CONNECTIONS_A_LIFE = 1 << 48  # more than a wire can number before it ends


class Listener(Protocol):
    """What a session tells. Calls come in the order of the bytes on the wire."""

    def attached(self, hello: dict[str, Any]) -> None:
        """A session with a wire has begun."""

    def detached(self) -> None:
        """The session has ended: every connection is out of sight."""

    def heard(self, copied_ns: int) -> None:
        """All that was copied up to this instant has been told."""

    def opened(self, conn: int, about: dict[str, Any]) -> None:
        """A connection that is observed from its first byte."""

    def copied(self, conn: int, direction: Direction, data: Chunk, now_ns: int) -> None:
        """The next bytes of one direction."""

    def gap(self, conn: int, direction: Direction, size: int, now_ns: int) -> None:
        """So many next bytes were not copied."""

    def unsampled(self, conn: int, streams: tuple[int, ...]) -> None:
        """These new streams come without their DATA."""

    def counted(self, conn: int, calls: int) -> None:
        """So many calls of this connection were copied; no more of them will be."""

    def out_of_sight(self, conn: int, kind: Kind, reason: str) -> None:
        """The connection is forwarded but no longer copied (OPAQUE or BLIND)."""

    def closed(self, conn: int, by: Direction, how: str, now_ns: int) -> None:
        """The connection has ended."""

    def stats(self, figures: dict[str, Any]) -> None:
        """The wire's own counters."""


class Session(asyncio.BufferedProtocol):
    """One attachment to the wire."""

    def __init__(self, listener: Listener, log: Log, first: int = 0) -> None:
        """`first` is added to the wire's numbers: a wire that restarts counts from 1 again, and
        calls of its last life may still be waiting for a shadow."""
        self._listener = listener
        self._first = first
        self._log = log
        self._reader = TapReader()
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._transport: asyncio.WriteTransport | None = None
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._listener.detached()
        if not self.ended.done():
            self.ended.set_result(None)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        items: list[Record] = []
        try:
            try:
                self._reader.feed(bytes(self._buffer[:nbytes]), items)
            finally:  # what came before an error counts
                for item in items:
                    if item.kind is Kind.BYTES:  # nearly every one
                        self._listener.copied(
                            self._first + item.conn, item.direction, item.payload, item.time_ns
                        )
                    else:
                        self._tell(item)
            if items:
                self._listener.heard(items[-1].time_ns)
        except TapError as error:
            # What is on the other end is not a wire of our version; start over.
            self._log.warning("tap_unreadable", error=str(error))
            self.close()

    def _tell(self, item: Record) -> None:
        listener = self._listener
        conn = self._first + item.conn
        match item.kind:
            case Kind.GAP:
                listener.gap(conn, item.direction, item.number, item.time_ns)
            case Kind.UNSAMPLED:
                listener.unsampled(conn, item.numbers)
            case Kind.OPEN:
                listener.opened(conn, item.json())
            case Kind.CLOSE:
                listener.closed(conn, item.direction, item.text, item.time_ns)
            case Kind.COUNTED:
                listener.counted(conn, item.number)
            case Kind.OPAQUE | Kind.BLIND:
                listener.out_of_sight(conn, item.kind, item.text)
            case Kind.STATS:
                listener.stats(item.json())
            case Kind.HELLO:
                listener.attached(item.json())

    def sample(self, fraction: float) -> None:
        """Ask the wire to copy the DATA of this share of new streams."""
        if self._transport is not None:
            self._transport.write(record(Kind.SAMPLE, 0, 0, 0, FRACTION.pack(fraction)))

    def unreadable(self, conn: int) -> None:
        """Have the wire count a connection's calls, which cannot be read here."""
        if self._transport is not None:
            number = conn - self._first
            self._transport.write(record(Kind.UNREADABLE, 0, number, 0))

    def resync(self) -> None:
        """Ask the wire to make the clients of blind connections reconnect."""
        if self._transport is not None:
            self._transport.write(record(Kind.GOAWAY, 0, 0, 0))

    def close(self) -> None:
        """Detach."""
        if self._transport is not None:
            self._transport.abort()


async def attach(
    path: Path,
    listener: Listener,
    log: Log,
    on_session: Callable[[Session | None], None],
) -> None:
    """Stay attached to the wire at `path` until cancelled, whatever happens to it."""
    loop = asyncio.get_running_loop()
    delay = RETRY_FIRST
    lives = count(0, CONNECTIONS_A_LIFE)
    refused = ""
    while True:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.setblocking(False)
            check_directory(path.parent)
            await loop.sock_connect(sock, str(path))
            check_peer(sock)
            _, session = await loop.create_unix_connection(
                lambda: Session(listener, log, next(lives)), sock=sock
            )
        except OSError as error:
            sock.close()
            if isinstance(error, PermissionError) and str(error) != refused:
                refused = str(error)
                log.warning("tap_refused", error=refused)
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_LAST)
            continue
        began = loop.time()
        on_session(session)
        try:
            await session.ended
        finally:
            on_session(None)
            session.close()
        # A session that ends at once was refused by one of us: do not hammer.
        delay = RETRY_FIRST if loop.time() - began > RETRY_LAST else min(delay * 2, RETRY_LAST)
        await asyncio.sleep(delay)
