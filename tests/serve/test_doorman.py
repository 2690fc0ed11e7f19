"""What the doorman answers is what the pages would have answered; the rest is handed on whole."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from sidecar.serve.bind import bind
from sidecar.serve.doorman import Doorman
from sidecar.serve.hosts import served_names
from sidecar.serve.http import Pages, runner_of, serve
from sidecar.serve.polled import Polled
from tests.house import House, told

LISTEN = "127.0.0.1:0"


class Door:
    """A doorman over real pages, and the same pages without one."""

    def __init__(self, listen: str = LISTEN) -> None:
        self.house = House({})
        for _ in range(3):
            self.house.call(told(1.0))
        self.loads = 0
        self.refused = 0  # so many times loading fails first
        self.polled = Polled(
            self.house.experiment, lambda a: (f"for {a}".encode(), "text/x; v=1"), lambda: 0
        )
        self.pages = Pages(self.house.experiment, self.polled, lambda: 0)
        self.listen = listen

    async def load(self) -> web.AppRunner:
        self.loads += 1
        await asyncio.sleep(0)
        if self.refused:
            self.refused -= 1
            raise MemoryError("no room")
        return await runner_of(self.pages, LISTEN)

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[str]:
        doorman = Doorman(self.polled, served_names(LISTEN, ()), self.load)
        sockets, address = bind(self.listen)
        await doorman.open(sockets)
        try:
            yield address
        finally:
            await doorman.close()


async def connected(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address.removeprefix("unix:"))
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def said(address: str, *pieces: bytes) -> bytes:
    """All that is answered until the connection is closed; what is asked comes in pieces."""
    reader, writer = await connected(address)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    answer = await reader.read()
    writer.close()
    return answer


def parts(answer: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in lines)
    return first.split(b" ")[1], fields, body


def get(path: str, *fields: str, version: str = "1.1") -> bytes:
    lines = [f"GET {path} HTTP/{version}", "Host: localhost", "Connection: close", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), 30)

    asyncio.run(bounded())


OURS = ["/livez", "/readyz", "/metrics", "/status", "/counts", "/ended"]
SAME = {
    **{f"{path} 1.0": get(path, version="1.0") for path in OURS},
    **{path: get(path) for path in OURS},
    "what is accepted": get("/metrics", "Accept: application/openmetrics-text; version=1.0.0"),
    "blanks around a value": get("/metrics", "aCCept: \t a/b \t "),
}
PAGES = ["/", "/pairs", "/verdict", "/report.json", "/nothing", "/gate"]
HANDED_ON = {
    **{path: get(path) for path in PAGES},
    "a query": get("/status?x=1"),
    "an escape": get("/stat%75s"),
    "a fragment": get("/status#x"),
    "a whole address": get("http://localhost/status"),
    "another method": get("/status").replace(b"GET", b"HEAD"),
    "a method that is not allowed": get("/status").replace(b"GET", b"POST"),
    "a body": get("/status", "Content-Length: 3") + b"abc",
    "a strangers name": get("/status").replace(b"localhost", b"evil.example"),
    "no name": get("/status").replace(b"Host: localhost\r\n", b""),
    "two names": get("/status", "Host: evil.example"),
    "a field that is none": get("/status", "no colon"),
    "a field with a blank": get("/status", "a b: c"),
    "a folded field": get("/status", "A: b", " c"),
    "a version that is none": get("/status", version="9.9"),
    "no request": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "two at once": get("/status").replace(b"Connection: close\r\n", b"") + get("/livez"),
    "a long head": get("/status", "A: " + "b" * 9000),
    "a head without end": b"GET /status HTTP/1.1\r\nA: " + b"b" * 20_000,
}


@pytest.mark.parametrize("asked", SAME.values(), ids=SAME)
def test_a_probe_is_answered_as_the_pages_would_without_loading_them(asked: bytes) -> None:
    async def scenario() -> None:
        door = Door()
        runner, plain = await serve(door.pages, LISTEN)
        async with door.opened() as address:
            ours, theirs = parts(await said(address, asked)), parts(await said(plain, asked))
        await runner.cleanup()
        assert ours[0] == theirs[0]
        if b"/counts" in asked:  # each look has a number of its own
            assert len(ours[2]) == len(theirs[2])
        else:
            assert ours[2] == theirs[2]
        assert ours[1][b"content-type"] == theirs[1][b"content-type"]
        assert ours[1][b"content-length"] == str(len(ours[2])).encode()
        assert door.loads == 0

    run(scenario)


@pytest.mark.parametrize("asked", HANDED_ON.values(), ids=HANDED_ON)
def test_whatever_else_comes_is_answered_by_the_pages_as_if_nobody_stood_before(
    asked: bytes,
) -> None:
    async def scenario() -> None:
        door = Door()
        runner, plain = await serve(door.pages, LISTEN)
        async with door.opened() as address:
            ours, theirs = await said(address, asked), await said(plain, asked)
        await runner.cleanup()
        (status, fields, body), (status_, fields_, body_) = parts(ours), parts(theirs)
        assert (status, fields.keys()) == (status_, fields_.keys())
        assert len(body) == pytest.approx(len(body_), rel=0.01)
        assert door.loads == 1

    run(scenario)


def test_a_request_may_come_byte_by_byte() -> None:
    async def scenario() -> None:
        door = Door()
        async with door.opened() as address:
            for path, loads in (("/livez", 0), ("/pairs", 1)):
                answer = await said(address, *(bytes([byte]) for byte in get(path)))
                assert parts(answer)[0] == b"200"
                assert door.loads == loads

    run(scenario)


def test_who_is_handed_on_keeps_the_connection_and_many_load_once() -> None:
    async def scenario() -> None:
        door = Door()
        async with door.opened() as address:

            async def visit() -> None:
                reader, writer = await connected(address)
                for _ in range(3):
                    writer.write(b"GET /pairs HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    head = await reader.readuntil(b"\r\n\r\n")
                    await reader.readexactly(int(parts(head)[1][b"content-length"]))
                writer.close()

            await asyncio.gather(*(visit() for _ in range(8)))
            assert door.loads == 1
            assert parts(await said(address, get("/livez")))[2] == b"ok\n"

    run(scenario)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_pages_that_cannot_be_loaded_are_loaded_for_the_next_one() -> None:
    async def scenario() -> None:
        door = Door()
        door.refused = 1
        raised: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: raised.append(context.get("exception"))
        )
        async with door.opened() as address:
            with contextlib.suppress(ConnectionError):
                assert await said(address, get("/pairs")) == b""
            assert parts(await said(address, get("/pairs")))[0] == b"200"
            assert door.loads == 2

    run(scenario)


def test_at_the_end_nobody_is_kept_waiting() -> None:
    async def scenario() -> None:
        door = Door()
        async with door.opened() as address:
            silent = await connected(address)
            halfway = await connected(address)
            halfway[1].write(b"GET /liv")
            assert parts(await said(address, get("/livez")))[0] == b"200"
        for reader, writer in (silent, halfway):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()

    run(scenario)


def test_a_client_that_goes_while_pages_are_loaded_is_forgotten() -> None:
    async def scenario() -> None:
        door = Door()
        loaded = asyncio.Event()
        load = door.load

        async def slowly() -> web.AppRunner:
            await loaded.wait()
            return await load()

        door.load = slowly  # type: ignore[method-assign]  # it is asked of this one alone
        async with door.opened() as address:
            _, writer = await connected(address)
            writer.write(get("/pairs"))
            await writer.drain()
            writer.transport.abort()
            assert parts(await said(address, get("/livez")))[0] == b"200"
            loaded.set()
            assert parts(await said(address, get("/pairs")))[0] == b"200"

    run(scenario)


def test_it_listens_on_a_unix_socket_too() -> None:
    async def scenario() -> None:
        with tempfile.TemporaryDirectory() as folder:
            door = Door(f"unix:{Path(folder, 'http.sock')}")
            async with door.opened() as address:
                assert parts(await said(address, get("/livez")))[0] == b"200"
                assert parts(await said(address, get("/pairs")))[0] == b"200"

    run(scenario)
