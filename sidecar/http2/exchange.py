"""One wanted call, from its request's head to its answer.

Rule: each input yields one event at most; Answered and Lost are last, and exactly one of them
comes. An answer counts only if the request was complete before it: a shadow cannot be asked half a
question.
"""

from __future__ import annotations

from sidecar import status
from sidecar.call import Answered, CallKey, Lost, Observation, Requested, SkipReason
from sidecar.http2.heads import RequestHead, ResponseHead
from sidecar.http2.limits import ReadLimits
from sidecar.http2.messages import MessageReader


class Exchange:
    """A call in flight; `held` is what it occupies, in bytes."""

    __slots__ = (
        "_head",
        "_limits",
        "_request",
        "_requested_ns",
        "_response",
        "held",
        "key",
    )

    def __init__(self, key: CallKey, head: RequestHead, limits: ReadLimits) -> None:
        self.key = key
        self.held = 0
        self._limits = limits
        self._request: MessageReader | None = MessageReader(
            head.encoding, limits.max_request_bytes, SkipReason.REQUEST_TOO_LARGE, limits
        )
        self._requested_ns = 0
        self._head: ResponseHead | None = None
        self._response: MessageReader | None = None

    def request_data(
        self, data: bytes | memoryview, ended: bool, now_ns: int
    ) -> Requested | Lost | None:
        """The client sent DATA; `ended` when it half-closed with it."""
        request = self._request
        if request is None:
            return None
        held = request.held
        reason = request.feed(data) or (request.end() if ended else None)
        if reason is not None:
            return Lost(self.key, reason)
        if ended:
            self.held -= held
            self._request = None
            self._requested_ns = now_ns
            return Requested(self.key, tuple(request.messages), now_ns)
        self.held += request.held - held
        return None

    def response_head(self, head: ResponseHead, ended: bool, now_ns: int) -> Answered | Lost | None:
        """The server sent a header block: interim, initial metadata, or trailers."""
        if ended:
            return self._end(head, now_ns)
        if 100 <= head.http_status < 200:
            return None
        if self._head is not None:
            return Lost(self.key, SkipReason.MALFORMED)
        self._head = head
        self.held += sum([len(name) + len(value) for name, value in head.metadata])
        if head.is_grpc and head.http_status == 200:
            limits = self._limits
            self._response = MessageReader(
                head.encoding, limits.max_response_bytes, SkipReason.RESPONSE_TOO_LARGE, limits
            )
        return None

    def response_data(
        self, data: bytes | memoryview, ended: bool, now_ns: int
    ) -> Answered | Lost | None:
        """The server sent DATA; `ended` when it closed the stream with it, without trailers."""
        if self._head is None:
            return Lost(self.key, SkipReason.MALFORMED)
        response = self._response
        if response is not None:  # else the body is no gRPC, an error page perhaps
            held = response.held
            reason = response.feed(data)
            if reason is not None:
                return Lost(self.key, reason)
            self.held += response.held - held
        if not ended:
            return None
        return self._answer(*status.from_http_status(self._head.http_status), (), now_ns)

    def reset(self, code: int, now_ns: int) -> Answered | Lost:
        """The server sent RST_STREAM before its answer was complete."""
        if code == status.REFUSED_STREAM:
            return self.not_processed()
        return self._answer(*status.from_reset(code), (), now_ns)

    def server_gone(self, now_ns: int) -> Answered | Lost:
        """The server closed the connection."""
        return self._answer(*status.from_lost_connection(), (), now_ns)

    def not_processed(self) -> Lost:
        """The server said that it did nothing; gRPC's clients try such a call again, unasked."""
        return Lost(self.key, SkipReason.INCOMPLETE)

    def _end(self, last: ResponseHead, now_ns: int) -> Answered | Lost:
        http_status = last.http_status if self._head is None else self._head.http_status
        code, detail = last.status(http_status)
        response = self._response
        if code == status.OK and response is not None:
            reason = response.end()
            if reason is not None:
                return Lost(self.key, reason)
        return self._answer(code, detail, last.metadata, now_ns)

    def _answer(
        self, code: int, detail: str, trailers: tuple[tuple[str, str], ...], now_ns: int
    ) -> Answered | Lost:
        if self._request is not None:
            return Lost(self.key, SkipReason.INCOMPLETE)
        observation = Observation(
            code,
            detail,
            () if self._response is None else tuple(self._response.messages),
            self._requested_ns,
            now_ns,
            () if self._head is None else self._head.metadata,
            trailers,
        )
        return Answered(self.key, observation)
