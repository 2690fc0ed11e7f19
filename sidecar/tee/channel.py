"""Connections to one shadow, one after the other: connect, ask, give up in time.

Rule: a call that was begun ends with exactly one answer, at its deadline at the latest; a shadow
that cannot be reached is asked again after a pause that grows, and until then the answer is
UNAVAILABLE at once. Nothing is ever sent twice. Answers are told in the event loop's next turn, all
that there are by then, so that whoever hears one may do anything here. No call has a task or a
future of its own: they would cost more than all else here. Counterpart: `conversation`, which
speaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Callable

from sidecar.address import TCP, Unix
from sidecar.call import GrpcMetadata
from sidecar.http2.answers import Answer
from sidecar.http2.budget import Budget
from sidecar.http2.conversation import Conversation

DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE = 4, 13, 14
CONNECT_SECONDS = 10.0
PAUSE_FIRST = 0.5  # about as soon as a breaker would try again
PAUSE_LAST = 5.0
KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
MAX_WAITING = 4096  # answers to a server's pings and settings that it does not read
UNACKED_MS = 15_000  # a peer that vanished with our bytes on the way is noticed


class Call:
    """A call from `ask` to its answer."""

    __slots__ = (
        "connection",
        "deadline",
        "done",
        "ended",
        "messages",
        "metadata",
        "method",
        "stream",
        "timer",
    )

    timer: asyncio.TimerHandle  # until its deadline

    def __init__(
        self,
        method: str,
        messages: tuple[bytes, ...],
        metadata: GrpcMetadata,
        deadline: float,
        done: Callable[[Answer], None],
    ) -> None:
        self.method = method
        self.messages = messages
        self.metadata = metadata
        self.deadline = deadline
        self.done: Callable[[Answer], None] | None = done  # None: told, or nobody wants to hear
        self.ended = False  # there is an answer, or nobody wants one
        self.connection: _Connection | None = None
        self.stream = 0


class Channel:
    """Asks one server; make it within the running event loop.

    Args:
        speak: makes the conversation of a new connection.
    """

    def __init__(
        self,
        address: TCP | Unix,
        tls: ssl.SSLContext | None,
        name: str,
        speak: Callable[[], Conversation],
        budget: Budget | None = None,
    ) -> None:
        self._budget = budget or Budget()  # for answers that wait to be told
        self._address = address
        self._tls = tls
        self._name = name  # that the server's certificate must have
        self._speak = speak
        self._loop = asyncio.get_running_loop()
        self._current: _Connection | None = None
        self._others: set[_Connection] = set()  # that take no more calls
        self._connecting: asyncio.Task[None] | None = None
        self._waiting: deque[Call] = deque()
        self._answers: list[tuple[Call, Answer]] = []  # to be told in the loop's next turn
        self._pause = PAUSE_FIRST
        self._not_before = 0.0
        self._trouble = ""
        self._closed = False

    def ask(
        self,
        method: str,
        messages: tuple[bytes, ...],
        metadata: GrpcMetadata,
        deadline_seconds: float,
        done: Callable[[Answer], None],
    ) -> Call:
        """Ask; `done` is told the answer, once and never before this returns."""
        loop = self._loop
        deadline = loop.time() + deadline_seconds
        call = Call(method, messages, metadata, deadline, done)
        call.timer = loop.call_at(deadline, self._late, call)
        current = self._current
        if current is not None and not self._waiting and current.has_room:
            current.begin(call)
        else:
            self._wait(call)
        return call

    def cancel(self, call: Call) -> None:
        """Give a call up: `done` hears nothing any more, and the server hears of it."""
        call.done = None
        if not call.ended:
            call.ended = True
            call.timer.cancel()
            self._forget(call)

    def tell(self, call: Call, answer: Answer) -> None:
        """A call has its answer."""
        if call.ended:
            return
        call.ended = True
        call.timer.cancel()
        if not self._answers:
            self._loop.call_soon(self._deliver)
        self._answers.append((call, answer))
        self._budget.held += sum(map(len, answer.messages))

    async def close(self) -> None:
        """Close the connections; calls in flight end as UNAVAILABLE."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connecting
        for connection in [*self._others, *([self._current] if self._current else [])]:
            connection.close("the channel is closed")
        self._refuse("the channel is closed")
        await asyncio.sleep(0)  # a socket closes in the loop's next turn

    def next(self) -> None:
        """Begin the calls that wait, as far as there is room."""
        current = self._current
        if current is not None and not current.conversation.open_to_calls:
            self._others.add(current)
            self._current = current = None
        while self._waiting and current is not None and current.has_room:
            call = self._waiting.popleft()
            if not call.ended:
                current.begin(call)
        if self._waiting and current is None:
            self._connect()

    def ended(self, connection: _Connection, why: str) -> None:
        """A connection is gone."""
        self._others.discard(connection)
        if connection is self._current:
            self._current = None
            if not connection.useful:
                self._fail(why)
            elif not self._closed:
                self.next()

    def answered(self) -> None:
        """The server has answered a call."""
        self._pause = PAUSE_FIRST
        self._not_before = 0.0

    def _deliver(self) -> None:
        answers, self._answers = self._answers, []
        for call, answer in answers:
            done, call.done = call.done, None
            self._budget.held -= sum(map(len, answer.messages))
            if done is not None:
                done(answer)

    def _wait(self, call: Call) -> None:
        self._waiting.append(call)
        self.next()

    def _connect(self) -> None:
        if self._connecting is not None:
            return
        if self._closed or self._loop.time() < self._not_before:
            self._refuse(self._trouble)
            return
        self._connecting = self._loop.create_task(self._open())

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await self._dial()
            if connection.gone:
                self._fail(connection.gone)
            else:
                self._current = connection
        except (OSError, TimeoutError) as error:
            self._fail(str(error) or "no connection in time")
        finally:
            self._connecting = None
        self.next()

    async def _dial(self) -> _Connection:
        def protocol() -> _Connection:
            return _Connection(self, self._speak())

        name = self._name if self._tls is not None else None
        if isinstance(self._address, Unix):
            _, connection = await self._loop.create_unix_connection(
                protocol, self._address.path, ssl=self._tls, server_hostname=name
            )
        else:
            _, connection = await self._loop.create_connection(
                protocol,
                self._address.host,
                self._address.port,
                ssl=self._tls,
                server_hostname=name,
            )
        return connection

    def _fail(self, why: str) -> None:
        """A connection could not be made: nobody waits for the next one."""
        self._trouble = why
        self._not_before = self._loop.time() + self._pause
        self._pause = min(self._pause * 2, PAUSE_LAST)
        self._refuse(why)

    def _refuse(self, why: str) -> None:
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            self.tell(call, Answer(UNAVAILABLE, why))

    def _late(self, call: Call) -> None:
        if not call.ended:
            self.tell(call, Answer(DEADLINE_EXCEEDED, "the shadow's deadline has passed"))
            self._forget(call)

    def _forget(self, call: Call) -> None:
        if call.connection is not None:
            call.connection.cancel(call)
        else:
            with contextlib.suppress(ValueError):
                self._waiting.remove(call)


class _Connection(asyncio.Protocol):
    """One socket."""

    def __init__(self, channel: Channel, conversation: Conversation) -> None:
        self.conversation = conversation
        self._channel = channel
        self._calls: dict[int, Call] = {}
        self._transport: asyncio.Transport | None = None
        self._due = False  # a flush will come
        self._paused = False  # the socket takes no more
        self.useful = False  # it has brought an answer
        self.gone = ""  # why it has ended

    @property
    def has_room(self) -> bool:
        """Whether a call may be begun now."""
        return self.conversation.has_room and not self._paused

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._flush()
        self._channel.next()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is no subclass
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            for option, value in KEEPALIVE:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKED_MS)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._flush()

    def data_received(self, data: bytes) -> None:
        conversation = self.conversation
        answered = conversation.receive(data)
        for stream, answer in answered:
            self._channel.tell(self._calls.pop(stream), answer)
        if answered and not self.useful:
            self.useful = True
            self._channel.answered()
        if conversation.broken:
            self.close(conversation.broken)
            return
        if self._paused and conversation.waiting > MAX_WAITING:
            self.close("the shadow writes and does not read")
            return
        self._flush()
        self._channel.next()
        if not conversation.open_to_calls and not self._calls:
            self.close("the shadow is going away")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(str(exc or "the shadow closed the connection"))

    def begin(self, call: Call) -> None:
        """Send a call; there must be room."""
        left = call.deadline - asyncio.get_running_loop().time()
        try:
            call.stream = self.conversation.begin(
                call.method, call.messages, call.metadata, round(left * 1e9)
            )
        except (ValueError, TypeError, AttributeError) as error:
            self._channel.tell(call, Answer(INTERNAL, f"{type(error).__name__}: {error}"))
            return
        call.connection = self
        self._calls[call.stream] = call
        if not self._due:
            # Calls that are begun in one turn of the loop leave in one write.
            self._due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def cancel(self, call: Call) -> None:
        """Tell the server that nobody waits any more."""
        if self._calls.pop(call.stream, None) is not None:
            self.conversation.cancel(call.stream)
            self._flush()
            self._channel.next()

    def close(self, why: str) -> None:
        """Close, and end what is in flight."""
        if self._transport is not None:
            self._transport.abort()
        self._end(why)

    def _end(self, why: str) -> None:
        if self.gone:
            return
        self.gone = why
        self._transport = None
        for stream, answer in self.conversation.lost(why):
            self._channel.tell(self._calls.pop(stream), answer)
        self._channel.ended(self, why)

    def _flush(self) -> None:
        self._due = False
        # What waits stays in the conversation, where a call that ends takes its bytes with it.
        while self._transport is not None and not self._paused:
            out = self.conversation.output()
            if out:
                self._transport.writelines(out)
            if self._paused or not self.conversation.taken():
                return
