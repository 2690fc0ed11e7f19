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
import ssl
from collections import deque
from collections.abc import Callable

from sidecar.address import TCP, Unix
from sidecar.call import GrpcMetadata
from sidecar.http2.answers import Answer
from sidecar.http2.budget import Budget
from sidecar.http2.conversation import Conversation
from sidecar.tee.connection import Call, Connection
from sidecar.tee.deadlines import Deadlines
from sidecar.tee.dial import dial
from sidecar.tee.stamps import KernelClock

DEADLINE_EXCEEDED, UNAVAILABLE = 4, 14
CONNECT_SECONDS = 10.0
PAUSE_FIRST = 0.5  # about as soon as a breaker would try again
PAUSE_LAST = 5.0


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
        self._current: Connection | None = None
        self._others: set[Connection] = set()  # that take no more calls
        self._connecting: asyncio.Task[None] | None = None
        self._waiting: deque[Call] = deque()
        self._answers: list[tuple[Call, Answer]] = []  # to be told in the loop's next turn
        self._pause = PAUSE_FIRST
        self._not_before = 0.0
        self._trouble = ""
        self._closed = False
        self._clock = KernelClock()
        self._deadlines = Deadlines(self._loop, self._late)

    def ask(
        self,
        method: str,
        messages: tuple[bytes, ...],
        metadata: GrpcMetadata,
        deadline_seconds: float,
        done: Callable[[Answer], None],
    ) -> Call:
        """Ask; `done` is told the answer, once and never before this returns."""
        call = Call(method, messages, metadata, self._loop.time() + deadline_seconds, done)
        self._deadlines.add(call)
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
            self._end(call)
            self._forget(call)

    def tell(self, call: Call, answer: Answer) -> None:
        """A call has its answer."""
        if call.ended:
            return
        self._end(call)
        if not self._answers:
            self._loop.call_soon(self._deliver)
        self._answers.append((call, answer))
        self._budget.held += sum(map(len, answer.messages))

    def _end(self, call: Call) -> None:
        call.ended = True
        call.messages, call.metadata = (), ()  # it may stand among the deadlines for a while
        self._deadlines.ended()

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
        self._deadlines.close()
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

    def ended(self, connection: Connection, why: str) -> None:
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
        except Exception as error:  # a name that is none raises what it likes; calls wait here
            self._fail(str(error) or "no connection in time")
        finally:
            self._connecting = None
        self.next()

    async def _dial(self) -> Connection:
        sock, sealed = await dial(self._address, self._tls, self._name)
        return Connection(self, self._speak(), sock, sealed, self._clock)

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
        self.tell(call, Answer(DEADLINE_EXCEEDED, "the shadow's deadline has passed"))
        self._forget(call)

    def _forget(self, call: Call) -> None:
        if call.connection is not None:
            call.connection.cancel(call)
        else:
            with contextlib.suppress(ValueError):
                self._waiting.remove(call)
