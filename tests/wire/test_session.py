"""What observers can ask and try, and how little of production's time it takes."""

from __future__ import annotations

import asyncio
import errno
import socket
from pathlib import Path

from sidecar.wire.forward import GOAWAY
from sidecar.wire.header import PREFACE
from sidecar.wire.poll import Poller, run
from sidecar.wire.records import Kind, record
from sidecar.wire.session import Session
from sidecar.wire.tap import Tap
from tests.wire.harness import Upstream, frame, read_exactly, running_wire, through

TURNS = 100


async def turn() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


def test_what_is_asked_at_once_is_looked_for_once() -> None:
    async def scenario(poller: Poller) -> list[set[int]]:
        near, far = socket.socketpair()
        asked: list[set[int]] = []
        session = Session(poller, near, 1 << 20, lambda: 0.5, lambda _: None, asked.append)
        far.sendall(b"".join(record(Kind.GOAWAY, 0, number, 0) for number in (3, 0, 3, 0, 5)))
        await turn()
        session.end()
        far.close()
        return asked

    assert run(scenario) == [{0, 3, 5}]


def listening(poller: Poller, listener: socket.socket, folder: Path, most: int = 2) -> Tap:
    """A tap that takes observers from a socket."""
    listener.bind(str(folder / "tap.sock"))
    listener.listen()
    loop = asyncio.get_running_loop()
    tap = Tap(
        *(loop, poller, 1 << 20, most, {}, dict),
        *(lambda: 0.5, lambda _: None, lambda *_, **__: None),
    )
    tap.listen(listener)
    return tap


async def attached(folder: Path) -> socket.socket:
    """An observer that waits to be taken."""
    observer = socket.socket(socket.AF_UNIX)
    observer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(observer, str(folder / "tap.sock"))
    return observer


class Exhausted(socket.socket):
    """A listener of a process that has no file descriptors left, for a while."""

    tries = 0
    exhausted = True

    def accept(self) -> tuple[socket.socket, object]:
        self.tries += 1
        if self.exhausted:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def test_without_file_descriptors_an_observer_waits_and_the_wire_does_not_spin(
    tmp_path: Path,
) -> None:
    async def scenario(poller: Poller) -> tuple[int, bytes]:
        loop = asyncio.get_running_loop()
        listener = Exhausted(socket.AF_UNIX)
        tap = listening(poller, listener, tmp_path)
        observer = await attached(tmp_path)
        await turn()
        tries, listener.exhausted = listener.tries, False
        greeting = await asyncio.wait_for(loop.sock_recv(observer, 5), 60)
        tap.close()
        observer.close()
        return tries, greeting

    tries, greeting = run(scenario)
    assert tries < TURNS / 2
    assert greeting[4] == Kind.HELLO


class Handover(socket.socket):
    """A listener that takes an observer when the one before is gone, and nobody has heard of it."""

    before: socket.socket | None = None

    def accept(self) -> tuple[socket.socket, object]:
        if self.before is not None:
            self.before.close()
        return super().accept()


def test_an_observer_is_not_refused_for_one_that_is_gone(tmp_path: Path) -> None:
    async def scenario(poller: Poller) -> tuple[bytes, int]:
        loop = asyncio.get_running_loop()
        listener = Handover(socket.AF_UNIX)
        tap = listening(poller, listener, tmp_path, most=1)
        first = await attached(tmp_path)
        await asyncio.wait_for(loop.sock_recv(first, 1 << 16), 60)
        listener.before = first
        with await attached(tmp_path) as observer:
            greeting = await asyncio.wait_for(loop.sock_recv(observer, 5), 60)
        sessions = len(tap.sessions)
        tap.close()
        return greeting, sessions

    greeting, sessions = run(scenario)
    assert greeting[4:5] == bytes([Kind.HELLO])
    assert sessions == 1


def test_a_client_is_not_told_to_go_before_its_first_call(tmp_path: Path) -> None:
    settings, ack, headers = frame(4, 0, 0), frame(4, 1, 0), frame(1, 5, 1, b"\x82")
    with (
        Upstream() as upstream,
        running_wire(tmp_path, upstream.address, flags="--resync goaway") as wire,
        through(wire, upstream) as (busy, server),
        through(wire, upstream) as (fresh, its_server),
    ):
        busy.sendall(PREFACE + settings + headers)
        read_exactly(server, len(PREFACE + settings + headers))
        fresh.sendall(PREFACE + settings)
        read_exactly(its_server, len(PREFACE + settings))
        for near, far in ((busy, server), (fresh, its_server)):
            far.sendall(settings)
            assert read_exactly(near, len(settings)) == settings
        with wire.observer() as observer:
            observer.goaway()
            assert read_exactly(busy, len(GOAWAY)) == GOAWAY
        its_server.sendall(ack)
        assert read_exactly(fresh, len(ack)) == ack
        fresh.sendall(headers)
        assert read_exactly(its_server, len(headers)) == headers
        assert read_exactly(fresh, len(GOAWAY)) == GOAWAY
