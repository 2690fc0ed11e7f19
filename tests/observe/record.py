"""Records the conversations that the tests read: `python -m tests.observe.record`.

Real peers, grpcio with itself and h2load with nghttpd, talk through a small proxy that notes what
passes. The recordings are committed; run this when another one is needed, and look at what the
tests say then.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path

import grpc

from sidecar.call import Direction
from tests.observe.conversations import FOLDER, Conversation, save

SERVICE = "/test.Echo/"


class Recorder:
    """A TCP proxy for one connection."""

    def __init__(self, upstream: int) -> None:
        self.conversation: Conversation = []
        self._lock = threading.Lock()
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._upstream))
        for direction, source, sink in (
            (Direction.CLIENT, client, server),
            (Direction.SERVER, server, client),
        ):
            thread = threading.Thread(target=self._pump, args=(direction, source, sink))
            self._threads.append(thread)
            thread.start()

    def _pump(self, direction: Direction, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                with self._lock:
                    self.conversation.append((direction, data))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, sink):
                end.close()

    def finish(self) -> Conversation:
        self._accepting.join(10)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()
        return self.conversation


class Echo(grpc.GenericRpcHandler):
    """Methods on plain bytes, each for one way a call can go."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self._methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Unary": grpc.unary_unary_rpc_method_handler(self._unary),
            "Fail": grpc.unary_unary_rpc_method_handler(self._fail),
            "Hang": grpc.unary_unary_rpc_method_handler(self._hang),
            "Split": grpc.unary_stream_rpc_method_handler(self._split),
            "SplitThenFail": grpc.unary_stream_rpc_method_handler(self._split_then_fail),
            "Join": grpc.stream_unary_rpc_method_handler(self._join),
            "Early": grpc.stream_unary_rpc_method_handler(self._early),
            "Chat": grpc.stream_stream_rpc_method_handler(self._chat),
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        return self._methods.get(handler_call_details.method.removeprefix(SERVICE))

    def _unary(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.send_initial_metadata((("x-begin", "1"), ("x-begin-bin", b"\x00\xff")))
        context.set_trailing_metadata((("x-end", "2"), ("x-end-bin", b"\xfe\x00")))
        return request

    def _fail(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.NOT_FOUND, f"100% of “{request.decode()}” is missing\n")

    def _hang(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.release.wait(10)
        return request

    def _split(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from (bytes([byte]) * 3 for byte in request)

    def _split_then_fail(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from self._split(request, context)
        context.abort(grpc.StatusCode.DATA_LOSS, "the rest is lost")

    def _join(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        return b"+".join(requests)

    def _early(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        return next(requests)

    def _chat(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            yield b"re: " + request


class Peers:
    """A grpcio server and a channel to it, with the recorder between them."""

    def __init__(self, compression: grpc.Compression = grpc.Compression.NoCompression) -> None:
        options = [
            ("grpc.max_metadata_size", 1 << 20),
            ("grpc.absolute_max_metadata_size", 1 << 20),
        ]
        self.echo = Echo()
        self.server = grpc.server(
            futures.ThreadPoolExecutor(64),
            handlers=[self.echo],
            options=options,
            compression=compression,
        )
        port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        self.recorder = Recorder(port)
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{self.recorder.port}", options=options, compression=compression
        )

    def unary(self, method: str) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
        return self.channel.unary_unary(SERVICE + method)

    def unary_stream(self, method: str) -> grpc.UnaryStreamMultiCallable[bytes, bytes]:
        return self.channel.unary_stream(SERVICE + method)

    def stream_unary(self, method: str) -> grpc.StreamUnaryMultiCallable[bytes, bytes]:
        return self.channel.stream_unary(SERVICE + method)

    def stream_stream(self, method: str) -> grpc.StreamStreamMultiCallable[bytes, bytes]:
        return self.channel.stream_stream(SERVICE + method)

    def finish(self) -> Conversation:
        self.channel.close()
        conversation = self.recorder.finish()
        self.echo.release.set()
        self.server.stop(0).wait()
        return conversation


def unary() -> Conversation:
    peers = Peers()
    for number in range(5):
        metadata = (
            ("traceparent", f"00-{number:032x}-00f067aa0ba902b7-01"),
            ("x-key", "same"),
            ("x-raw-bin", b"\x00\x01\xff"),
        )
        answer = peers.unary("Unary")(b"hello %d" % number, metadata=metadata, timeout=30)
        assert answer == b"hello %d" % number
    assert peers.unary("Unary")(b"") == b""
    return peers.finish()


def streaming() -> Conversation:
    peers = Peers()
    split = peers.unary_stream("Split")
    assert list(split(b"abc")) == [b"aaa", b"bbb", b"ccc"]
    assert list(split(b"")) == []
    join = peers.stream_unary("Join")
    assert join(iter([b"x", b"", b"y" * 40_000])) == b"x++" + b"y" * 40_000
    assert join(iter(())) == b""
    chat = peers.stream_stream("Chat")
    assert list(chat(iter([b"1", b"2"]))) == [b"re: 1", b"re: 2"]
    return peers.finish()


def compressed(compression: grpc.Compression) -> Conversation:
    peers = Peers(compression)
    assert peers.unary("Unary")(b"again and " * 500) == b"again and " * 500
    chat = peers.stream_stream("Chat")
    assert list(chat(iter([b"a" * 1000, b"b" * 1000]))) == [
        b"re: " + b"a" * 1000,
        b"re: " + b"b" * 1000,
    ]
    return peers.finish()


def failing() -> Conversation:
    peers = Peers()
    for method in ("Fail", "NoSuchMethod"):
        try:
            peers.unary(method)(b"it")
        except grpc.RpcError as error:
            print(method, error.code(), error.details())
    answers = peers.unary_stream("SplitThenFail")(b"ab")
    try:
        print(list(answers))
    except grpc.RpcError as error:
        print(error.code(), error.details())
    return peers.finish()


def cancelled() -> Conversation:
    peers = Peers()
    call = peers.unary("Hang").future(b"wait")
    more = threading.Event()

    def requests() -> Iterator[bytes]:
        yield b"1"
        more.wait(10)

    talk = peers.stream_stream("Chat")(requests())
    assert next(talk) == b"re: 1"
    call.cancel()
    talk.cancel()
    more.set()
    assert peers.unary("Unary")(b"after") == b"after"
    return peers.finish()


def deadline() -> Conversation:
    peers = Peers()
    try:
        peers.unary("Hang")(b"wait", timeout=0.2)
    except grpc.RpcError as error:
        print(error.code())
    assert peers.unary("Unary")(b"after") == b"after"
    return peers.finish()


def concurrent() -> Conversation:
    peers = Peers()
    answers = [peers.unary("Unary").future(b"%d" % number * 50) for number in range(60)]
    for number, answer in enumerate(answers):
        assert answer.result() == b"%d" % number * 50
    return peers.finish()


def big_metadata() -> Conversation:
    peers = Peers()
    metadata = tuple((f"x-{number}", chr(97 + number) * 9_000) for number in range(5))
    assert peers.unary("Unary")(b"x", metadata=metadata) == b"x"
    assert peers.unary("Unary")(b"y", metadata=metadata[:1]) == b"y"
    return peers.finish()


def large() -> Conversation:
    peers = Peers()
    message = b"0123456789abcdef" * 20_000
    assert peers.unary("Unary")(message) == message
    return peers.finish()


def early_answer() -> Conversation:
    peers = Peers()
    more = threading.Event()

    def requests() -> Iterator[bytes]:
        yield b"first"
        more.wait(10)

    call = peers.stream_unary("Early").future(requests())
    assert call.result() == b"first"
    more.set()
    return peers.finish()


def server_stops() -> Conversation:
    peers = Peers()
    call = peers.unary("Hang").future(b"wait")
    assert peers.unary("Unary")(b"x") == b"x"
    stopped = peers.server.stop(0)
    print("stopped:", call.code(), call.details())
    peers.echo.release.set()
    stopped.wait()
    return peers.finish()


def h2load() -> Conversation:
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder) / "body"
        body.write_bytes(b"\x00\x00\x00\x00\x14" + b"t" * 20)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = ["nghttpd", "--no-tls", "--echo-upload", "--trailer", "grpc-status: 0", str(port)]
        nghttpd = subprocess.Popen(command, cwd=folder)
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.05)
            recorder = Recorder(port)
            url = f"http://127.0.0.1:{recorder.port}/test.Echo/Unary"
            command = ["h2load", "-n", "24", "-c", "1", "-m", "4", "-d", str(body), url]
            fields = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
            subprocess.run([*command, *fields], check=True, stdout=subprocess.DEVNULL)
            return recorder.finish()
        finally:
            nghttpd.terminate()
            nghttpd.wait()


RECORDINGS: dict[str, Callable[[], Conversation]] = {
    "grpcio-unary": unary,
    "grpcio-streaming": streaming,
    "grpcio-gzip": lambda: compressed(grpc.Compression.Gzip),
    "grpcio-deflate": lambda: compressed(grpc.Compression.Deflate),
    "grpcio-failing": failing,
    "grpcio-cancelled": cancelled,
    "grpcio-deadline": deadline,
    "grpcio-concurrent": concurrent,
    "grpcio-big-metadata": big_metadata,
    "grpcio-large": large,
    "grpcio-early-answer": early_answer,
    "grpcio-server-stops": server_stops,
    "h2load-nghttpd": h2load,
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, record in RECORDINGS.items():
        if name.startswith("h2load") and shutil.which("h2load") is None:
            print(f"{name}: h2load and nghttpd are not here")
            continue
        conversation = record()
        save(name, conversation)
        print(f"{name}: {len(conversation)} chunks, {sum(len(c) for _, c in conversation)} bytes")


if __name__ == "__main__":
    main()
