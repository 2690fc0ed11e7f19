"""Real servers for the tee's tests: grpcio on a free port, and raw sockets that misbehave."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import grpc.aio

Handler: TypeAlias = Callable[[AsyncIterator[bytes], Any], AsyncIterator[bytes]]
"""A gRPC method of any kind: request messages and context in, response messages out."""
Peer: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Every(grpc.GenericRpcHandler):
    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.stream_stream_rpc_method_handler(self._handler)


@asynccontextmanager
async def grpc_server(
    handler: Handler, credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[str]:
    """Serve every method with one handler; gives the address."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((_Every(handler),))
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def raw_server(peer: Peer, path: Path | None = None) -> AsyncIterator[str]:
    """Serve connections, of TCP or of a Unix socket, with one coroutine each; gives the address."""
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        # When this server closes, the peer is cancelled; asyncio would log that as its failure.
        with suppress(asyncio.CancelledError, ConnectionError):
            await peer(reader, writer)
        connections.discard(task)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    if path is None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    else:
        server = await asyncio.start_unix_server(connected, path)
        address = f"unix:{path}"
    try:
        yield address
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections)


def nobody() -> str:
    """Give an address that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def echo(requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
    """Answer each message with itself."""
    async for message in requests:
        yield message


async def last(requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
    """Answer with the last message, when all have come."""
    message = b""
    async for message in requests:  # noqa: B007
        pass
    yield message


async def hangs(_: AsyncIterator[bytes], __: Any) -> AsyncIterator[bytes]:
    """Never answer."""
    await asyncio.Event().wait()
    yield b""


async def speaks_http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer whatever comes with HTTP/1.1, and hang up."""
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def resets_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let the connection end with a TCP reset."""
    await reader.read(1)
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """An HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + struct.pack("!BBI", kind, flags, stream) + payload


def resets_streams(blocks: list[bytes], error: int = 2) -> Peer:
    """Speak just enough HTTP/2 to answer every HEADERS with RST_STREAM, INTERNAL_ERROR unless told.

    The header blocks that came are put into `blocks`.
    """
    headers, rst_stream, settings, ack = 1, 3, 4, 1

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(24)
        writer.write(frame(settings, 0, 0))
        while len(head := await reader.read(9)) == 9:  # grpc writes whole frames
            payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
            kind, flags, stream = struct.unpack("!BBI", head[3:])
            if kind == settings and not flags & ack:
                writer.write(frame(settings, ack, 0))
            elif kind == headers:
                blocks.append(payload)
                writer.write(frame(rst_stream, 0, stream, struct.pack("!I", error)))

    return peer
