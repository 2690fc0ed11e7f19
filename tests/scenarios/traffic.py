"""A client's afternoon: unary, streaming, compressed, failing and cancelled calls, by grpcio.

Rule: what is sent is a function of the call's number, so that two runs can be compared answer by
answer. The server is `tests.servers --kind bytes`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc

SERVICE = "/test.Bytes"
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """All that a client can see of an answer."""

    call: str
    status: str
    detail: str
    messages: tuple[bytes, ...]
    headers: tuple[tuple[str, str | bytes], ...]
    trailers: tuple[tuple[str, str | bytes], ...]


def payload(number: int) -> bytes:
    """A call's bytes: mostly small, now and then larger than HTTP/2's first flow-control window."""
    draw = random.Random(number)
    size = draw.choice((0, 1, 17, 205, 205, 205, 1_000, 16_384, 70_000))
    return draw.randbytes(size)


def traceparent(number: int, *, sampled: bool) -> str:
    """A caller's trace context."""
    draw = random.Random(-number - 1)
    return f"00-{draw.getrandbits(128):032x}-{draw.getrandbits(64):016x}-{int(sampled):02x}"


class Client:
    """Several connections to one address; calls go round them."""

    def __init__(self, address: str, connections: int = 4) -> None:
        self.channels = [grpc.aio.insecure_channel(address, OPTIONS) for _ in range(connections)]

    async def close(self) -> None:
        for channel in self.channels:
            await channel.close()

    def channel(self, number: int) -> grpc.aio.Channel:
        return self.channels[number % len(self.channels)]

    def metadata(self, number: int) -> tuple[tuple[str, str], ...]:
        return (
            ("traceparent", traceparent(number, sampled=number % 5 == 0)),
            ("x-request-id", f"request-{number}"),
            ("authorization", "Bearer secret"),
        )

    async def unary(self, number: int, method: str = "Unary") -> Answer:
        """One message each way; every tenth is sent compressed."""
        stub: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        stub = self.channel(number).unary_unary(f"{SERVICE}/{method}")
        call = stub(
            payload(number),
            metadata=self.metadata(number),
            timeout=PATIENCE,
            compression=grpc.Compression.Gzip if number % 10 == 0 else None,
        )

        async def read() -> tuple[bytes, ...]:
            return (await call,)

        return await _answer(f"{method} {number}", call, read)

    async def server_stream(self, number: int) -> Answer:
        stub: grpc.aio.UnaryStreamMultiCallable[bytes, bytes]
        stub = self.channel(number).unary_stream(f"{SERVICE}/ServerStream")
        call = stub(
            b"\n".join(b"line %d" % i for i in range(number % 7 + 1)),
            metadata=self.metadata(number),
            timeout=PATIENCE,
        )
        return await _answer(f"ServerStream {number}", call, _all(call))

    async def client_stream(self, number: int) -> Answer:
        stub: grpc.aio.StreamUnaryMultiCallable[bytes, bytes]
        stub = self.channel(number).stream_unary(f"{SERVICE}/ClientStream")
        call = stub(_messages(number), metadata=self.metadata(number), timeout=PATIENCE)

        async def read() -> tuple[bytes, ...]:
            return (await call,)

        return await _answer(f"ClientStream {number}", call, read)

    async def bidi(self, number: int) -> Answer:
        call = self._bidi(number)(
            _messages(number), metadata=self.metadata(number), timeout=PATIENCE
        )
        return await _answer(f"Bidi {number}", call, _all(call))

    def _bidi(self, number: int) -> grpc.aio.StreamStreamMultiCallable[bytes, bytes]:
        return self.channel(number).stream_stream(f"{SERVICE}/Bidi")

    async def cancelled(self, number: int) -> Answer:
        """A stream that the client gives up after the first answer, request unfinished."""
        call = self._bidi(number)(metadata=self.metadata(number), timeout=PATIENCE)
        await call.write(b"first")
        first = await call.read()
        call.cancel()
        assert isinstance(first, bytes)
        return Answer(f"cancelled {number}", "CANCELLED", "", (first,), (), ())

    async def failing(self, number: int) -> Answer:
        """A method that the server does not have."""
        return await self.unary(number, "Missing")


@dataclass(frozen=True, slots=True)
class Mix:
    """How many calls of each kind."""

    unary: int = 0
    streams: int = 0  # of each of the three kinds
    cancelled: int = 0
    failing: int = 0

    @property
    def calls(self) -> int:
        return self.unary + 3 * self.streams + self.cancelled + self.failing


async def run(address: str, mix: Mix, at_once: int = 16) -> list[Answer]:
    """Send the mix and return the answers in the order of the calls."""
    client = Client(address)
    kinds: list[Callable[[int], Awaitable[Answer]]] = [
        *[client.unary] * mix.unary,
        *[client.server_stream, client.client_stream, client.bidi] * mix.streams,
        *[client.cancelled] * mix.cancelled,
        *[client.failing] * mix.failing,
    ]
    random.Random(7).shuffle(kinds)
    room = asyncio.Semaphore(at_once)

    async def one(number: int, kind: Callable[[int], Awaitable[Answer]]) -> Answer:
        async with room:
            return await kind(number)

    try:
        return list(await asyncio.gather(*(one(n, kind) for n, kind in enumerate(kinds))))
    finally:
        await client.close()


async def _messages(number: int) -> AsyncIterator[bytes]:
    for i in range(number % 5 + 1):
        yield payload(number * 10 + i)


def _all(call: Any) -> Callable[[], Awaitable[tuple[bytes, ...]]]:
    async def read() -> tuple[bytes, ...]:
        return tuple([message async for message in call])

    return read


async def _answer(name: str, call: Any, read: Callable[[], Awaitable[tuple[bytes, ...]]]) -> Answer:
    messages: tuple[bytes, ...] = ()
    try:
        messages = await read()
    except grpc.aio.AioRpcError:
        # The status is part of the answer; it is read from the call below.
        messages = ()
    return Answer(
        call=name,
        status=(await call.code()).name,
        detail=await call.details() or "",
        messages=messages,
        headers=_plain(await call.initial_metadata()),
        trailers=_plain(await call.trailing_metadata()),
    )


def _plain(metadata: Any) -> tuple[tuple[str, str | bytes], ...]:
    # Envoy stamps what the upstream took; that is about time, not about the answer.
    about_time = {"date", "x-envoy-upstream-service-time"}
    return tuple((k, v) for k, v in metadata or () if k not in about_time)
