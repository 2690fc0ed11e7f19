"""Connections to a shadow: used again, made again, waited for, given up."""

from __future__ import annotations

import asyncio
import struct
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hpack

from sidecar.address import parse_address
from sidecar.http2.answers import Answer
from sidecar.http2.conversation import Conversation
from sidecar.http2.limits import ReadLimits
from sidecar.tee.channel import DEADLINE_EXCEEDED, UNAVAILABLE, Channel
from tests.tee.servers import echo, frame, grpc_server, nobody, raw_server

LATE, SOON = 60.0, 0.2
HEADERS, SETTINGS, GOAWAY = 1, 4, 7


@asynccontextmanager
async def channel(address: str) -> AsyncIterator[Channel]:
    def speak() -> Conversation:
        return Conversation("http", "shadow:1", "agent/1", ReadLimits())

    made = Channel(parse_address(address), None, "", speak)
    try:
        yield made
    finally:
        await made.close()


async def ask(on: Channel, message: bytes = b"x", deadline: float = LATE) -> Answer:
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    call = on.ask("/p.S/M", (message,), (), deadline, answer.set_result)
    try:
        return await answer
    except asyncio.CancelledError:
        on.cancel(call)
        raise


class Server:
    """Speaks just enough HTTP/2, and answers OK; counts connections and calls at one time."""

    def __init__(self, *, streams: int = 100, answers: int = 1 << 30, silent: bool = False) -> None:
        self.connections = 0
        self.most = 0
        self._streams = streams
        self._answers = answers  # on one connection; then GOAWAY
        self._silent = silent
        self.released = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await reader.readexactly(24)
        writer.write(frame(SETTINGS, 0, 0, struct.pack("!HI", 3, self._streams)))
        encoder = hpack.Encoder()
        answered, open_ = 0, set()
        while len(head := await reader.read(9)) == 9:
            await reader.readexactly(int.from_bytes(head[:3], "big"))
            kind, flags, stream = struct.unpack("!BBI", head[3:])
            if kind == HEADERS:
                open_.add(stream)
                self.most = max(self.most, len(open_))
            if kind != 0 or not flags & 1 or self._silent:
                continue
            await self.released.wait()
            open_.discard(stream)
            block = encoder.encode([(":status", "200"), ("grpc-status", "0")])
            writer.write(frame(HEADERS, 5, stream, block))
            answered += 1
            if answered == self._answers:
                writer.write(frame(GOAWAY, 0, 0, struct.pack("!II", stream, 0)))


def with_server(server: Callable[[], Server], scene: Callable[[Channel, Server], Any]) -> Any:
    async def main() -> Any:
        made = server()
        async with raw_server(made) as address, channel(address) as on:
            return await scene(on, made)

    return asyncio.run(main())


def test_calls_share_one_connection() -> None:
    async def scene(on: Channel, server: Server) -> None:
        server.released.set()
        for _ in range(3):
            told = await asyncio.gather(*(ask(on) for _ in range(5)))
            assert [each.status for each in told] == [0] * 5
        assert server.connections == 1

    with_server(Server, scene)


def test_calls_beyond_what_the_server_takes_wait_their_turn() -> None:
    async def scene(on: Channel, server: Server) -> None:
        calls = [asyncio.create_task(ask(on)) for _ in range(7)]
        await asyncio.sleep(0)
        server.released.set()
        assert [each.status for each in await asyncio.gather(*calls)] == [0] * 7
        assert server.most <= 2

    with_server(lambda: Server(streams=2), scene)


def test_a_call_that_waits_for_its_turn_ends_by_its_deadline() -> None:
    async def scene(on: Channel, server: Server) -> None:
        first = asyncio.create_task(ask(on, deadline=LATE))
        second = await ask(on, deadline=SOON)
        assert second.status == DEADLINE_EXCEEDED
        server.released.set()
        assert (await first).status == 0

    with_server(lambda: Server(streams=1), scene)


def test_a_place_that_a_late_call_leaves_is_the_next_ones() -> None:
    async def scene(on: Channel, server: Server) -> None:
        late = await asyncio.gather(ask(on, deadline=SOON), ask(on, deadline=2 * SOON))
        assert [each.status for each in late] == [DEADLINE_EXCEEDED] * 2
        assert server.connections == 1

    with_server(lambda: Server(streams=1, silent=True), scene)


def test_a_server_that_goes_away_is_connected_to_again() -> None:
    async def scene(on: Channel, server: Server) -> None:
        server.released.set()
        told = [await ask(on) for _ in range(6)]
        assert [each.status for each in told] == [0] * 6
        assert server.connections == 3

    with_server(lambda: Server(answers=2), scene)


def test_one_that_is_not_there_is_refused_at_once_until_the_pause_is_over() -> None:
    async def main() -> None:
        async with channel(nobody()) as on:
            first = await ask(on)
            second = await ask(on)
        assert first.status == second.status == UNAVAILABLE
        assert first.detail == second.detail != ""

    asyncio.run(main())


def test_closing_ends_the_calls_in_flight() -> None:
    async def main() -> Answer:
        async with raw_server(Server(silent=True)) as address:
            async with channel(address) as on:
                call = asyncio.create_task(ask(on))
                await asyncio.sleep(0)
            return await call

    assert asyncio.run(main()).status == UNAVAILABLE


def test_a_server_that_comes_back_is_found(tmp_path: Path) -> None:
    path = tmp_path / "shadow.sock"

    async def main() -> None:
        served = Server()
        served.released.set()
        async with channel(f"unix:{path}") as on:
            assert (await ask(on)).status == UNAVAILABLE
            async with raw_server(served, path), asyncio.timeout(30):
                while (await ask(on)).status != 0:  # the pause after a failure
                    await asyncio.to_thread(path.exists)

    asyncio.run(main())


def test_a_thousand_calls_of_every_size_come_back_as_they_went() -> None:
    async def main() -> None:
        sizes = [(number * 7919) % 100_000 for number in range(1000)]
        async with grpc_server(echo) as address, channel(address) as on:
            room = asyncio.Semaphore(32)

            async def one(size: int) -> bool:
                async with room:
                    told = await ask(on, bytes([size % 256]) * size)
                    return told.messages == (bytes([size % 256]) * size,)

            assert all(await asyncio.gather(*map(one, sizes)))

    asyncio.run(main())


def test_a_shadow_that_opens_its_windows_and_never_reads_holds_no_memory_of_ended_calls() -> None:
    wide = struct.pack("!HI", 4, (1 << 31) - 1)
    more = frame(8, 0, 0, struct.pack("!I", (1 << 31) - 1 - 65_535))

    async def never_reads(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(SETTINGS, 0, 0, wide) + more)
        await asyncio.Event().wait()

    async def held() -> int:
        tracemalloc.start()
        try:
            async with raw_server(never_reads) as address, channel(address) as on:
                large = bytes(8 << 20)
                for _ in range(4):
                    calls = [ask(on, large, deadline=SOON) for _ in range(4)]
                    statuses = {answer.status for answer in await asyncio.gather(*calls)}
                    assert statuses == {DEADLINE_EXCEEDED}
                del large
                return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    # 128 MiB were asked to be sent; what is left is the transport's own buffer, which from Python
    # 3.12 on is the whole message that it had begun to send.
    assert asyncio.run(held()) < 12 << 20


def test_who_gives_up_hears_nothing_even_if_the_answer_has_come() -> None:
    async def scene(on: Channel, server: Server) -> None:
        told: list[Answer] = []
        call = on.ask("/p.S/M", (b"x",), (), LATE, told.append)
        on.tell(call, Answer(0))  # as when it comes in the same turn of the loop
        on.cancel(call)
        server.released.set()
        assert (await ask(on)).status == 0
        assert not told

    with_server(Server, scene)
