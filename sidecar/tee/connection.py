"""One connection to a shadow: a socket of ours in the event loop, and the conversation on it.

Rule: a call's latency is the shadow's own. It begins when the last byte of its request is handed to
the socket and ends when the kernel received the last byte of its answer, as production's does in
the wire; what we take to write, to wake up and to read is not in it. Every call that was begun is
told to the owner once, whatever becomes of the socket. Counterparts: `channel`, the owner;
`outbox` and `stamps`, which know the two instants.

Why not one of the event loop's transports: they read by `recv`, and the kernel's stamp comes with
`recvmsg` alone.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from time import monotonic_ns
from typing import Final, Protocol

from sidecar.call import GrpcMetadata
from sidecar.http2.answers import Answer
from sidecar.http2.conversation import Conversation
from sidecar.tee.outbox import Outbox
from sidecar.tee.sealed import Sealed
from sidecar.tee.stamps import SPACE, KernelClock, stamp_reads

INTERNAL: Final = 13
READ_BYTES: Final = 64 << 10
MAX_WAITING: Final = 4096  # answers to a server's pings and settings that it does not read


class Call:
    """A call from `ask` to its answer."""

    __slots__ = (
        "connection",
        "deadline",
        "done",
        "ended",
        "ended_ns",
        "messages",
        "metadata",
        "method",
        "sent_ns",
        "stream",
    )

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
        self.connection: Connection | None = None
        self.stream = 0
        self.sent_ns = 0  # the last byte of its request went into the socket; 0: it did not
        self.ended_ns = 0  # the last byte of its answer came; 0: no answer did


class Owner(Protocol):
    """Who has connections, and hears of them."""

    def tell(self, call: Call, answer: Answer) -> None:
        """A call has its answer."""

    def next(self) -> None:
        """There may be room for calls that wait."""

    def ended(self, connection: Connection, why: str) -> None:
        """A connection is gone."""

    def answered(self) -> None:
        """The server has answered a call."""


class Connection:
    """One socket; made within the running event loop, it begins to speak at once."""

    def __init__(
        self,
        owner: Owner,
        conversation: Conversation,
        sock: socket.socket,
        sealed: Sealed | None,
        clock: KernelClock,
    ) -> None:
        self.conversation = conversation
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._sealed = sealed
        self._clock = clock
        self._calls: dict[int, Call] = {}
        self._outbox = Outbox()
        self._due = False  # a flush will come
        self._later: asyncio.TimerHandle | None = None  # when the shadow may send more
        self.useful = False  # it has brought an answer
        self.gone = ""  # why it has ended
        stamp_reads(sock)
        self._loop.add_reader(sock, self._readable)
        self._flush()
        if sealed is not None and not self.gone:
            self._heard(b"", monotonic_ns())  # what came with the end of the handshake

    @property
    def has_room(self) -> bool:
        """Whether a call may be begun now."""
        return self.conversation.has_room and not self._outbox

    def begin(self, call: Call) -> None:
        """Send a call; there must be room."""
        left = call.deadline - self._loop.time()
        try:
            call.stream = self.conversation.begin(
                call.method, call.messages, call.metadata, round(left * 1e9)
            )
        except (ValueError, TypeError, AttributeError) as error:
            self._owner.tell(call, Answer(INTERNAL, f"{type(error).__name__}: {error}"))
            return
        call.connection = self
        self._calls[call.stream] = call
        if not self._due:
            # Calls that are begun in one turn of the loop leave in one write.
            self._due = True
            self._loop.call_soon(self._flush)

    def cancel(self, call: Call) -> None:
        """Tell the server that nobody waits any more."""
        if self._calls.pop(call.stream, None) is not None:
            self.conversation.cancel(call.stream)
            self._flush()
            self._owner.next()

    def close(self, why: str) -> None:
        """Close, and end what is in flight."""
        if self.gone:
            return
        self.gone = why
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        if self._later is not None:
            self._later.cancel()
        self._socket.close()
        for stream, answer in self.conversation.lost(why):
            self._owner.tell(self._calls.pop(stream), answer)
        self._owner.ended(self, why)

    # ---- reading --------------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            data, ancillary, _, _ = self._socket.recvmsg(READ_BYTES, SPACE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.close(str(error))
            return
        if not data:
            self.close("the shadow closed the connection")
            return
        self._heard(data, self._clock.received_ns(ancillary))

    def _heard(self, data: bytes, came_ns: int) -> None:
        closed = False
        if self._sealed is not None:
            try:
                data, closed = self._sealed.open(data)
            except ssl.SSLError as error:
                self.close(str(error))
                return
            if said := self._sealed.outgoing():  # what TLS itself answers
                self._outbox.push([said], ())
                self._send()
        conversation = self.conversation
        answered = conversation.receive(data, came_ns)
        for stream, answer in answered:
            call = self._calls.pop(stream)
            call.ended_ns = came_ns
            self._owner.tell(call, answer)
        if answered and not self.useful:
            self.useful = True
            self._owner.answered()
        if conversation.broken:
            self.close(conversation.broken)
            return
        if self._outbox and conversation.waiting > MAX_WAITING:
            self.close("the shadow writes and does not read")
            return
        if closed:
            self.close("the shadow closed the connection")
            return
        self._flush()
        self._withhold()
        self._owner.next()
        if not conversation.open_to_calls and not self._calls:
            self.close("the shadow is going away")

    def _withhold(self) -> None:
        """Where the shadow has sent too much in too little time, it may go on later."""
        if self._later is not None or self.gone:
            return
        now_ns = monotonic_ns()
        wait_ns = self.conversation.let_send(now_ns)
        if wait_ns:
            self._later = self._loop.call_later(wait_ns / 1e9, self._let_send)

    def _let_send(self) -> None:
        self._later = None
        self._withhold()
        self._flush()

    # ---- writing --------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._due = False
        # What waits stays in the conversation, where a call that ends takes its bytes with it.
        while not self._outbox and not self.gone:
            out, complete = self.conversation.output(), self.conversation.complete()
            if self._sealed is not None and out:
                complete = [(1, stream) for _, stream in complete]
                try:
                    out = [self._sealed.seal(b"".join(out))]
                except ssl.SSLError as error:
                    self.close(str(error))
                    return
            if out:
                self._outbox.push(out, complete)
                self._send()
            if self._outbox or not self.conversation.taken():
                break
        if self._outbox and not self.gone:
            self._loop.add_writer(self._socket, self._writable)

    def _writable(self) -> None:
        self._send()
        if not self._outbox and not self.gone:
            self._loop.remove_writer(self._socket)
            self._flush()
            self._owner.next()

    def _send(self) -> None:
        try:
            handed = self._outbox.send(self._socket)
        except OSError as error:
            self.close(str(error))
            return
        for stream, sent_ns in handed:
            call = self._calls.get(stream)
            if call is not None:
                call.sent_ns = sent_ns
