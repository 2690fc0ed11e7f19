"""How the wire ends, and its limits."""

from __future__ import annotations

import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.wire.harness import (
    PATIENCE,
    RunningWire,
    Upstream,
    read_exactly,
    read_to_end,
    running_wire,
    through,
)


def begin_to_drain(wire: RunningWire, number: signal.Signals = signal.SIGTERM) -> None:
    """Send the signal, and come back when nobody is accepted any more."""
    wire.process.send_signal(number)
    refused = False
    while not refused:
        try:
            wire.connect().close()
        except OSError:
            refused = True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_accepting_and_open_connections_go_on_to_their_end(
    tmp_path: Path, upstream: Upstream, number: signal.Signals
) -> None:
    with (
        running_wire(tmp_path, upstream.address) as wire,
        through(wire, upstream) as (client, server),
    ):
        client.sendall(b"question")
        read_exactly(server, 8)
        begin_to_drain(wire, number)
        # A probe may have been accepted before; those that were are at their end already.
        upstream.listener.close()
        server.sendall(b"answer")
        server.close()
        assert read_to_end(client) == b"answer"
        client.close()
        assert wire.process.wait(PATIENCE) == 0


def test_without_connections_a_signal_ends_it_at_once(tmp_path: Path, upstream: Upstream) -> None:
    with running_wire(tmp_path, upstream.address, flags="--drain-seconds 3600") as wire:
        assert wire.stop() == 0


def test_a_hangup_and_a_foreign_terminal_neither_end_nor_stop_it(
    tmp_path: Path, upstream: Upstream
) -> None:
    with (
        running_wire(tmp_path, upstream.address) as wire,
        through(wire, upstream) as (client, server),
    ):
        for number in (signal.SIGHUP, signal.SIGTTOU):
            wire.process.send_signal(number)
        client.sendall(b"question")
        assert read_exactly(server, 8) == b"question"


def test_clients_that_wait_to_be_accepted_when_it_ends_are_not_reset(
    tmp_path: Path, upstream: Upstream
) -> None:
    upstream.listener.listen(256)
    with running_wire(tmp_path, upstream.address) as wire, ExitStack() as stack:
        wire.process.send_signal(signal.SIGSTOP)
        clients = [stack.enter_context(wire.connect()) for _ in range(200)]
        wire.process.send_signal(signal.SIGTERM)
        wire.process.send_signal(signal.SIGCONT)
        for client in clients:
            client.sendall(b"q")
            client.shutdown(socket.SHUT_WR)
        for _ in clients:
            with upstream.accept() as server:
                assert read_to_end(server) == b"q"
                server.sendall(b"a")
        assert [read_to_end(client) for client in clients] == [b"a"] * 200
        assert wire.process.wait(PATIENCE) == 0


def test_the_grace_time_ends(tmp_path: Path, upstream: Upstream) -> None:
    with (
        running_wire(tmp_path, upstream.address, flags="--drain-seconds 0.2") as wire,
        through(wire, upstream) as (client, server),
    ):
        client.sendall(b"question")
        read_exactly(server, 8)
        assert wire.stop() == 0
        assert client.recv(1) == server.recv(1) == b""


def test_a_second_signal_ends_it_at_once(tmp_path: Path, upstream: Upstream) -> None:
    with (
        running_wire(tmp_path, upstream.address, flags="--drain-seconds 3600") as wire,
        through(wire, upstream) as (client, server),
    ):
        client.sendall(b"question")
        read_exactly(server, 8)
        begin_to_drain(wire)
        assert wire.stop() == 0
        assert client.recv(1) == b""


def test_more_connections_than_allowed_are_reset_and_counted(
    tmp_path: Path, upstream: Upstream
) -> None:
    with (
        running_wire(tmp_path, upstream.address, flags="--connections 2") as wire,
        through(wire, upstream) as (client, server),
    ):
        with through(wire, upstream):
            for _ in range(2):
                wire.connect_and_be_reset()
            stats = wire.until(lambda stats: stats["rejected_total"] == 2)
            assert stats["connections_open"] == stats["connections_total"] == 2
            client.sendall(b"question")
            assert read_exactly(server, 8) == b"question"
        wire.until(lambda stats: stats["connections_open"] == 1)
        with through(wire, upstream) as (another, its_server):
            another.sendall(b"question")
            assert read_exactly(its_server, 8) == b"question"


def test_every_route_has_its_own_upstream(tmp_path: Path) -> None:
    with (
        Upstream() as one,
        Upstream() as two,
        running_wire(tmp_path, one.address, two.address) as wire,
    ):
        for listening, upstream in zip(wire.listening, (one, two), strict=True):
            wire.listening = [listening]
            with through(wire, upstream) as (client, server):
                client.sendall(b"question")
                assert read_exactly(server, 8) == b"question"


def test_hundreds_of_connections_at_once(tmp_path: Path, upstream: Upstream) -> None:
    with running_wire(tmp_path, upstream.address) as wire:
        pairs = []
        for _ in range(300):
            client = wire.connect()
            pairs.append((client, upstream.accept()))
        for number, (client, _) in enumerate(pairs):
            client.sendall(number.to_bytes(2, "big"))
        heard = {int.from_bytes(read_exactly(server, 2), "big") for _, server in pairs}
        assert heard == set(range(300))
        assert wire.stats()["connections_open"] == 300
        for pair in pairs:
            for end in pair:
                end.close()
        wire.until(lambda stats: stats["connections_open"] == 0)
