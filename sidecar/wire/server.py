"""The wire: its listeners, its connections, and how it ends.

Rule: accepting and connecting are the only things that can fail here, and they fail for one
connection at a time. Counterparts: `listen` and `connect` for its two ends, `forward` for the life
of a connection, `tap` for observers.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from sidecar.address import TCP, Unix, format_address
from sidecar.wire.connect import open_upstream
from sidecar.wire.forward import Connection, reset_on_close
from sidecar.wire.frames import State, Tally
from sidecar.wire.listen import (
    BACKLOG,
    ListenError,
    close_listener,
    name_of,
    open_listeners,
    open_unix,
)
from sidecar.wire.poll import Poller
from sidecar.wire.records import VERSION
from sidecar.wire.stats import Counters, Snapshot
from sidecar.wire.tap import NO_FILES_SECONDS, Tap
from sidecar.wire.watch import Watch

_ACCEPTS: Final = 64  # in one go, before the open connections have their turn


@dataclass(frozen=True, slots=True)
class Route:
    """One listening address and the model server behind it."""

    listen: TCP | Unix
    upstream: TCP | Unix


@dataclass(frozen=True, slots=True)
class Options:
    """What a wire is to do. Sizes are bytes, durations seconds."""

    routes: tuple[Route, ...]
    tap: Path | None = None
    tap_bytes: int = 8 << 20
    connection_bytes: int = 256 << 10
    connections: int = 10_000
    drain_seconds: float = 30.0
    resync: bool = False


class Wire:
    """Production's path.

    Args:
        log: called with an event and its fields.
        draw: uniform in [0, 1), for sampling.
    """

    def __init__(
        self,
        options: Options,
        poller: Poller,
        log: Callable[..., None],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._options = options
        self._log = log
        self._draw = draw
        self._loop = asyncio.get_running_loop()
        self._poller = poller
        self._counters = Counters()
        self._tally = Tally()
        self._listeners: list[tuple[socket.socket, Route]] = []
        self._tap: Tap | None = None
        self._connections: dict[Connection, int] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        self._taken = 0  # of the connections allowed: the open ones, and those to be
        self._idle = asyncio.Event()
        self._idle.set()
        self._unreachable: set[Route] = set()
        self.listening: list[str] = []

    def start(self) -> list[str]:
        """Listen everywhere; returns what could not be listened on, then nothing is open."""
        options = self._options
        errors = []
        tap: socket.socket | None = None
        for route in options.routes:
            try:
                opened = open_listeners(route.listen)
            except ListenError as error:
                errors.append(str(error))
                continue
            self.listening.append(name_of(opened[0]))
            self._listeners += [(sock, route) for sock in opened]
        if options.tap is not None:
            try:
                tap = open_unix(options.tap, 0o660)
            except ListenError as error:
                errors.append(str(error))
        if errors:
            self._stop_accepting()
            if tap is not None:
                close_listener(tap)
            return errors
        if tap is not None:
            self._tap = Tap(
                self._loop,
                self._poller,
                tap,
                options.tap_bytes,
                self._hello(),
                lambda: asdict(self.snapshot()),
                self._draw,
                self._goaway,
                self._log,
            )
        for sock, route in self._listeners:
            self._loop.add_reader(sock.fileno(), self._accept, sock, route)
        return []

    async def drain(self, ending: asyncio.Event) -> None:
        """Accept no more, and wait until all connections have closed or `ending` is set."""
        for listener, route in list(self._listeners):
            # Whose handshake is over is connected, in its own eyes: closing would reset it.
            for _ in range(BACKLOG // _ACCEPTS):
                self._accept(listener, route)
        self._stop_accepting()
        waits = [asyncio.create_task(event.wait()) for event in (self._idle, ending)]
        await asyncio.wait(
            waits, timeout=self._options.drain_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for wait in waits:
            wait.cancel()

    def close(self) -> None:
        """Close everything that is still open."""
        self._stop_accepting()
        for task in self._connecting:
            task.cancel()
        for connection in list(self._connections):
            connection.close()
        if self._tap is not None:
            self._tap.close()
            self._tap = None

    def snapshot(self) -> Snapshot:
        """All counters and gauges, now."""
        counters, tap = self._counters, self._tap
        return Snapshot(
            connections_open=len(self._connections),
            connections_total=counters.connections,
            connections_opaque=counters.now[State.OPAQUE],
            connections_blind=counters.now[State.BLIND],
            opaque_total=counters.ever[State.OPAQUE],
            blind_total=counters.ever[State.BLIND],
            blind_calls_total=self._tally.blind_calls,
            refused_total=counters.refused,
            rejected_total=counters.rejected,
            bytes_from_client_total=counters.bytes_from[0],
            bytes_from_server_total=counters.bytes_from[1],
            tap_bytes_total=tap.told if tap else 0,
            tap_gap_frames_total=self._tally.gap_frames,
            tap_gap_bytes_total=self._tally.gap_bytes,
            tap_sessions=len(tap.sessions) if tap else 0,
            tap_buffered_bytes=tap.buffered if tap else 0,
            goaways_total=counters.goaways,
        )

    def _hello(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "resync": "goaway" if self._options.resync else "off",
            "routes": [
                {"listen": listen, "upstream": _write(route.upstream)}
                for listen, route in zip(self.listening, self._options.routes, strict=True)
            ],
        }

    def _stop_accepting(self) -> None:
        for sock, _ in self._listeners:
            self._loop.remove_reader(sock.fileno())
            close_listener(sock)
        self._listeners.clear()

    def _accept(self, listener: socket.socket, route: Route) -> None:
        for _ in range(_ACCEPTS):
            try:
                client, peer = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._log("cannot accept", error=str(error))
                self._loop.remove_reader(listener.fileno())
                self._loop.call_later(NO_FILES_SECONDS, self._accept_again, listener, route)
                return
            if self._taken >= self._options.connections:
                self._counters.rejected += 1
                reset_on_close(client)
                client.close()
                continue
            client.setblocking(False)
            self._taken += 1
            self._idle.clear()
            task = self._loop.create_task(self._connect(client, peer, route, name_of(listener)))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    def _accept_again(self, listener: socket.socket, route: Route) -> None:
        if (listener, route) in self._listeners:
            self._loop.add_reader(listener.fileno(), self._accept, listener, route)

    async def _connect(self, client: socket.socket, peer: Any, route: Route, listen: str) -> None:
        """Reach production for a client; its bytes wait in its socket until then."""
        try:
            upstream = await open_upstream(self._loop, route.upstream)
        except OSError as error:
            # The client's handshake is over, so it cannot be refused any more: a reset is what
            # comes closest.
            self._counters.refused += 1
            if route not in self._unreachable:
                self._unreachable.add(route)
                self._log("unreachable", upstream=_write(route.upstream), error=str(error))
            reset_on_close(client)
            client.close()
            self._release()
            return
        except BaseException:
            client.close()
            self._release()
            raise
        if route in self._unreachable:
            self._unreachable.remove(route)
            self._log("reachable again", upstream=_write(route.upstream))
        for sock in (client, upstream):
            _tune(sock)
        self._counters.connections += 1
        number = self._counters.connections
        watch = None
        if self._tap is not None:
            watch = Watch(
                number,
                self._tap.assign(),
                {
                    "peer": format_address(*peer[:2]) if isinstance(peer, tuple) else "unix:",
                    "listen": listen,
                    "upstream": _write(route.upstream),
                },
                self._tally,
                self._counters,
                resync=self._options.resync,
            )
        connection = Connection(
            self._poller,
            client,
            upstream,
            self._options.connection_bytes,
            self._counters,
            watch,
            self._closed,
        )
        self._connections[connection] = number

    def _closed(self, connection: Connection) -> None:
        del self._connections[connection]
        self._release()

    def _release(self) -> None:
        self._taken -= 1
        if not self._taken:
            self._idle.set()

    def _goaway(self, numbers: set[int]) -> None:
        if self._options.resync:
            for connection, number in list(self._connections.items()):
                if 0 in numbers or number in numbers:
                    connection.goaway()


def _tune(sock: socket.socket) -> None:
    if sock.family != socket.AF_UNIX:
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _write(address: TCP | Unix) -> str:
    return f"unix:{address.path}" if isinstance(address, Unix) else format_address(*address)
