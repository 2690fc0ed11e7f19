"""A real gRPC client and server, with the real wire between them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import pytest

from sidecar.wire.records import Kind
from tests.wire.harness import PATIENCE, RunningWire, running_wire

BIG = 10 << 20
Unary: TypeAlias = "grpc.UnaryUnaryMultiCallable[bytes, bytes]"
Streaming: TypeAlias = "grpc.StreamStreamMultiCallable[bytes, bytes]"
Hanging: TypeAlias = "grpc.UnaryStreamMultiCallable[bytes, bytes]"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Service(grpc.GenericRpcHandler):
    """Methods over bytes, named after what they do."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        method = details.method.rpartition("/")[2]
        if method == "Echo":
            return grpc.unary_unary_rpc_method_handler(lambda request, _: request)
        if method == "EchoAll":
            return grpc.stream_stream_rpc_method_handler(self._echo_all)
        if method == "Hang":
            return grpc.unary_stream_rpc_method_handler(self._hang)
        return None

    def _echo_all(self, requests: Iterator[bytes], _: grpc.ServicerContext) -> Iterator[bytes]:
        yield from requests

    def _hang(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        context.add_callback(self.cancelled.set)
        yield request
        self.cancelled.wait(PATIENCE)


@contextmanager
def production(tmp_path: Path, flags: str = "") -> Iterator[tuple[RunningWire, Service]]:
    service = Service()
    server = grpc.server(futures.ThreadPoolExecutor(8), options=UNLIMITED)
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with running_wire(tmp_path, f"127.0.0.1:{port}", flags=flags) as wire:
            yield wire, service
    finally:
        server.stop(0).wait(PATIENCE)


@pytest.fixture(params=[False, True], ids=["unobserved", "observed"])
def observed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_unary_streaming_cancelled_failing_and_large_calls(tmp_path: Path, observed: bool) -> None:
    with production(tmp_path) as (wire, service):
        observer = wire.observer() if observed else None
        with grpc.insecure_channel(wire.target, options=UNLIMITED) as channel:
            echo: Unary = channel.unary_unary("/test.Service/Echo")
            for number in range(200):
                assert echo(b"%d" % number, timeout=PATIENCE) == b"%d" % number
            big = bytes(range(256)) * (BIG // 256)
            assert echo(big, timeout=PATIENCE) == big
            messages = [b"x" * size for size in (0, 1, 100, 100_000, 1_000_000)]
            echo_all: Streaming = channel.stream_stream("/test.Service/EchoAll")
            assert list(echo_all(iter(messages), timeout=PATIENCE)) == messages
            hang: Hanging = channel.unary_stream("/test.Service/Hang")
            hanging = hang(b"first", timeout=PATIENCE)
            assert next(hanging) == b"first"
            hanging.cancel()
            assert service.cancelled.wait(PATIENCE)
            missing: Unary = channel.unary_unary("/test.Service/Missing")
            with pytest.raises(grpc.RpcError) as failed:
                missing(b"", timeout=PATIENCE)
            assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED
        wire.until(lambda stats: stats["connections_open"] == 0)
        if observer is not None:
            with observer:
                records = observer.until_kind(Kind.CLOSE)
                assert not [said for said in records if said.kind in (Kind.BLIND, Kind.OPAQUE)]
        assert wire.log.read_text().count("Traceback") == 0


def test_a_goaway_moves_the_client_to_a_connection_that_is_seen_and_fails_no_call(
    tmp_path: Path,
) -> None:
    with (
        production(tmp_path, flags="--resync goaway") as (wire, _),
        grpc.insecure_channel(wire.target) as channel,
    ):
        echo: Unary = channel.unary_unary("/test.Service/Echo")
        assert echo(b"unseen", timeout=PATIENCE) == b"unseen"
        assert wire.stats()["connections_blind"] == 1
        stop = threading.Event()
        failures: list[grpc.RpcError] = []

        def keep_calling() -> None:
            while not stop.is_set():
                try:
                    assert echo(b"x" * 1000, timeout=PATIENCE) == b"x" * 1000
                except grpc.RpcError as error:
                    failures.append(error)

        callers = [threading.Thread(target=keep_calling) for _ in range(4)]
        for caller in callers:
            caller.start()
        with wire.observer() as observer:
            observer.goaway()
            observer.until(lambda said: said.kind is Kind.BYTES and said.direction == 1)
            observer.goaway()  # nothing is left to be asked
            stats = wire.until(lambda stats: stats["connections_blind"] == 0)
            stop.set()
            for caller in callers:
                caller.join()
        assert failures == []
        assert stats["goaways_total"] == 1
        assert stats["connections_total"] == 2


def test_a_goaway_is_not_sent_unless_allowed(tmp_path: Path) -> None:
    with production(tmp_path) as (wire, _), grpc.insecure_channel(wire.target) as channel:
        echo: Unary = channel.unary_unary("/test.Service/Echo")
        assert echo(b"unseen", timeout=PATIENCE) == b"unseen"
        with wire.observer() as observer:
            observer.goaway()
            observer.until_kind(Kind.STATS)
            observer.until_kind(Kind.STATS)
            assert echo(b"still unseen", timeout=PATIENCE) == b"still unseen"
            stats = wire.stats()
        assert (stats["goaways_total"], stats["connections_total"]) == (0, 1)
