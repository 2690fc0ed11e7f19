"""The wire: its listeners, its connections, and how it ends.

Rule: accepting and connecting are the only things that can fail here, and they fail for one
connection at a time. Counterparts: `listen` and `connect` for its two ends, `forward` for the life
of a connection, `tap` for observers, `place` for where those find it.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from sidecar.address import TCP, Unix, format_address
from sidecar.wire.client import WaitingClient
from sidecar.wire.connect import open_upstream
from sidecar.wire.forward import Connection, reset_on_close
from sidecar.wire.later import Later
from sidecar.wire.listen import (
    BACKLOG,
    ListenError,
    close_listener,
    name_of,
    open_listeners,
)
from sidecar.wire.memory import waiting_limit
from sidecar.wire.options import Options, Route
from sidecar.wire.place import Place
from sidecar.wire.poll import Poller
from sidecar.wire.records import VERSION
from sidecar.wire.state import State
from sidecar.wire.stats import Counters, Snapshot
from sidecar.wire.tap import NO_FILES_SECONDS, Tap
from sidecar.wire.watch import Watch

LEAVE_SECONDS: Final = 0.5  # between two rounds of asking clients to go elsewhere
_ACCEPTS: Final = 64  # in one go, before the open connections have their turn


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
        self._counters = Counters(
            waiting_limit(
                options.memory_bytes, options.connections, options.sessions, options.tap_bytes
            )
        )
        self._later = Later(self._loop.call_soon)
        self._listeners: list[tuple[socket.socket, Route]] = []
        self._tap = Tap(
            self._loop,
            poller,
            options.tap_bytes,
            options.sessions,
            {},
            lambda: asdict(self.snapshot()),
            draw,
            self._goaway,
            log,
            self._strange,
        )
        self._place = (
            None if options.tap is None else Place(self._loop, options.tap, self._tap, log)
        )
        self._leaving: asyncio.TimerHandle | None = None
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
        for route in options.routes:
            try:
                opened = open_listeners(route.listen)
            except ListenError as error:
                errors.append(str(error))
                continue
            self.listening.append(name_of(opened[0]))
            self._listeners += [(sock, route) for sock in opened]
        if errors:
            self._stop_accepting()
            return errors
        self._loop.set_exception_handler(self._mistake)
        self._tap.hello = self._hello()
        if self._place is not None:
            self._place.open()
        for sock, route in self._listeners:
            self._loop.add_reader(sock.fileno(), self._accept, sock, route)
        return []

    def leave(self) -> None:
        """Ask every client to go elsewhere, from now on.

        Production is about to be told to end, and from then until the client knows, calls that are
        under way to it fail: a wire that has to wait for a core makes that longer. Asked before
        that, a client opens another connection, which the service leads to another pod. New
        connections may still come for a while, so it is asked again and again.
        """
        if self._leaving is None:
            self._log("leaving", connections=len(self._connections))
        for connection in list(self._connections):
            connection.leave()
        self._leaving = self._loop.call_later(LEAVE_SECONDS, self.leave)

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
        if self._leaving is not None:
            self._leaving.cancel()
        if self._place is not None:
            self._place.close()
        self._tap.close()

    def snapshot(self) -> Snapshot:
        """All counters and gauges, now."""
        counters, tap = self._counters, self._tap
        tally = tap.tally
        return Snapshot(
            connections_open=len(self._connections),
            connections_total=counters.connections,
            connections_opaque=counters.now[State.OPAQUE],
            connections_blind=counters.now[State.BLIND],
            connections_uncounted=counters.now[State.UNCOUNTED],
            opaque_total=counters.ever[State.OPAQUE],
            blind_total=counters.ever[State.BLIND],
            uncounted_total=counters.ever[State.UNCOUNTED],
            opaque_bytes=counters.opaque_bytes_open,
            opaque_bytes_total=counters.opaque_bytes,
            calls_total=tally.calls + tally.blind_calls,
            blind_calls_total=tally.blind_calls,
            assumed_calls_total=tally.assumed_calls,
            refused_total=counters.refused,
            rejected_total=counters.rejected,
            left_total=counters.left,
            lingered_total=counters.lingered,
            waiting_bytes=counters.waiting,
            bytes_from_client_total=counters.bytes_from_client,
            bytes_from_server_total=counters.bytes_from_server,
            tap_bytes_total=tap.told,
            tap_gap_frames_total=tally.gap_frames,
            tap_gap_bytes_total=tally.gap_bytes,
            tap_sessions=len(tap.sessions),
            tap_buffered_bytes=tap.buffered,
            goaways_total=counters.goaways,
            strangers_total=counters.strangers,
            errors_total=counters.errors,
        )

    def _hello(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "life": os.urandom(8).hex(),  # of this process: a pid comes again
            "resync": "goaway" if self._options.resync else "off",
            "routes": [
                {"listen": listen, "upstream": _write(route.upstream)}
                for listen, route in zip(self.listening, self._options.routes, strict=True)
            ],
        }

    def _strange(self) -> None:
        self._counters.strangers += 1

    def _mistake(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Something of ours failed: not silently, and production goes on."""
        self._counters.errors += 1
        what = context.get("exception") or context.get("message")
        self._log("mistake", error=repr(what), message=context.get("message"))

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
            task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._mistake(self._loop, {"message": "connecting failed", "exception": error})

    def _accept_again(self, listener: socket.socket, route: Route) -> None:
        if (listener, route) in self._listeners:
            self._loop.add_reader(listener.fileno(), self._accept, listener, route)

    async def _connect(self, client: socket.socket, peer: Any, route: Route, listen: str) -> None:
        """Reach production for a client; its bytes wait in its socket until then."""
        waiting = WaitingClient(self._loop, self._poller, client, self._options.linger_seconds)
        try:
            try:
                upstream = await open_upstream(self._loop, route.upstream)
            finally:
                waiting.stop()
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
        except BaseException as error:
            client.close()
            self._release()
            if isinstance(error, asyncio.CancelledError) and waiting.left:
                self._counters.left += 1
                return
            raise
        if route in self._unreachable:
            self._unreachable.remove(route)
            self._log("reachable again", upstream=_write(route.upstream))
        for sock in (client, upstream):
            _tune(sock)
        self._counters.connections += 1
        number = self._counters.connections
        watch = None
        if self._options.tap is not None:
            watch = Watch(
                number,
                self._tap.assign(),
                {
                    "peer": format_address(*peer[:2]) if isinstance(peer, tuple) else "unix:",
                    "listen": listen,
                    "upstream": _write(route.upstream),
                },
                self._tap.orphans,
                self._counters,
                self._later,
                resync=self._options.resync or self._options.leave is not None,
            )
        connection = Connection(
            self._poller,
            client,
            upstream,
            self._options.connection_bytes,
            self._counters,
            watch,
            self._closed,
            self._half_closed,
        )
        self._connections[connection] = number

    def _closed(self, connection: Connection) -> None:
        del self._connections[connection]
        self._release()

    def _half_closed(self, connection: Connection) -> None:
        self._loop.call_later(
            self._options.linger_seconds, self._linger, connection, connection.time
        )

    def _linger(self, connection: Connection, last: int) -> None:
        """Production has ended, and the client neither ends nor says anything: let it go."""
        if connection not in self._connections:
            return
        if connection.time != last:
            self._half_closed(connection)
            return
        self._counters.lingered += 1
        connection.close()

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
