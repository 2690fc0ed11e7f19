"""The client's half of an HTTP/2 connection that carries gRPC calls: bytes in, answers out. Pure.

Rule: what the server sends is read by the parts that read production (`frames`, `headers`, `heads`,
`answers`), so that the same bytes mean the same on both sides of a pair; the peer's windows and
limits are kept; whatever it does ends calls and never raises. Headers go out as literals that touch
no dynamic table, so encoding has no state. Counterparts: `tee.channel`, which owns the socket;
`observe.connection`, which reads production's. Source: RFC 9113, RFC 7541, and gRPC's
PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import TypeAlias

from sidecar.call import GrpcMetadata
from sidecar.http2.answers import Answer, AnswerReader
from sidecar.http2.budget import Budget
from sidecar.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADER,
    HEADERS,
    PING,
    PREFACE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Frame,
    FrameError,
    FrameReader,
)
from sidecar.http2.headers import HeaderDecoder, HeaderError
from sidecar.http2.heads import response_head
from sidecar.http2.limits import ReadLimits
from sidecar.http2.request_block import RequestBlock

ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME = 2, 3, 4, 5
CANCEL, NO_ERROR = 8, 0

DEFAULT_WINDOW = 65_535  # RFC 9113, section 6.9.2
DEFAULT_FRAME = 16_384  # and 6.5.2; ours is never raised, so no larger frame may come
LARGEST_WINDOW = (1 << 31) - 1
WINDOW = 256 << 10  # bytes of answers on their way to us that suit a shadow nearby
BURST = 256 << 10  # bytes of DATA that are handed out before the socket is known to take them
LAST_STREAM = 1 << 30  # then it is time for another connection

_SETTING = struct.Struct("!HI")
_U32 = struct.Struct("!I")
_PREFIX = struct.Struct("!BI")
_OPENING = PREFACE + b"".join(
    (
        HEADER.pack(0, 12, SETTINGS, 0, 0),
        _SETTING.pack(ENABLE_PUSH, 0),
        # The connection's window bounds what is on its way; a stream's answer has its own limit.
        _SETTING.pack(INITIAL_WINDOW, LARGEST_WINDOW),
        HEADER.pack(0, 4, WINDOW_UPDATE, 0, 0),
    )
)
_SETTINGS_ACK = HEADER.pack(0, 0, SETTINGS, ACK, 0)

Answered: TypeAlias = list[tuple[int, Answer]]
"""Streams and their answers."""


class _Stream:
    __slots__ = ("answer", "unsent", "window")

    def __init__(self, window: int, limits: ReadLimits, budget: Budget) -> None:
        self.answer = AnswerReader(limits, budget)
        self.unsent: memoryview | None = None  # what the windows do not take yet
        self.window = window


class Conversation:
    """One connection from our side.

    Args:
        scheme: "http" or "https".
        authority: for `:authority`.
        agent: for `user-agent`.
        limits: how large an answer may be.
        window: bytes of answers that may be on their way, all streams together.
        budget: for answers that are not complete; one for which there is no room is not read.
        rate: bytes of answers a second, in the long run; None: as fast as they are read. What is
            beyond it is not read and thrown away: the server has no window to send it.
    """

    def __init__(
        self,
        scheme: str,
        authority: str,
        agent: str,
        limits: ReadLimits,
        window: int = WINDOW,
        budget: Budget | None = None,
        rate: float | None = None,
    ) -> None:
        self._rate = rate
        self._widen_ns = 0  # not before, the server may send more
        self._budget = budget or Budget()
        self.broken = ""  # why the connection is to be closed, its server not speaking HTTP/2
        self.ready = False  # the server's SETTINGS have come: it does speak HTTP/2
        self.max_streams = LARGEST_WINDOW
        self.streams: dict[int, _Stream] = {}
        self._limits = limits
        self._out: list[bytes | memoryview] = [_OPENING + _U32.pack(window - DEFAULT_WINDOW)]
        self._receives = window
        self._reader = FrameReader(
            b"", limits.max_header_bytes, is_peer=True, max_frame=DEFAULT_FRAME
        )
        self._answers_held = 0
        self._next = 1
        self._last = LARGEST_WINDOW  # the last stream that the server will answer
        self._window = DEFAULT_WINDOW  # what we may send on the connection
        self._stream_window = DEFAULT_WINDOW
        self._max_frame = DEFAULT_FRAME
        self._decoder = HeaderDecoder(response_head, limits.max_header_bytes)
        self._blocked: deque[int] = deque()  # streams with something unsent
        self._burst = BURST  # what is left of it
        self._block_of = RequestBlock(scheme, authority, agent)
        self._complete: list[tuple[int, int]] = []  # as `complete` gives them
        self._now_ns = 0  # when the bytes being read came

    @property
    def open_to_calls(self) -> bool:
        """Whether a call may be begun on it, now or when another has ended."""
        return self._last == LARGEST_WINDOW and self._next < LAST_STREAM

    @property
    def has_room(self) -> bool:
        """Whether a call may be begun now."""
        return self.ready and len(self.streams) < self.max_streams and self.open_to_calls

    @property
    def waiting(self) -> int:
        """Pieces of output that nobody has taken."""
        return len(self._out)

    @property
    def held(self) -> int:
        """Bytes of answers that are not complete, decompressed, and of an unfinished frame."""
        return self._answers_held + self._reader.held

    def output(self) -> list[bytes | memoryview]:
        """What is to be sent now; given once.

        However wide the server's windows are, there are at most `BURST` bytes of DATA in it until
        `taken`: what has been given out can no longer be taken back when a call ends.
        """
        out, self._out = self._out, []
        return out

    def complete(self) -> list[tuple[int, int]]:
        """The requests that what `output` gave last brings to their end; given once.

        Returns:
            (how many pieces of the output it takes, stream), in order.
        """
        complete, self._complete = self._complete, []
        return complete

    def taken(self) -> bool:
        """The socket takes more; whether there is more."""
        self._burst = BURST
        self._send_blocked()
        return bool(self._out)

    def begin(
        self, method: str, messages: tuple[bytes, ...], metadata: GrpcMetadata, timeout_ns: int
    ) -> int:
        """Begin a call; there must be room.

        Returns:
            Its stream.

        Raises:
            ValueError: something in it cannot be sent; nothing was.
        """
        block = self._block_of.encode(method, metadata, timeout_ns)
        stream = self._next
        self._next += 2
        self.streams[stream] = state = _Stream(self._stream_window, self._limits, self._budget)
        self._send_block(stream, block)
        body = b"".join([part for m in messages for part in (_PREFIX.pack(0, len(m)), m)])
        size = len(body)
        if size <= self._max_frame and size <= min(self._window, state.window, self._burst):
            self._out.append(HEADER.pack(size >> 8, size & 0xFF, DATA, END_STREAM, stream) + body)
            self._complete.append((len(self._out), stream))
            self._window -= size
            self._burst -= size
        else:
            state.unsent = memoryview(body)
            self._blocked.append(stream)
            self._send_blocked()
        return stream

    def cancel(self, stream: int) -> None:
        """Give a call up; no answer comes for it any more."""
        if stream in self.streams:
            self._drop(stream)
            self._reset(stream, CANCEL)

    def receive(self, data: bytes, now_ns: int = 0) -> Answered:
        """Take the next bytes from the server; `broken` says afterwards if they were the last.

        Args:
            data: the bytes.
            now_ns: when the last of them came; messages are stamped with it.
        """
        answered: Answered = []
        self._now_ns = now_ns
        if self.broken:
            return answered
        reader = self._reader
        frames: list[Frame] = []
        try:
            try:
                reader.read(data, frames)
            finally:  # what came before an error counts
                for kind, flags, stream, payload in frames:
                    self._frame(kind, flags, stream, payload, answered)
        except (FrameError, HeaderError) as error:
            self.broken = str(error) if self.ready else "the server does not speak HTTP/2"
        self.let_send(now_ns)
        return answered

    def let_send(self, now_ns: int) -> int:
        """Give the server window for what was read, if it is time.

        Args:
            now_ns: the present; it may step back.

        Returns:
            Nanoseconds until it is time; 0: nothing is withheld.
        """
        flow = self._reader.flow
        if flow < self._receives // 2 or self.broken:
            return 0
        if self._rate is not None:
            if now_ns < self._widen_ns:
                return self._widen_ns - now_ns
            self._widen_ns = max(now_ns, self._widen_ns) + int(flow / self._rate * 1e9)
        self._out.append(HEADER.pack(0, 4, WINDOW_UPDATE, 0, 0) + _U32.pack(flow))
        self._reader.flow = 0
        return 0

    def lost(self, detail: str) -> Answered:
        """The connection has ended, and with it every call that is left."""
        left = [(stream, state.answer.gone(detail)) for stream, state in self.streams.items()]
        self.streams.clear()
        self._hold(-self._answers_held)
        self._last = 0
        return left

    # ---- reading --------------------------------------------------------------------------------

    def _frame(
        self, kind: int, flags: int, stream: int, payload: bytes | memoryview, out: Answered
    ) -> None:
        if kind == DATA:
            state = self.streams.get(stream)
            if state is not None:
                held, ended = state.answer.held, flags == END_STREAM
                answer = state.answer.data(payload, ended, self._now_ns)
                self._tell(stream, state, held, answer, ended, out)
        elif kind == HEADERS:
            # Of every stream: HPACK's state runs through all of them.
            head = self._decoder.decode(payload)
            state = self.streams.get(stream)
            if state is not None:
                held, ended = state.answer.held, bool(flags & END_STREAM)
                self._tell(stream, state, held, state.answer.headers(head, ended), ended, out)
        elif kind == RST_STREAM:
            if stream in self.streams:
                out.append((stream, self._drop(stream).answer.reset(_number(payload))))
        elif kind == SETTINGS:
            if not flags & ACK:
                self._settings(payload)
        elif kind == WINDOW_UPDATE:
            self._widen(stream, _number(payload) & LARGEST_WINDOW)
        elif kind == PING:
            if not flags & ACK:
                self._out.append(HEADER.pack(0, 8, PING, ACK, 0) + bytes(payload))
        elif kind == GOAWAY:
            self._go_away(_number(payload[:4]) & LARGEST_WINDOW, out)
        elif kind == PUSH_PROMISE:
            raise FrameError("the server pushes, and was told not to")

    def _tell(
        self,
        stream: int,
        state: _Stream,
        held: int,
        answer: Answer | None,
        ended: bool,
        out: Answered,
    ) -> None:
        """Account for what an input did to an answer that held `held` bytes before it."""
        self._hold(state.answer.held - held)
        if answer is None:
            if self._budget.room >= 0:
                return
            answer = state.answer.no_room()
        self._drop(stream)
        if not ended:
            self._reset(stream, CANCEL)
        elif state.unsent is not None:
            # The server has said all it will; whatever we did not send yet, it does not want.
            self._reset(stream, NO_ERROR)
        out.append((stream, answer))

    def _drop(self, stream: int) -> _Stream:
        state = self.streams.pop(stream)
        self._hold(-state.answer.held)
        return state

    def _hold(self, more: int) -> None:
        self._answers_held += more
        self._budget.held += more

    def _go_away(self, last: int, out: Answered) -> None:
        self._last = min(self._last, last, LARGEST_WINDOW - 1)
        for stream in [stream for stream in self.streams if stream > last]:
            out.append((stream, self._drop(stream).answer.not_processed()))

    # ---- windows and settings -------------------------------------------------------------------

    def _settings(self, payload: bytes | memoryview) -> None:
        for name, value in _SETTING.iter_unpack(payload):
            if name == MAX_STREAMS:
                self.max_streams = value
            elif name == MAX_FRAME:
                if not DEFAULT_FRAME <= value < 1 << 24:
                    raise FrameError("malformed SETTINGS")
                self._max_frame = value
            elif name == INITIAL_WINDOW:
                if value > LARGEST_WINDOW:
                    raise FrameError("malformed SETTINGS")
                for state in self.streams.values():
                    state.window += value - self._stream_window
                self._stream_window = value
        self.ready = True
        self._out.append(_SETTINGS_ACK)
        self._send_blocked()

    def _widen(self, stream: int, size: int) -> None:
        if not stream:
            self._window += size
        elif (state := self.streams.get(stream)) is not None:
            state.window += size
        self._send_blocked()

    # ---- writing --------------------------------------------------------------------------------

    def _send_blocked(self) -> None:
        """Send what the windows take, in the order of the calls."""
        for _ in range(len(self._blocked)):
            stream = self._blocked.popleft()
            state = self.streams.get(stream)
            if state is None or state.unsent is None:
                continue
            rest: memoryview | None = state.unsent
            while rest is not None and (
                not rest or min(self._window, state.window, self._burst) > 0
            ):
                size = min(len(rest), self._window, state.window, self._burst, self._max_frame)
                ends = size == len(rest)
                flags = END_STREAM if ends else 0
                self._out.append(HEADER.pack(size >> 8, size & 0xFF, DATA, flags, stream))
                self._out.append(rest[:size])
                if ends:
                    self._complete.append((len(self._out), stream))
                self._window -= size
                self._burst -= size
                state.window -= size
                rest = None if ends else rest[size:]
            state.unsent = rest
            if rest is not None:
                self._blocked.append(stream)

    def _send_block(self, stream: int, block: bytes) -> None:
        kind, flags = HEADERS, 0
        while len(block) > self._max_frame:
            part, block = block[: self._max_frame], block[self._max_frame :]
            size = len(part)
            self._out.append(HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream) + part)
            kind = CONTINUATION
        size = len(block)
        self._out.append(HEADER.pack(size >> 8, size & 0xFF, kind, END_HEADERS, stream) + block)

    def _reset(self, stream: int, code: int) -> None:
        self._out.append(HEADER.pack(0, 4, RST_STREAM, 0, stream) + _U32.pack(code))


def _number(payload: bytes | memoryview) -> int:
    return int.from_bytes(payload, "big")
