"""What a server answers on one stream: header blocks and DATA in, one Answer out. Pure.

Rule: both sides of a pair are read here, production's answers off the wire and the shadows' off
our own connections, so that the same bytes mean the same. Each input yields at most one Answer,
and after it there is none. Counterparts: `exchange` (production) and `conversation` (shadows),
which decide what becomes of an answer with a `skip`.
"""

from __future__ import annotations

from typing import NamedTuple

from sidecar import status
from sidecar.call import Metadata, SkipReason
from sidecar.http2.budget import Budget
from sidecar.http2.heads import ResponseHead
from sidecar.http2.limits import ReadLimits
from sidecar.http2.messages import MessageReader


class Answer(NamedTuple):
    """How a call ended, as a gRPC client would report it."""

    status: int
    detail: str = ""
    messages: tuple[bytes, ...] = ()
    headers: Metadata = ()
    trailers: Metadata = ()
    skip: SkipReason | None = None  # why this is not what the server has to say about the call
    first_ns: int = 0  # when its first message was complete; 0: it has none
    last_ns: int = 0  # and its last


class AnswerReader:
    """Reads one answer; `held` is what it occupies, in bytes."""

    __slots__ = ("_budget", "_first_ns", "_head", "_last_ns", "_limits", "_reader", "held")

    def __init__(self, limits: ReadLimits, budget: Budget) -> None:
        self.held = 0
        self._budget = budget
        self._limits = limits
        self._head: ResponseHead | None = None
        self._reader: MessageReader | None = None
        self._first_ns = self._last_ns = 0

    def headers(self, head: ResponseHead, ended: bool) -> Answer | None:
        """A header block: interim, initial metadata, or trailers."""
        if ended:
            return self._end(head)
        if 100 <= head.http_status < 200:
            return None
        if self._head is not None:
            return self._malformed("two header blocks before the answer")
        self._head = head
        self.held += sum([len(name) + len(value) for name, value in head.metadata])
        if head.is_grpc and head.http_status == 200:
            limits = self._limits
            self._reader = MessageReader(
                head.encoding,
                limits.max_response_bytes,
                SkipReason.RESPONSE_TOO_LARGE,
                limits,
                self._budget,
            )
        return None

    def data(self, data: bytes | memoryview, ended: bool, now_ns: int = 0) -> Answer | None:
        """DATA; `ended` when the stream was closed with it, without trailers."""
        if self._head is None:
            return self._malformed("DATA before HEADERS")
        reader = self._reader
        if reader is not None:  # else the body is no gRPC, an error page perhaps
            held, complete = reader.held, len(reader.messages)
            reason = reader.feed(data)
            if len(reader.messages) != complete:
                self._last_ns = now_ns
                if not complete:
                    self._first_ns = now_ns
            if reason is SkipReason.RESPONSE_TOO_LARGE:
                self._reader = None  # what came of it is not the answer
                detail = f"an answer of more than {self._limits.max_response_bytes} bytes"
                return self._answer(status.RESOURCE_EXHAUSTED, detail, skip=reason)
            if reason is SkipReason.PAIRS_FULL:
                return self.no_room()
            if reason is not None:
                return self._malformed("a message that cannot be read")
            self.held += reader.held - held
        if not ended:
            return None
        return self._answer(*status.from_http_status(self._head.http_status))

    def reset(self, code: int) -> Answer:
        """RST_STREAM before the answer was complete."""
        if code == status.REFUSED_STREAM:
            return self.not_processed()
        return self._answer(*status.from_reset(code))

    def gone(self, detail: str) -> Answer:
        """The server closed the connection."""
        return self._answer(status.UNAVAILABLE, detail)

    def not_processed(self) -> Answer:
        """The server said that it did nothing, by REFUSED_STREAM or GOAWAY.

        That is no answer: gRPC's clients try such a call again, unasked, and it is seen again.
        """
        return self._answer(
            status.UNAVAILABLE, "the server did not process it", skip=SkipReason.INCOMPLETE
        )

    def no_room(self) -> Answer:
        """We may hold no more: not the server's fault, and not its answer."""
        self._reader = None
        return self._answer(
            status.RESOURCE_EXHAUSTED, "no room for the answer", skip=SkipReason.PAIRS_FULL
        )

    def _end(self, last: ResponseHead) -> Answer:
        http_status = last.http_status if self._head is None else self._head.http_status
        code, detail = last.status(http_status)
        if code == status.OK and self._reader is not None and self._reader.end() is not None:
            return self._malformed("a message was cut off", last.metadata)
        return self._answer(code, detail, last.metadata)

    def _malformed(self, why: str, trailers: Metadata = ()) -> Answer:
        return self._answer(status.INTERNAL, why, trailers, SkipReason.MALFORMED)

    def _answer(
        self, code: int, detail: str, trailers: Metadata = (), skip: SkipReason | None = None
    ) -> Answer:
        """The answer, as far as it came; whole if `code` is OK."""
        messages = () if self._reader is None else tuple(self._reader.messages)
        headers = () if self._head is None else self._head.metadata
        first_ns, last_ns = (self._first_ns, self._last_ns) if messages else (0, 0)
        return Answer(code, detail, messages, headers, trailers, skip, first_ns, last_ns)
