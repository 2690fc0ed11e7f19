"""What happens to production's bytes, over real sockets and through a real wire process."""

from __future__ import annotations

import random
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.wire.harness import (
    RunningWire,
    Upstream,
    in_background,
    read_exactly,
    read_to_end,
    reset,
    running_wire,
    through,
)


@pytest.fixture
def wire(tmp_path: Path, upstream: Upstream) -> Iterator[RunningWire]:
    with running_wire(tmp_path, upstream.address) as wire:
        yield wire


def send_in_cuts(sock: socket.socket, data: bytes, seed: int) -> None:
    draw = random.Random(seed)
    view = memoryview(data)
    while view:
        cut = draw.choice((1, 7, 1000, 65_536, 1 << 20))
        sock.sendall(view[:cut])
        view = view[cut:]


def test_bytes_arrive_unaltered_in_both_directions_at_once(
    wire: RunningWire, upstream: Upstream
) -> None:
    question = random.Random(1).randbytes(64 << 20)
    answer = random.Random(2).randbytes(48 << 20)
    with through(wire, upstream) as (client, server):
        heard = []
        work = [
            in_background(lambda: send_in_cuts(client, question, 3)),
            in_background(lambda: send_in_cuts(server, answer, 4)),
            in_background(lambda: heard.append(read_exactly(client, len(answer)))),
        ]
        assert read_exactly(server, len(question)) == question
        for thread in work:
            thread.join()
        assert heard == [answer]


def test_the_end_of_one_direction_leaves_the_other_open(
    wire: RunningWire, upstream: Upstream
) -> None:
    with through(wire, upstream) as (client, server):
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(server) == b"question"
        server.sendall(b"a late answer")
        assert read_exactly(client, 13) == b"a late answer"
        server.close()
        assert client.recv(1) == b""
    wire.until(lambda stats: stats["connections_open"] == 0)


def test_the_server_may_end_first(wire: RunningWire, upstream: Upstream) -> None:
    with through(wire, upstream) as (client, server):
        server.sendall(b"banner")
        server.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"banner"
        client.sendall(b"still here")
        assert read_exactly(server, 10) == b"still here"


def test_the_end_comes_after_all_that_a_slow_reader_had_not_read(
    wire: RunningWire, upstream: Upstream
) -> None:
    data = random.Random(5).randbytes(24 << 20)
    with through(wire, upstream) as (client, server):

        def speak_and_end() -> None:
            server.sendall(data)
            server.shutdown(socket.SHUT_WR)

        thread = in_background(speak_and_end)
        wire.until(lambda stats: stats["bytes_from_server_total"] > 1 << 20)
        assert read_to_end(client) == data
        thread.join()


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_reset_is_passed_on_as_a_reset(wire: RunningWire, upstream: Upstream, who: str) -> None:
    with through(wire, upstream) as (client, server):
        client.sendall(b"x")
        read_exactly(server, 1)
        first, other = (client, server) if who == "client" else (server, client)
        reset(first)
        with pytest.raises(ConnectionResetError):
            other.recv(1)
    wire.until(lambda stats: stats["connections_open"] == 0)


def test_a_server_that_closes_on_unread_bytes_resets_and_its_last_words_arrive(
    wire: RunningWire, upstream: Upstream
) -> None:
    with through(wire, upstream) as (client, server):
        client.sendall(b"never read")
        wire.until(lambda stats: stats["bytes_from_client_total"] == 10)
        server.sendall(b"go away")
        assert read_exactly(client, 7) == b"go away"
        server.close()
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_write_that_fails_first_loses_neither_the_last_words_nor_the_reset(
    wire: RunningWire, upstream: Upstream
) -> None:
    with through(wire, upstream) as (client, server):
        client.sendall(b"question")
        read_exactly(server, 8)
        wire.process.send_signal(signal.SIGSTOP)
        client.sendall(b"more")  # the wire will come upon this before it looks at the server
        server.sendall(b"last words")
        reset(server)
        wire.process.send_signal(signal.SIGCONT)
        assert read_exactly(client, 10) == b"last words"
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_refused_upstream_is_a_reset_for_the_client(tmp_path: Path) -> None:
    with Upstream() as gone:
        address = gone.address
    with running_wire(tmp_path, address) as wire:
        for _ in range(3):
            wire.connect_and_be_reset()
        stats = wire.until(lambda stats: stats["refused_total"] == 3)
        assert stats["connections_total"] == stats["connections_open"] == 0
        assert wire.log.read_text().count('"unreachable"') == 1


def test_a_host_name_that_does_not_exist_is_a_reset_too(tmp_path: Path) -> None:
    with running_wire(tmp_path, "no-such-host.invalid:1") as wire:
        wire.connect_and_be_reset()


def test_an_upstream_is_reached_again_once_it_is_back(tmp_path: Path) -> None:
    path = str(tmp_path / "production.sock")
    with running_wire(tmp_path, f"unix:{path}") as wire:
        wire.connect_and_be_reset()
        with (
            Upstream(socket.AF_UNIX, path) as upstream,
            through(wire, upstream) as (client, server),
        ):
            client.sendall(b"hello")
            assert read_exactly(server, 5) == b"hello"
        assert '"reachable again"' in wire.log.read_text()


def test_upstreams_are_reached_over_ipv6_names_and_unix_sockets(tmp_path: Path) -> None:
    with (
        Upstream(socket.AF_INET6, ("::1", 0)) as v6,
        Upstream() as v4,
        Upstream(socket.AF_UNIX, str(tmp_path / "production.sock")) as unix,
    ):
        by_name = v4.address.replace("127.0.0.1", "localhost")
        for upstream, address in ((v6, v6.address), (v4, by_name), (unix, unix.address)):
            with (
                running_wire(tmp_path, address, tap=False) as wire,
                through(wire, upstream) as (client, server),
            ):
                client.sendall(b"question")
                assert read_exactly(server, 8) == b"question"
                server.sendall(b"answer")
                assert read_exactly(client, 6) == b"answer"


def test_clients_come_over_ipv6_and_unix_sockets(tmp_path: Path, upstream: Upstream) -> None:
    for listen in ("[::1]:0", f"unix:{tmp_path}/listen.sock"):
        with running_wire(tmp_path, upstream.address, listen=listen) as wire:
            if listen.startswith("unix:"):
                client = socket.socket(socket.AF_UNIX)
                client.connect(listen.removeprefix("unix:"))
            else:
                client = socket.create_connection(("::1", wire.port))
            with client, upstream.accept() as server:
                client.sendall(b"question")
                assert read_exactly(server, 8) == b"question"
            assert wire.stop() == 0
    assert not (tmp_path / "listen.sock").exists()


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_reader_that_does_not_read_stops_the_other_side(
    tmp_path: Path, upstream: Upstream, who: str
) -> None:
    # What the kernel buffers on four sockets is bounded by tcp_rmem and tcp_wmem; far more is
    # offered than those and the wire's own buffer take together.
    offered = 256 << 20
    with (
        running_wire(tmp_path, upstream.address, flags="--connection-bytes 65536") as wire,
        through(wire, upstream) as (client, server),
    ):
        sender, reader = (server, client) if who == "client" else (client, server)
        before = wire.peak_bytes()
        sender.settimeout(1.0)
        sent = 0
        with suppress(TimeoutError):
            while sent < offered:
                sent += sender.send(bytes(1 << 20))
        assert sent < offered // 4
        assert wire.peak_bytes() - before < 8 << 20
        assert read_exactly(reader, sent) == bytes(sent)
        sender.sendall(b"and on it goes")
        assert read_exactly(reader, 14) == b"and on it goes"


def test_bytes_sent_before_the_upstream_answers_are_not_lost(tmp_path: Path) -> None:
    with Upstream() as upstream, running_wire(tmp_path, upstream.address) as wire:
        clients = [wire.connect() for _ in range(20)]
        for number, client in enumerate(clients):
            client.sendall(bytes([number]) * 1000)
            client.shutdown(socket.SHUT_WR)
        heard = []
        for _ in clients:
            with upstream.accept() as server:
                heard.append(read_to_end(server))
        assert sorted(heard) == [bytes([number]) * 1000 for number in range(20)]
        for client in clients:
            client.close()
