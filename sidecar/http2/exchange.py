"""One wanted call of production's, from its request's head to its answer.

Rule: each input yields one event at most; Answered and Lost are last, and exactly one of them
comes. An answer counts only if the request was complete before it: a shadow cannot be asked half a
question. What production answered and we cannot read (a limit or a compression of ours) is Lost:
its client may well have read it. Counterpart: `answers`, which reads what the server says.
"""

from __future__ import annotations

from sidecar import status
from sidecar.call import Answered, CallKey, Lost, Observation, Requested, SkipReason
from sidecar.http2.answers import Answer, AnswerReader
from sidecar.http2.budget import Budget
from sidecar.http2.heads import RequestHead, ResponseHead
from sidecar.http2.limits import ReadLimits
from sidecar.http2.messages import MessageReader


class Exchange:
    """A call in flight."""

    __slots__ = ("_answer", "_request", "_requested_ns", "key")

    def __init__(self, key: CallKey, head: RequestHead, limits: ReadLimits, budget: Budget) -> None:
        self.key = key
        self._request: MessageReader | None = MessageReader(
            head.encoding, limits.max_request_bytes, SkipReason.REQUEST_TOO_LARGE, limits, budget
        )
        self._requested_ns = 0
        self._answer = AnswerReader(limits, budget)

    @property
    def held(self) -> int:
        """What it occupies, in bytes."""
        request = self._request
        return self._answer.held + (0 if request is None else request.held)

    def request_data(
        self, data: bytes | memoryview, ended: bool, now_ns: int
    ) -> Requested | Lost | None:
        """The client sent DATA; `ended` when it half-closed with it."""
        request = self._request
        if request is None:
            return None
        reason = request.feed(data) or (request.end() if ended else None)
        if reason is not None:
            return Lost(self.key, reason)
        if ended:
            self._request = None
            self._requested_ns = now_ns
            return Requested(self.key, tuple(request.messages), now_ns)
        return None

    def response_head(self, head: ResponseHead, ended: bool, now_ns: int) -> Answered | Lost | None:
        """The server sent a header block: interim, initial metadata, or trailers."""
        answer = self._answer.headers(head, ended)
        return None if answer is None else self._end(answer, now_ns)

    def response_data(
        self, data: bytes | memoryview, ended: bool, now_ns: int
    ) -> Answered | Lost | None:
        """The server sent DATA; `ended` when it closed the stream with it, without trailers."""
        answer = self._answer.data(data, ended, now_ns)
        return None if answer is None else self._end(answer, now_ns)

    def reset(self, code: int, now_ns: int) -> Answered | Lost:
        """The server sent RST_STREAM before its answer was complete."""
        return self._end(self._answer.reset(code), now_ns)

    def server_gone(self, now_ns: int) -> Answered | Lost:
        """The server closed the connection."""
        _, detail = status.from_lost_connection()
        return self._end(self._answer.gone(detail), now_ns)

    def not_processed(self, now_ns: int) -> Answered | Lost:
        """The server said that it did nothing."""
        return self._end(self._answer.not_processed(), now_ns)

    def _end(self, answer: Answer, now_ns: int) -> Answered | Lost:
        code, detail, messages, headers, trailers, skip, first_ns, last_ns = answer
        if skip is not None:
            return Lost(self.key, skip)
        if self._request is not None:
            return Lost(self.key, SkipReason.INCOMPLETE)
        observation = Observation(
            code,
            detail,
            messages,
            self._requested_ns,
            now_ns,
            headers,
            trailers,
            first_ns,
            last_ns,
        )
        return Answered(self.key, observation)
