"""Answers what machines ask for, and loads the pages when somebody wants one.

A pod is asked by probes, a scraper and a collector all day, and by people now and then; the library
that serves pages well costs a fifth of an observer's memory and of the time until it is ready. So
the few paths of `polled` are answered here: a GET without a query or a body, one a connection.
Rule: whatever else comes, however it begins, is handed to that library as it came, with its
connection, which then is the library's. Counterparts: `http`, whose pages those are; `polled`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias, cast

from sidecar.serve.polled import Answer, Polled

if TYPE_CHECKING:
    from aiohttp.web import AppRunner

MOST_HEAD = 8 << 10  # bytes of a request's head that are looked at
PATIENCE_SECONDS = 75.0  # for a head, as long as the library waits for one
_REQUEST = re.compile(rb"GET (/[a-z]+) HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_NOT_OURS = {b"content-length", b"transfer-encoding", b"expect", b"upgrade"}

Load: TypeAlias = Callable[[], Awaitable["AppRunner"]]


class Doorman:
    """Listens, until it is closed."""

    def __init__(self, polled: Polled, served: Callable[[str], bool], load: Load) -> None:
        """Nobody has come yet.

        Args:
            polled: what is answered here.
            served: whether a Host field's value is one of ours.
            load: sets up the pages.
        """
        self._polled = polled
        self._served = served
        self._load = load
        self._loading: asyncio.Future[AppRunner] | None = None
        self._servers: list[asyncio.Server] = []
        self.visitors: set[Visitor] = set()

    async def open(self, sockets: Sequence[socket.socket]) -> None:
        """Answer on sockets that listen already."""
        loop = asyncio.get_running_loop()
        for sock in sockets:
            create = (
                loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
            )
            self._servers.append(await create(lambda: Visitor(self), sock=sock))

    async def pages(self) -> AppRunner:
        """What answers the rest; loaded by the first who asks."""
        if self._loading is None or (self._loading.done() and self._loading.exception()):
            self._loading = asyncio.ensure_future(self._load())
        return await asyncio.shield(self._loading)

    def answer(self, head: bytes) -> bytes | None:
        """The whole answer to a request's head; None where it is not for us to answer.

        Args:
            head: without the empty line at its end.
        """
        first, *lines = head.split(b"\r\n")
        request = _REQUEST.fullmatch(first)
        fields = [_FIELD.fullmatch(line) for line in lines]
        if request is None or not all(fields):
            return None
        named = [(field[1].lower(), field[2]) for field in fields if field]
        names = [name for name, _ in named]
        if _NOT_OURS & set(names) or names.count(b"host") != 1 or names.count(b"accept") > 1:
            return None
        told = {name: value.decode("latin-1") for name, value in named}
        if not self._served(told[b"host"]):
            return None
        found = self._polled.answer(request[1].decode(), told.get(b"accept", ""))
        return None if found is None else _written(found)

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        for server in self._servers:
            server.close()
        for visitor in list(self.visitors):
            visitor.leave()
        if self._loading is not None:
            with contextlib.suppress(Exception):  # who asked has been told
                await (await self._loading).cleanup()


class Visitor(asyncio.Protocol):
    """One connection, until it has its answer or is handed on."""

    def __init__(self, doorman: Doorman) -> None:
        self._doorman = doorman
        self._received = bytearray()
        self._handing_on: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._doorman.visitors.add(self)
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(PATIENCE_SECONDS, self._transport.abort)

    def connection_lost(self, _: Exception | None) -> None:
        self._patience.cancel()
        self._doorman.visitors.discard(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._handing_on is not None:
            return
        head, end, more = bytes(self._received).partition(b"\r\n\r\n")
        if not end and len(head) <= MOST_HEAD and b"\n\n" not in head:
            return  # the rest is still to come
        told = None
        if end and not more and len(head) <= MOST_HEAD:
            told = self._doorman.answer(head)
        if told is not None:
            self._transport.write(told)
            self._transport.close()
            return
        self._patience.cancel()
        self._transport.pause_reading()
        self._handing_on = asyncio.ensure_future(self._hand_on())

    async def _hand_on(self) -> None:
        """Give the connection to who serves pages, with what it has said so far."""
        try:
            runner = await self._doorman.pages()
        except Exception:
            self._transport.abort()
            raise
        self._doorman.visitors.discard(self)
        if self._transport.is_closing() or runner.server is None:
            self._transport.abort()
            return
        handler = runner.server()
        self._transport.set_protocol(handler)
        handler.connection_made(self._transport)
        self._transport.resume_reading()
        handler.data_received(bytes(self._received))

    def leave(self) -> None:
        """End it."""
        if self._handing_on is not None:
            self._handing_on.cancel()
        self._transport.abort()


def _written(answer: Answer) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
        f"Content-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\n"
        f"Date: {formatdate(usegmt=True)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + answer.body
