"""Places, memory and the tap, when those around the wire do not do as they should."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sidecar.address import TCP
from sidecar.wire import connect
from sidecar.wire.memory import CONNECTIONS, SESSIONS, TAP_BYTES, waiting_limit
from sidecar.wire.peer import check_directory, check_peer
from sidecar.wire.records import Kind
from tests.wire.harness import (
    PATIENCE,
    Upstream,
    exchange,
    frame,
    read_exactly,
    reset,
    running_wire,
    through,
)
from tests.wire.walks import DATA, HEADERS, OPENINGS

CLIENT_OPENING, SERVER_OPENING = OPENINGS[0][1], OPENINGS[1][1]


class ToItself(socket.socket):
    """Its own port is the one that it connects to, as an ephemeral one may be by chance."""

    def connect(self, where: Any) -> None:
        self.bind(where)
        super().connect(where)


def test_a_connection_to_itself_is_refused_and_leaves_the_port_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(socket, "socket", ToItself)

    async def reach() -> None:
        await connect.open_upstream(asyncio.get_running_loop(), TCP("127.0.0.1", port))

    with pytest.raises(ConnectionRefusedError, match="itself"):
        asyncio.run(reach())
    monkeypatch.undo()
    with socket.socket() as production:
        production.bind(("127.0.0.1", port))
        production.listen()


def test_a_client_that_stays_after_production_has_closed_gives_its_place_back(
    tmp_path: Path,
) -> None:
    with Upstream() as upstream:
        with running_wire(tmp_path, upstream.address, flags="--linger-seconds 0.2") as wire:
            with through(wire, upstream) as (client, server):
                exchange(client, server, b"x")
                server.close()
                assert client.recv(1) == b""
                stats = wire.until(lambda stats: stats["lingered_total"] == 1)
                assert stats["connections_open"] == 0


def test_a_client_that_says_no_more_may_wait_for_its_answer_as_long_as_production_takes(
    tmp_path: Path,
) -> None:
    with Upstream() as upstream:
        with running_wire(tmp_path, upstream.address, flags="--linger-seconds 0.01") as wire:
            with through(wire, upstream) as (client, server):
                client.sendall(b"x")
                client.shutdown(socket.SHUT_WR)
                assert read_exactly(server, 1) == b"x"
                assert server.recv(1) == b""
                for _ in range(20):  # many times as long as it would linger
                    wire.stats()
                server.sendall(b"late")
                assert read_exactly(client, 4) == b"late"


def test_a_client_that_leaves_before_production_is_reached_gives_its_place_back(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX) as full:
        full.bind(str(tmp_path / "full.sock"))
        full.listen(0)
        waiting = socket.socket(socket.AF_UNIX)
        waiting.connect(str(tmp_path / "full.sock"))
        with running_wire(tmp_path, f"unix:{tmp_path}/full.sock") as wire:
            client = wire.connect()
            client.sendall(b"x")
            reset(client)
            wire.until(lambda stats: stats["left_total"] == 1)
        waiting.close()


def test_without_a_tap_production_is_forwarded_and_the_tap_is_tried_again(tmp_path: Path) -> None:
    in_the_way = tmp_path / "tap.sock"
    in_the_way.write_text("not a socket")
    with Upstream() as upstream, running_wire(tmp_path, upstream.address) as wire:
        with through(wire, upstream) as (client, server):
            exchange(client, server, b"production goes on")
            assert "no tap" in wire.log.read_text()
            in_the_way.unlink()
            while '"event": "tap"' not in wire.log.read_text():
                exchange(client, server, b"x")
            assert wire.stats()["connections_open"] == 1


def test_a_tap_whose_name_was_taken_away_is_opened_again(tmp_path: Path) -> None:
    with Upstream() as upstream, running_wire(tmp_path, upstream.address) as wire:
        with through(wire, upstream) as (client, server):
            wire.tap.unlink()
            while not wire.tap.exists():
                exchange(client, server, b"x")
            while wire.log.read_text().count('"event": "tap"') < 2:
                exchange(client, server, b"x")
            assert '"event": "tap gone"' in wire.log.read_text()
            assert wire.stats()["connections_open"] == 1  # an observer finds it


def test_a_folder_that_others_can_open_has_no_tap(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    try:
        with Upstream() as upstream, running_wire(tmp_path, upstream.address) as wire:
            with through(wire, upstream) as (client, server):
                exchange(client, server, b"production goes on")
            assert "open to others" in wire.log.read_text()
            assert not wire.tap.exists()
    finally:
        tmp_path.chmod(0o700)


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    check_directory(tmp_path / "mine")
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        check_directory(tmp_path / "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_another_user_at_the_other_end_is_a_stranger(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    where = tmp_path / "stranger.sock"
    script = (
        "import os, socket\n"
        f"os.chdir({str(tmp_path)!r})\n"
        "os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "s.bind('stranger.sock')\n"
        "s.listen()\n"
        "print(flush=True)\n"
        "s.accept()\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout is not None
        stranger.stdout.readline()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(str(where))
            with pytest.raises(PermissionError, match="the other end is user 65534"):
                check_peer(sock)
    tmp_path.chmod(0o700)


def test_no_more_observers_are_let_in_than_there_is_memory_for(tmp_path: Path) -> None:
    with Upstream() as upstream:
        with running_wire(tmp_path, upstream.address, flags="--sessions 1") as wire:
            with wire.observer() as first, wire.observer() as second:
                first.until_kind(Kind.STATS)
                assert second.read() is None


def test_memory_that_is_too_little_is_refused_with_how_much_is_needed() -> None:
    with pytest.raises(ValueError, match=r"too little for 10000 connections .* at least (\d+)"):
        waiting_limit(64 << 20, CONNECTIONS, SESSIONS, TAP_BYTES)
    assert waiting_limit(256 << 20) > 0


def test_tiny_frames_leave_other_clients_their_turn_and_their_calls_counted(
    tmp_path: Path,
) -> None:
    calls = 50
    with Upstream() as upstream, running_wire(tmp_path, upstream.address) as wire:
        with (
            wire.observer() as observer,
            through(wire, upstream) as (hostile, sink),
            through(wire, upstream) as (client, server),
        ):
            observer.until_kind(Kind.STATS)
            for one, other in ((hostile, sink), (client, server)):
                exchange(one, other, CLIENT_OPENING)
                exchange(other, one, SERVER_OPENING)
            exchange(hostile, sink, frame(HEADERS, 4, 1, b"a call"))
            flood = frame(DATA, 0, 1) * 20_000
            for number in range(calls):
                exchange(hostile, sink, flood)
                exchange(client, server, frame(HEADERS, 5, 2 * number + 1, b"a call"))
                exchange(server, client, frame(HEADERS, 5, 2 * number + 1, b"an answer"))
            counts = wire.until(lambda stats: stats["uncounted_total"] == 1)
        certain = counts["calls_total"] - counts["assumed_calls_total"]
        assert certain == calls + 1
        assert counts["assumed_calls_total"] > 0
        assert counts["errors_total"] == 0
