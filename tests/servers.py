"""Real servers for tests, one process each: `python -m tests.servers --kind KIND [flags]`.

Rule: what a server answers is a function of the request and of its flags, so that production and
shadow differ exactly as a test asks. When it listens it prints one JSON line with `ready` and
`address`. Counterpart: `tests.processes.server`, which starts it.

Kinds
    model    Open Inference Protocol v2 and grpc.health.v1: see `tests.arithmetic`
    bytes    /test.Bytes/{Unary,ServerStream,ClientStream,Bidi}: opaque bytes, echoed
    garbage  TCP: answers whatever comes with bytes that are no protocol
    reset    TCP: resets the connection as soon as anything has come
    silent   TCP: reads and never says a word
    torrent  HTTP/2: sends the frame that `--frame` names without an end, and reads no more
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import random
import signal
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # no public way to channelz
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from sidecar.pb.inference import open_inference_pb2 as oip
from tests.arithmetic import METADATA, answer

KINDS = ("model", "bytes", "garbage", "reset", "silent", "torrent")
_DATA = b"\0\x40\0\0\0\0\0\0\1" + bytes(0x4000)  # on stream 1
FRAMES = {  # of HTTP/2, and what comes before the first of them
    "data": (b"", _DATA),
    "message": (b"\0\0\1\1\4\0\0\0\1\x88\0\0\5\0\0\0\0\0\1\0\x7f\xff\0\0", _DATA),
    "ping": (b"", b"\0\0\x08\6" + bytes(13)),
    "settings": (b"", b"\0\0\0\4" + bytes(5)),
    "unknown": (b"", b"\0\x40\0\xfe" + bytes(5) + bytes(0x4000)),
}
CHUNK = 64 << 10
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class Behaviour:
    """What the flags ask for, before any answer is given."""

    def __init__(self, flags: argparse.Namespace) -> None:
        self.flags = flags
        self._calls = 0

    async def begin(self, context: Context) -> None:
        """Announce, delay, hang or fail as asked for."""
        self._calls += 1
        flags = self.flags
        # A test can tell which server answered, and that no word of a shadow's comes back.
        await context.send_initial_metadata((("x-server", flags.name),))
        context.set_trailing_metadata((("x-served-by", flags.name),))
        if flags.exclusive:
            await asyncio.to_thread(self._work)
        elif flags.delay_ms:
            await asyncio.sleep(flags.delay_ms / 1000)
        if flags.hang:
            await asyncio.Event().wait()
        if flags.error and self._calls % flags.error_every == 0:
            await context.abort(grpc.StatusCode[flags.error], f"{flags.name} was told to fail")

    def _work(self) -> None:
        with open(self.flags.exclusive, "ab") as accelerator:
            fcntl.flock(accelerator, fcntl.LOCK_EX)
            time.sleep(self.flags.delay_ms / 1000)


class Model:
    """Open Inference Protocol v2 over `tests.arithmetic`."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._draw = random.Random(behaviour.flags.seed)

    def _bias(self, request: oip.ModelInferRequest) -> float:
        """Everywhere, or only for a share of the calls or for one input."""
        flags = self._behaviour.flags
        only = (
            flags.bias_only is None or flags.bias_only in request.inputs[0].contents.int64_contents
        )
        return float(flags.bias) if only and self._draw.random() < flags.bias_share else 0.0

    async def infer(self, request: oip.ModelInferRequest, context: Context) -> Any:
        await self._behaviour.begin(context)
        return await self._answer(request, context)

    async def stream(
        self, requests: AsyncIterator[oip.ModelInferRequest], context: Context
    ) -> AsyncIterator[oip.ModelStreamInferResponse]:
        await self._behaviour.begin(context)
        async for request in requests:
            yield oip.ModelStreamInferResponse(infer_response=await self._answer(request, context))

    async def _answer(
        self, request: oip.ModelInferRequest, context: Context
    ) -> oip.ModelInferResponse:
        flags = self._behaviour.flags
        try:
            response = answer(request, bias=self._bias(request), version=flags.model_version)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if flags.drop_output:
            kept = [i for i, out in enumerate(response.outputs) if out.name != flags.drop_output]
            outputs = [response.outputs[i] for i in kept]
            raw = [response.raw_output_contents[i] for i in kept if response.raw_output_contents]
            del response.outputs[:], response.raw_output_contents[:]
            response.outputs.extend(outputs)
            response.raw_output_contents.extend(raw)
        if flags.flood:
            response.parameters["flood"].string_param = "x" * flags.flood
        return response

    def handler(self) -> grpc.GenericRpcHandler:
        """The service's methods."""

        def unary(function: Callable[..., Awaitable[Any]], request: Any, response: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(
                function, request.FromString, response.SerializeToString
            )

        async def live(_request: Any, _context: Context) -> Any:
            return oip.ServerLiveResponse(live=True)

        async def ready(_request: Any, _context: Context) -> Any:
            return oip.ServerReadyResponse(ready=True)

        async def model_ready(_request: Any, _context: Context) -> Any:
            return oip.ModelReadyResponse(ready=True)

        async def metadata(request: oip.ModelMetadataRequest, _context: Context) -> Any:
            return oip.ModelMetadataResponse(
                name=request.name, versions=[self._behaviour.flags.model_version], **METADATA
            )

        return grpc.method_handlers_generic_handler(
            "inference.GRPCInferenceService",
            {
                "ServerLive": unary(live, oip.ServerLiveRequest, oip.ServerLiveResponse),
                "ServerReady": unary(ready, oip.ServerReadyRequest, oip.ServerReadyResponse),
                "ModelReady": unary(model_ready, oip.ModelReadyRequest, oip.ModelReadyResponse),
                "ModelMetadata": unary(
                    metadata, oip.ModelMetadataRequest, oip.ModelMetadataResponse
                ),
                "ModelInfer": unary(self.infer, oip.ModelInferRequest, oip.ModelInferResponse),
                "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(
                    self.stream,
                    oip.ModelInferRequest.FromString,
                    oip.ModelStreamInferResponse.SerializeToString,
                ),
            },
        )


class Bytes:
    """Opaque bytes in, the same bytes out; `--salt` is put before them, `--flood` grows them."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._salt: bytes = behaviour.flags.salt.encode()

    async def unary(self, request: bytes, context: Context) -> bytes:
        await self._behaviour.begin(context)
        return b"".join((self._salt, request, b"x" * self._behaviour.flags.flood))

    async def server_stream(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        """The request's bytes in lines, or pieces of a size; then the flood in chunks."""
        await self._behaviour.begin(context)
        flags = self._behaviour.flags
        size = flags.piece
        pieces = [request[i : i + size] for i in range(0, len(request), size)] if size else None
        for i, piece in enumerate(request.splitlines() if pieces is None else pieces):
            if i and flags.gap_ms:
                await asyncio.sleep(flags.gap_ms / 1000)
            yield self._salt + piece
        for _ in range(0, self._behaviour.flags.flood, CHUNK):
            yield b"x" * CHUNK

    async def client_stream(self, requests: AsyncIterator[bytes], context: Context) -> bytes:
        await self._behaviour.begin(context)
        return self._salt + b"\n".join([request async for request in requests])

    async def bidi(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        await self._behaviour.begin(context)
        async for request in requests:
            yield self._salt + request

    def handler(self) -> grpc.GenericRpcHandler:
        """The service's methods."""
        return grpc.method_handlers_generic_handler(
            "test.Bytes",
            {
                "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
                "ServerStream": grpc.unary_stream_rpc_method_handler(self.server_stream),
                "ClientStream": grpc.stream_unary_rpc_method_handler(self.client_stream),
                "Bidi": grpc.stream_stream_rpc_method_handler(self.bidi),
            },
        )


@asynccontextmanager
async def books(path: str) -> AsyncIterator[None]:
    """Tell whoever connects to a Unix socket how many calls have come, by gRPC's own count."""

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        servers = json.loads(cygrpc.channelz_get_servers(0))["server"]
        started = sum(int(each["data"].get("callsStarted", 0)) for each in servers)
        writer.write(str(started).encode())
        writer.close()

    if not path:
        yield
        return
    async with await asyncio.start_unix_server(tell, path):
        yield


async def serve_grpc(flags: argparse.Namespace, ended: asyncio.Event) -> None:
    """Serve `model` or `bytes` with health checking until `ended`."""
    compression = grpc.Compression.Gzip if flags.gzip else None
    metadata = [
        (f"grpc.{bound}", flags.max_metadata)
        for bound in ("max_metadata_size", "absolute_max_metadata_size")
        if flags.max_metadata
    ]
    counted = [("grpc.enable_channelz", 1)] if flags.books else []
    options = [*OPTIONS, *metadata, *counted]
    server = grpc.aio.server(options=options, compression=compression)
    behaviour = Behaviour(flags)
    service = Model(behaviour) if flags.kind == "model" else Bytes(behaviour)
    server.add_generic_rpc_handlers((service.handler(),))
    status = health.aio.HealthServicer()
    await status.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    port = server.add_insecure_port(flags.listen)
    await server.start()
    async with books(flags.books):
        _say_ready(flags.listen.rpartition(":")[0], port)
        await ended.wait()
    await server.stop(0.5)


async def serve_tcp(flags: argparse.Namespace, ended: asyncio.Event) -> None:
    """Serve `garbage`, `reset`, `silent` or `torrent` until `ended`."""
    noise = random.Random(flags.seed)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(CHUNK):
                if flags.kind == "garbage":
                    writer.write(noise.randbytes(flags.flood or 512))
                    await writer.drain()
                elif flags.kind == "reset":
                    client: socket.socket = writer.get_extra_info("socket")
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                elif flags.kind == "torrent":
                    before, frame = FRAMES[flags.frame]
                    writer.write(b"\0\0\0\x04" + bytes(5) + before)
                    piece = frame * max(1, CHUNK // len(frame))
                    while True:
                        writer.write(piece)
                        await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    host, _, port = flags.listen.rpartition(":")
    server = await asyncio.start_server(talk, host, int(port))
    _say_ready(host, server.sockets[0].getsockname()[1])
    await ended.wait()
    server.close()


def _say_ready(host: str, port: int) -> None:
    print(json.dumps({"ready": True, "address": f"{host}:{port}"}), flush=True)


async def main(flags: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    serve = serve_grpc if flags.kind in {"model", "bytes"} else serve_tcp
    await serve(flags, ended)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers")
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument(
        "--name", default="production", help="said in initial and trailing metadata"
    )
    parser.add_argument("--delay-ms", type=float, default=0.0, help="wait before every answer")
    parser.add_argument(
        "--exclusive", default="", help="a file: only one of its servers works at a time"
    )
    parser.add_argument("--hang", action="store_true", help="never answer")
    parser.add_argument("--error", default="", help="fail with this status, such as UNAVAILABLE")
    parser.add_argument("--error-every", type=int, default=1, help="but only every nth call")
    parser.add_argument("--gzip", action="store_true", help="compress answers")
    parser.add_argument("--max-metadata", type=int, default=0, help="bytes; 0: gRPC's default")
    parser.add_argument("--flood", type=int, default=0, help="so many bytes more in each answer")
    parser.add_argument("--bias", type=float, default=0.0, help="model: added to every number")
    parser.add_argument("--bias-share", type=float, default=1.0, help="model: of so many calls")
    parser.add_argument(
        "--bias-only", type=int, help="model: of calls whose first input (INT64) is this"
    )
    parser.add_argument("--drop-output", default="", help="model: leave this output out")
    parser.add_argument("--model-version", default="1", help="model: the version it names")
    parser.add_argument("--books", default="", help="gRPC: a Unix socket that tells the calls")
    parser.add_argument(
        "--piece", type=int, default=0, help="bytes: of a streamed answer's messages; 0: lines"
    )
    parser.add_argument("--gap-ms", type=float, default=0.0, help="bytes: wait between messages")
    parser.add_argument("--frame", choices=FRAMES, default="data", help="torrent: which")
    parser.add_argument("--salt", default="", help="bytes: put before every answer")
    parser.add_argument("--seed", type=int, default=1, help="garbage and bias-share: which")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    asyncio.run(main(parse()))
