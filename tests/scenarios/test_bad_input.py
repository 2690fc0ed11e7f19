"""Peers that are strange, broken or huge: production is byte-identical, and the counters tell."""

from __future__ import annotations

import asyncio
import socket
import struct

import grpc
import pytest

from sidecar.address import TCP, parse_address
from tests.scenarios.stack import servers, sidecar, skipped
from tests.scenarios.traffic import OPTIONS, SERVICE, Mix, run

BYTES = ("bytes",)
MIX = Mix(unary=50, streams=3)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


SETTINGS = frame(4, 0, 0)
STRANGERS = {
    "http/1.1": b"POST /test.Bytes/Unary HTTP/1.1\r\nHost: model\r\nContent-Length: 0\r\n\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303") + bytes(range(189)),
    "preface then noise": PREFACE + b"\xff" * 4096,
    "half a frame": PREFACE + SETTINGS + frame(1, 4, 1, b"x" * 50)[:20],
    "headers that do not decode": PREFACE + SETTINGS + frame(1, 5, 1, b"\xbf\xff\xff\xff\xff\xff"),
    "nothing": b"",
}


def converse(address: str, data: bytes) -> bytes:
    """Say it, say no more, and return all that comes back until the other side has nothing more."""
    where = parse_address(address)
    assert isinstance(where, TCP)
    with socket.create_connection(where, timeout=10) as peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        heard = b""
        try:
            while piece := peer.recv(65536):
                heard += piece
        except ConnectionResetError:
            return heard + b"<reset>"
    return heard


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_hears_what_production_says_and_the_others_are_compared(stranger: str) -> None:
    said = STRANGERS[stranger]
    with servers(BYTES, BYTES) as (production, shadow):
        direct = converse(production, said)
        with sidecar(production, shadow) as it:
            assert _kinds(converse(it.address, said)) == _kinds(direct)
            asyncio.run(run(it.address, MIX))
            calls = MIX.calls + (stranger == "headers that do not decode")  # a call all the same
            assert it.settled(calls)["calls"]["compared"] == MIX.calls


def test_http_1_and_tls_make_their_connection_opaque_and_it_is_counted() -> None:
    with servers(BYTES, BYTES) as (production, shadow), sidecar(production, shadow) as it:
        for stranger in ("http/1.1", "tls", "preface then noise"):
            converse(it.address, STRANGERS[stranger])
        it.process.wait_until(lambda: it.status()["wire"]["opaque_total"] == 3)


def test_calls_after_a_header_block_too_large_for_us_are_lost_and_not_forgotten() -> None:
    """Production takes header blocks that the observer does not."""
    calls = 40
    large = [("grpc.max_metadata_size", 200_000), ("grpc.absolute_max_metadata_size", 200_000)]

    def ask(address: str) -> None:
        with grpc.insecure_channel(address, [*OPTIONS, *large]) as channel:
            stub: grpc.UnaryUnaryMultiCallable[bytes, bytes]
            stub = channel.unary_unary(f"{SERVICE}/Unary")
            for number in range(calls):
                metadata = (("big", "b" * 90_000),) if number == calls // 2 else ()
                assert stub(b"x", timeout=20, metadata=metadata) == b"x"

    with servers((*BYTES, "--max-metadata", "200000"), BYTES) as (production, shadow):
        with sidecar(production, shadow) as it:
            ask(it.address)
            status = it.settled(calls)
    told, missed = status["calls"], status["blind"]["calls"]
    assert told["seen"] + missed == calls
    assert told["compared"] == calls // 2
    assert skipped(told).get("blind", 0) + missed == calls // 2


def test_a_call_that_is_not_grpc_is_skipped_as_such() -> None:
    # ":method: GET", ":scheme: http", ":path: /", all from HPACK's static table.
    request = PREFACE + SETTINGS + frame(1, 5, 1, b"\x82\x86\x84")
    with servers(BYTES, BYTES) as (production, shadow), sidecar(production, shadow) as it:
        converse(it.address, request)
        assert skipped(it.settled(1)["calls"]) == {"not_grpc": 1}


def test_a_method_that_nobody_knows_is_answered_by_production_and_compared_as_bytes() -> None:
    with servers(BYTES, BYTES) as (production, shadow), sidecar(production, shadow) as it:
        with grpc.insecure_channel(it.address) as channel:
            missing: grpc.UnaryUnaryMultiCallable[bytes, bytes]
            missing = channel.unary_unary("/no.Such/Method")
            with pytest.raises(grpc.RpcError) as failure:
                missing(b"x", timeout=20)
        assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
        status = it.settled(1)
    assert status["shadows"]["shadow"]["outcomes"]["both_error_same"] == 1


def test_a_message_of_a_gibibyte_passes_and_is_neither_kept_nor_copied_whole() -> None:
    size = 1 << 30

    def send(address: str) -> str:
        stub: grpc.UnaryUnaryMultiCallable[bytes, bytes]
        stub = grpc.insecure_channel(address, OPTIONS).unary_unary(f"{SERVICE}/Unary")
        call = stub.future(bytes(size), timeout=150)
        return str(call.code().name) + str(len(call.result()))

    with servers(BYTES, BYTES) as (production, shadow), sidecar(production, shadow) as it:
        assert send(it.address) == f"OK{size}"
        calls = it.settled(1, timeout=120)["calls"]
        reasons = set(skipped(calls))
        assert reasons <= {"request_too_large", "tap_gap"}
        assert len(reasons) == 1
        for pid in it.pids.values():
            assert _peak(pid) < 400 << 20


def test_ten_thousand_streams_on_one_connection_are_all_accounted_for() -> None:
    calls = 10_000

    async def flood(address: str) -> set[bytes]:
        async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
            stub: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
            stub = channel.unary_unary(f"{SERVICE}/Unary")
            # grpcio's server itself cancels some of 10,000 calls at once, sidecar or not.
            room = asyncio.Semaphore(500)

            async def one() -> bytes:
                async with room:
                    return await stub(b"x", timeout=120)

            return set(await asyncio.gather(*(one() for _ in range(calls))))

    with servers(BYTES, BYTES) as (production, shadow), sidecar(production, shadow) as it:
        assert asyncio.run(flood(it.address)) == {b"x"}
        told = it.settled(calls, timeout=120)["calls"]
        assert told["seen"] == calls


@pytest.mark.parametrize("frame", ["message", "unknown"])
def test_a_shadow_that_floods_whoever_asks_it_costs_the_observer_little_memory(frame: str) -> None:
    """Its copies and questions about its descriptors alike."""
    # An own channel of grpcio's for the descriptors came to 117 MiB more.
    with servers(BYTES, ("torrent", "--frame", frame)) as (production, shadow):
        with sidecar(production, shadow, settings={"shadows.0.deadline_seconds": 1}) as it:
            observer = it.pids["observer"]
            before = _peak(observer)
            with grpc.insecure_channel(it.address) as channel:
                stub: grpc.UnaryUnaryMultiCallable[bytes, bytes]
                stub = channel.unary_unary(f"{SERVICE}/Unary")
                for _ in range(5):
                    assert stub(b"x", timeout=20) == b"x"
            it.settled(5)
            assert _peak(observer) - before < 48 << 20


def _peak(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))


def _kinds(heard: bytes) -> list[int] | bytes:
    """The kinds of HTTP/2 frames that a server sent, as their order; other bytes as they are."""
    kinds, at = [], 0
    if heard.startswith(b"HTTP/1"):
        return heard
    while len(heard) - at >= 9:
        kinds.append(heard[at + 3])
        at += 9 + int.from_bytes(heard[at : at + 3], "big")
    return kinds
