"""What observers are told, and what they can do to production: nothing."""

from __future__ import annotations

import random
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from sidecar.wire.records import HEADER, Kind, record
from tests.wire.harness import (
    PATIENCE,
    Observer,
    RunningWire,
    Said,
    Upstream,
    copied,
    exchange,
    frame,
    in_background,
    read_exactly,
    read_to_end,
    reset,
    running_wire,
    through,
)
from tests.wire.walks import DATA, END_STREAM, HEADERS, OPENINGS, WINDOW_UPDATE

TAP_BYTES = 256 << 10
CLIENT_OPENING, SERVER_OPENING = OPENINGS[0][1], OPENINGS[1][1]


@pytest.fixture
def wire(tmp_path: Path, upstream: Upstream) -> Iterator[RunningWire]:
    with running_wire(tmp_path, upstream.address, flags=f"--tap-bytes {TAP_BYTES}") as wire:
        yield wire


def call(stream: int, payload: bytes) -> bytes:
    return frame(HEADERS, 4, stream, b"block %d" % stream) + frame(
        DATA, END_STREAM, stream, payload
    )


def of_connection(records: list[Said], conn: int = 1) -> list[Said]:
    return [said for said in records if said.conn == conn]


def test_a_session_begins_with_who_the_wire_is_and_its_counters(
    wire: RunningWire, upstream: Upstream
) -> None:
    with wire.observer() as observer:
        hello, stats = observer.until_kind(Kind.STATS)
        assert hello.kind is Kind.HELLO
        said = hello.json()
        assert said["pid"] == wire.process.pid
        assert said["resync"] == "off"
        assert said["routes"] == [{"listen": wire.target, "upstream": upstream.address}]
        assert stats.json()["tap_sessions"] == 1
        again = observer.until_kind(Kind.STATS)[-1].json()  # without being asked
        assert again.keys() == stats.json().keys()


def test_a_connection_is_told_from_its_first_byte_to_its_end(
    wire: RunningWire, upstream: Upstream
) -> None:
    with wire.observer() as observer:
        observer.until_kind(Kind.STATS)
        question = CLIENT_OPENING + call(1, b"question")
        answer = SERVER_OPENING + call(1, b"answer")
        with through(wire, upstream) as (client, server):
            peer = client.getsockname()
            exchange(client, server, question + frame(WINDOW_UPDATE, 0, 0, b"1234"))
            exchange(server, client, answer)
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(server) == b""
        records = of_connection(observer.until_kind(Kind.CLOSE))
        assert records[0].kind is Kind.OPEN
        assert records[0].json() == {
            "peer": f"127.0.0.1:{peer[1]}",
            "listen": wire.target,
            "upstream": upstream.address,
        }
        assert copied(records, 0) == question
        assert copied(records, 1) == answer
        assert (records[-1].direction, records[-1].payload) == (0, b"eof")


def test_a_reset_by_the_server_is_told_as_one(wire: RunningWire, upstream: Upstream) -> None:
    with wire.observer() as observer:
        observer.until_kind(Kind.STATS)
        with through(wire, upstream) as (client, server):
            exchange(client, server, b"PRI")
            reset(server)
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        closed = observer.until_kind(Kind.CLOSE)[-1]
        assert (closed.direction, closed.payload) == (1, b"reset")


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\nhost: production\r\n\r\n", bytes.fromhex("16030100c8010000c40303")],
    ids=["HTTP/1.1", "TLS"],
)
def test_what_is_not_http2_is_forwarded_and_called_opaque(
    wire: RunningWire, upstream: Upstream, data: bytes
) -> None:
    with wire.observer() as observer, through(wire, upstream) as (client, server):
        observer.until_kind(Kind.STATS)
        exchange(client, server, data)
        observer.until_kind(Kind.OPAQUE)
        exchange(server, client, b"HTTP/1.1 200 OK\r\n\r\n")
        stats = wire.stats()
        assert (stats["connections_opaque"], stats["opaque_total"]) == (1, 1)
        for end in (client, server):
            end.close()
        assert wire.until(lambda s: s["connections_opaque"] == 0)["opaque_total"] == 1


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_observed_bytes_are_they_arrive(
    wire: RunningWire, upstream: Upstream, seed: int
) -> None:
    draw = random.Random(seed)
    noise = b"".join(
        frame(draw.randrange(12), draw.randrange(256), draw.randrange(9), draw.randbytes(size))
        if draw.random() < 0.95
        else draw.randbytes(size)
        for size in (draw.choice((0, 5, 100, 20_000)) for _ in range(300))
    )
    with wire.observer() as observer, through(wire, upstream) as (client, server):
        observer.until_kind(Kind.STATS)
        for sender, reader, opening in (
            (client, server, CLIENT_OPENING),
            (server, client, SERVER_OPENING),
        ):
            thread = in_background(partial(sender.sendall, opening + noise))
            assert read_exactly(reader, len(opening + noise)) == opening + noise
            thread.join()


def test_half_a_frame_then_silence_harms_nobody(wire: RunningWire, upstream: Upstream) -> None:
    with wire.observer() as observer, through(wire, upstream) as (client, server):
        observer.until_kind(Kind.STATS)
        exchange(client, server, CLIENT_OPENING + b"\x00\x00\x05\x01")
        with through(wire, upstream) as (other, its_server):
            exchange(other, its_server, CLIENT_OPENING + call(1, b"question"))
        records = observer.until_kind(Kind.CLOSE)
        assert copied(of_connection(records, 2), 0) == CLIENT_OPENING + call(1, b"question")
        assert copied(of_connection(records, 1), 0) == CLIENT_OPENING


def test_without_an_observer_connections_are_blind_and_their_calls_counted(
    wire: RunningWire, upstream: Upstream
) -> None:
    with through(wire, upstream) as (client, server):
        exchange(client, server, CLIENT_OPENING + call(1, b"one") + call(3, b"two"))
        stats = wire.until(lambda stats: stats["blind_calls_total"] == 2)
        assert (stats["connections_blind"], stats["blind_total"]) == (1, 1)
        assert stats["connections_open"] == 1
    wire.until(lambda stats: stats["connections_blind"] == 0)


def test_an_observer_that_comes_later_sees_only_new_connections(
    wire: RunningWire, upstream: Upstream
) -> None:
    with through(wire, upstream) as (client, server):
        exchange(client, server, CLIENT_OPENING)
        with wire.observer() as observer:
            observer.until_kind(Kind.STATS)
            exchange(client, server, call(1, b"unseen"))
            with through(wire, upstream) as (other, its_server):
                exchange(other, its_server, CLIENT_OPENING + call(1, b"seen"))
            records = observer.until_kind(Kind.CLOSE)
            assert {said.conn for said in records} == {2}


def test_an_observer_that_goes_leaves_its_connections_blind(
    wire: RunningWire, upstream: Upstream
) -> None:
    with through(wire, upstream) as (client, server):
        with wire.observer() as observer:
            observer.until_kind(Kind.STATS)
            with through(wire, upstream) as (seen, its_server):
                exchange(seen, its_server, CLIENT_OPENING)
                observer.until_kind(Kind.BYTES)
                observer.socket.close()
                wire.until(lambda stats: stats["connections_blind"] == 2)
                exchange(seen, its_server, call(1, b"question"))
                wire.until(lambda stats: stats["blind_calls_total"] == 1)
        exchange(client, server, CLIENT_OPENING)


def test_observers_take_connections_in_turn(wire: RunningWire, upstream: Upstream) -> None:
    with wire.observer() as one, wire.observer() as two:
        for observer in (one, two):
            observer.until_kind(Kind.STATS)
        for _ in range(6):
            with through(wire, upstream) as (client, server):
                exchange(client, server, b"PRI")
        opened = []
        for observer in (one, two):
            records = observer.until(lambda said: said.kind is Kind.CLOSE and said.conn > 4)
            opened.append({said.conn for said in records if said.kind is Kind.OPEN})
        assert [len(conns) for conns in opened] == [3, 3]
        assert opened[0] | opened[1] == set(range(1, 7))


def test_an_unsampled_call_crosses_the_tap_without_its_data(
    wire: RunningWire, upstream: Upstream
) -> None:
    with wire.observer() as observer, through(wire, upstream) as (early, its_server):
        observer.sample(0.0)
        observer.until(lambda said: said.kind is Kind.STATS and said.json()["connections_open"] > 0)
        exchange(early, its_server, CLIENT_OPENING)
        client, server = early, its_server
        exchange(client, server, call(1, b"x" * 100_000))
        client.shutdown(socket.SHUT_WR)
        read_to_end(server)
        server.shutdown(socket.SHUT_WR)
        records = observer.until_kind(Kind.CLOSE)
        assert [said.payload for said in records if said.kind is Kind.UNSAMPLED] == [b"\0\0\0\1"]
        assert sum(len(said.payload) for said in records if said.kind is Kind.BYTES) < 200
        assert copied(records, 0) == CLIENT_OPENING + call(1, b"")[:-9]


def test_an_observer_that_never_reads_costs_its_buffer_and_no_more(
    wire: RunningWire, upstream: Upstream
) -> None:
    payload = b"x" * 100_000
    rounds = 300
    with wire.observer() as observer, through(wire, upstream) as (client, server):
        exchange(client, server, CLIENT_OPENING)
        wire.until(lambda stats: stats["connections_open"] == 1)
        before = wire.peak_bytes()
        for number in range(rounds):
            exchange(client, server, call(2 * number + 1, payload))
        stats = wire.stats()
        assert stats["tap_gap_frames_total"] > rounds // 2
        assert stats["tap_gap_bytes_total"] > rounds // 2 * len(payload)
        assert TAP_BYTES // 4 < stats["tap_buffered_bytes"] < TAP_BYTES * 3 // 4
        assert wire.peak_bytes() - before < 8 * TAP_BYTES
        assert stats["connections_blind"] == 0
        client.shutdown(socket.SHUT_WR)
        read_to_end(server)
        server.shutdown(socket.SHUT_WR)
        records = of_connection(observer.until_kind(Kind.CLOSE))
        shown = copied(records, 0)
        pos = len(CLIENT_OPENING)
        for number in range(rounds):  # every frame is where it belongs, with its DATA or without
            expected = call(2 * number + 1, payload)
            seen = shown[pos : pos + len(expected)]
            assert seen.startswith(expected[: -len(payload)])
            assert seen.rstrip(b"\0") == expected[: len(seen.rstrip(b"\0"))]
            pos += len(expected)
        assert pos == len(shown)


def test_a_connection_that_begins_while_its_observer_is_half_full_is_blind(
    wire: RunningWire, upstream: Upstream
) -> None:
    with wire.observer(), through(wire, upstream) as (client, server):
        exchange(client, server, CLIENT_OPENING)
        stream = 1
        # What is left of a call without its DATA fills the last bytes below the half.
        while wire.stats()["tap_gap_frames_total"] < 400:
            for _ in range(200):
                exchange(client, server, call(stream, b"x" * 1000))
                stream += 2
        with through(wire, upstream) as (late, its_server):
            exchange(late, its_server, CLIENT_OPENING)
            wire.until(lambda stats: stats["connections_blind"] >= 1)


def test_a_stopped_observer_ends_blind_when_even_headers_do_not_fit_and_production_goes_on(
    wire: RunningWire, upstream: Upstream
) -> None:
    with wire.observer() as observer, through(wire, upstream) as (client, server):
        exchange(client, server, CLIENT_OPENING)
        block = frame(HEADERS, 5, 1, b"x" * 16_000)
        stream = 1
        while wire.stats()["connections_blind"] == 0:
            for _ in range(32):
                exchange(client, server, block[:5] + struct.pack("!I", stream) + block[9:])
                stream += 2
        exchange(server, client, SERVER_OPENING)
        records = of_connection(observer.until_kind(Kind.BLIND))
        shown = copied(records, 0)
        assert len(shown) < stream * 8_000
        assert shown.startswith(CLIENT_OPENING + block)
        exchange(client, server, block[:5] + struct.pack("!I", stream) + block[9:])
        wire.until(lambda stats: stats["blind_calls_total"] > 0)


def test_a_killed_observer_process_is_noticed_and_production_goes_on(
    wire: RunningWire, upstream: Upstream
) -> None:
    observer = wire.observer()
    child = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.pause()"], pass_fds=[observer.socket.fileno()]
    )
    observer.socket.close()  # only the child has it now
    try:
        with through(wire, upstream) as (client, server):
            exchange(client, server, CLIENT_OPENING)
            child.send_signal(signal.SIGSTOP)
            for number in range(100):
                exchange(client, server, call(2 * number + 1, b"x" * 50_000))
            assert wire.stats()["tap_gap_frames_total"] > 0
            child.kill()
            wire.until(lambda stats: stats["connections_blind"] == 1)
            exchange(client, server, call(999, b"on it goes"))
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize(
    "said",
    [
        HEADER.pack(1 << 31, Kind.SAMPLE, 0, 0, 0, 0),
        HEADER.pack(0, 99, 0, 0, 0, 0),
        HEADER.pack(0, Kind.GOAWAY, 1, 0, 0, 0),
        HEADER.pack(0, Kind.GOAWAY, 0, 1, 0, 0),
        HEADER.pack(0, Kind.HELLO, 0, 0, 0, 0),
        record(Kind.SAMPLE, 0, 0, 0, struct.pack("!d", 1.5)),
        record(Kind.SAMPLE, 0, 0, 0, struct.pack("!d", float("nan"))),
        b"GET / HTTP/1.1\r\nhost: tap\r\n\r\n",
    ],
)
def test_an_observer_that_makes_no_sense_is_dropped(wire: RunningWire, said: bytes) -> None:
    with wire.observer() as observer:
        observer.socket.sendall(said)
        while observer.read():
            pass
    assert wire.stats()["tap_sessions"] == 1


def test_what_an_observer_says_may_come_in_pieces(wire: RunningWire, upstream: Upstream) -> None:
    with wire.observer() as observer:
        for value in record(Kind.SAMPLE, 0, 0, 0, struct.pack("!d", 0.0)):
            observer.socket.sendall(bytes([value]))
        observer.until_kind(Kind.STATS)
        observer.until_kind(Kind.STATS)
        with through(wire, upstream) as (client, server):
            exchange(client, server, CLIENT_OPENING + call(1, b"question"))
            observer.until_kind(Kind.UNSAMPLED)


def test_the_tap_belongs_to_its_owner_alone(wire: RunningWire) -> None:
    assert wire.tap.stat().st_mode & 0o777 == 0o600


def test_a_stale_tap_is_replaced_and_a_live_one_is_not(tmp_path: Path, upstream: Upstream) -> None:
    with running_wire(tmp_path, upstream.address) as first:
        first.process.kill()
        first.process.wait(PATIENCE)
        assert first.tap.exists()
    with running_wire(tmp_path, upstream.address) as second:
        with (
            running_wire(tmp_path, upstream.address) as third,
            through(third, upstream) as (client, server),
        ):
            assert "another process listens on it" in third.log.read_text()
            exchange(client, server, b"production goes on")
        assert second.stats()["tap_sessions"] == 1
        assert second.stop() == 0
        assert not second.tap.exists()


def test_the_observer_writing_without_end_does_not_disturb(
    wire: RunningWire, upstream: Upstream
) -> None:
    noise = record(Kind.SAMPLE, 0, 0, 0, struct.pack("!d", 1.0)) * 1000

    def shout(observer: Observer) -> None:
        for _ in range(200):
            observer.socket.sendall(noise)

    with wire.observer() as observer, through(wire, upstream) as (client, server):
        thread = in_background(lambda: shout(observer))
        for _ in range(200):
            exchange(client, server, b"x" * 1000)
        thread.join()
