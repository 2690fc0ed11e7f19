"""The client's half of an HTTP/2 connection that carries gRPC calls: bytes in, answers out. Pure.

Rule: what the server sends is read with the parts that read production (`observe.headers`, `heads`,
`messages`, `status`), so that the same bytes mean the same on both sides of a pair; the peer's
windows and limits are kept; whatever it does ends calls and never raises. Headers go out as
literals that touch no dynamic table, so encoding has no state. Counterpart: `channel`, which owns
the socket. Source: RFC 9113, RFC 7541, and gRPC's PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import NamedTuple, TypeAlias

from sidecar.call import GrpcMetadata, Metadata, SkipReason
from sidecar.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADER,
    HEADER_BYTES,
    HEADERS,
    PADDED,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    FrameError,
)
from sidecar.http2.headers import HeaderDecoder, HeaderError
from sidecar.http2.heads import ResponseHead, response_head
from sidecar.http2.limits import ReadLimits
from sidecar.http2.messages import MessageReader
from sidecar.http2.request_block import RequestBlock
from sidecar.status import from_http_status, from_reset

PING, WINDOW_UPDATE = 0x6, 0x8
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME = 1, 2, 3, 4, 5
CANCEL, NO_ERROR = 8, 0
OK, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE = 0, 8, 13, 14

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
# gRPC's and HTTP's own; the rest is the server's metadata.
_RESERVED = frozenset({"content-type", "grpc-status", "grpc-message", "grpc-encoding"})
_RESERVED |= {"grpc-accept-encoding", "accept-encoding"}


class Answer(NamedTuple):
    """How a call ended."""

    status: int
    detail: str = ""
    messages: tuple[bytes, ...] = ()
    headers: Metadata = ()
    trailers: Metadata = ()


Answered: TypeAlias = list[tuple[int, Answer]]
"""Streams and their answers."""


class _Stream:
    __slots__ = ("head", "reader", "unsent", "window")

    def __init__(self, window: int) -> None:
        self.head: ResponseHead | None = None
        self.reader: MessageReader | None = None
        self.unsent: memoryview | None = None  # what the windows do not take yet
        self.window = window


class Conversation:
    """One connection from our side.

    Args:
        scheme: "http" or "https".
        authority: for `:authority`.
        agent: for `user-agent`.
        limits: how large an answer may be; more is RESOURCE_EXHAUSTED.
        window: bytes of answers that may be on their way, all streams together.
    """

    def __init__(
        self, scheme: str, authority: str, agent: str, limits: ReadLimits, window: int = WINDOW
    ) -> None:
        self.broken = ""  # why the connection is to be closed, its server not speaking HTTP/2
        self.ready = False  # the server's SETTINGS have come: it does speak HTTP/2
        self.max_streams = LARGEST_WINDOW
        self.streams: dict[int, _Stream] = {}
        self._limits = limits
        self._out: list[bytes | memoryview] = [_OPENING + _U32.pack(window - DEFAULT_WINDOW)]
        self._receives = window
        self._tail = b""
        self._next = 1
        self._last = LARGEST_WINDOW  # the last stream that the server will answer
        self._window = DEFAULT_WINDOW  # what we may send on the connection
        self._stream_window = DEFAULT_WINDOW
        self._max_frame = DEFAULT_FRAME
        self._taken = 0  # bytes of DATA that came since we last said so
        self._block: bytearray | None = None  # an unfinished header block
        self._block_frame = (0, 0)
        self._decoder = HeaderDecoder(response_head, limits.max_header_bytes)
        self._blocked: deque[int] = deque()  # streams with something unsent
        self._burst = BURST  # what is left of it
        self._block_of = RequestBlock(scheme, authority, agent)

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

    def output(self) -> list[bytes | memoryview]:
        """What is to be sent now; given once.

        However wide the server's windows are, there are at most `BURST` bytes of DATA in it until
        `taken`: what has been given out can no longer be taken back when a call ends.
        """
        out, self._out = self._out, []
        return out

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
        self.streams[stream] = state = _Stream(self._stream_window)
        self._send_block(stream, block)
        body = b"".join([part for m in messages for part in (_PREFIX.pack(0, len(m)), m)])
        size = len(body)
        if size <= self._max_frame and size <= min(self._window, state.window, self._burst):
            self._out.append(HEADER.pack(size >> 8, size & 0xFF, DATA, END_STREAM, stream) + body)
            self._window -= size
            self._burst -= size
        else:
            state.unsent = memoryview(body)
            self._blocked.append(stream)
            self._send_blocked()
        return stream

    def cancel(self, stream: int) -> None:
        """Give a call up; no answer comes for it any more."""
        if self.streams.pop(stream, None) is not None:
            self._reset(stream, CANCEL)

    def receive(self, data: bytes) -> Answered:
        """Take the next bytes from the server; `broken` says afterwards if they were the last."""
        answered: Answered = []
        if not self.broken:
            try:
                self._read(data, answered)
            except (FrameError, HeaderError) as error:
                self.broken = str(error)
        return answered

    def _read(self, data: bytes, answered: Answered) -> None:
        if self._tail:
            data = self._tail + data
        position, end = 0, len(data)
        while end - position >= HEADER_BYTES:
            high, low, kind, flags, stream = HEADER.unpack_from(data, position)
            if high > DEFAULT_FRAME >> 8 or (not self.ready and (kind != SETTINGS or flags & ACK)):
                raise FrameError("the server does not speak HTTP/2")
            start = position + HEADER_BYTES
            stop = start + (high << 8 | low)
            if stop > end:
                break
            self._frame(kind, flags, stream & 0x7FFFFFFF, data, start, stop, answered)
            position = stop
        self._tail = data[position:]

    def lost(self, detail: str) -> Answered:
        """The connection has ended, and with it every call that is left."""
        left = [(stream, _failed(state, UNAVAILABLE, detail)) for stream, state in self._all()]
        self.streams.clear()
        self._last = 0
        return left

    # ---- reading --------------------------------------------------------------------------------

    def _frame(
        self, kind: int, flags: int, stream: int, data: bytes, start: int, stop: int, out: Answered
    ) -> None:
        if self._block is not None and kind != CONTINUATION:
            raise FrameError("a header block is not continuous")
        if kind == DATA:
            self._count(stop - start)
            state = self.streams.get(stream)
            if state is not None:
                if flags & PADDED:
                    start, stop = _unpadded(data, start, stop)
                body = memoryview(data)[start:stop]
                self._data(stream, state, body, bool(flags & END_STREAM), out)
        elif kind == HEADERS:
            if flags & PADDED:
                start, stop = _unpadded(data, start, stop)
            start += 5 if flags & PRIORITY else 0
            if flags & END_HEADERS:
                self._headers(stream, flags, data[start:stop], out)
            else:
                self._block, self._block_frame = bytearray(data[start:stop]), (stream, flags)
        elif kind == CONTINUATION:
            self._continued(flags, stream, data[start:stop], out)
        elif kind == RST_STREAM:
            code = _number(data, start, stop)
            state = self.streams.pop(stream, None)
            if state is not None:
                out.append((stream, _failed(state, *from_reset(code))))
        elif kind == SETTINGS:
            if not flags & ACK:
                self._settings(data, start, stop)
        elif kind == WINDOW_UPDATE:
            self._widen(stream, _number(data, start, stop) & LARGEST_WINDOW)
        elif kind == PING:
            if not flags & ACK:
                self._out.append(HEADER.pack(0, 8, PING, ACK, 0) + data[start:stop])
        elif kind == GOAWAY:
            self._go_away(_number(data, start, start + 4) & LARGEST_WINDOW, out)
        elif kind == PUSH_PROMISE:
            raise FrameError("the server pushes, and was told not to")

    def _continued(self, flags: int, stream: int, more: bytes, out: Answered) -> None:
        block = self._block
        if block is None or stream != self._block_frame[0]:
            raise FrameError("a header block is not continuous")
        block += more
        if len(block) > self._limits.max_header_bytes:
            raise FrameError("a header block is too large")
        if flags & END_HEADERS:
            self._block = None
            self._headers(*self._block_frame, bytes(block), out)

    def _headers(self, stream: int, flags: int, block: bytes, out: Answered) -> None:
        head = self._decoder.decode(block)  # of every stream: its state runs through all of them
        state = self.streams.get(stream)
        if state is None:
            return
        if flags & END_STREAM:
            self._ended(stream, state, head, out)
        elif not 100 <= head.http_status < 200:
            if state.head is not None:
                self._refuse(stream, state, INTERNAL, "two header blocks before the answer", out)
                return
            state.head = head
            if head.is_grpc and head.http_status == 200:
                limits = self._limits
                state.reader = MessageReader(
                    head.encoding, limits.max_response_bytes, SkipReason.RESPONSE_TOO_LARGE, limits
                )

    def _data(
        self, stream: int, state: _Stream, body: memoryview, ended: bool, out: Answered
    ) -> None:
        if state.head is None:
            self._refuse(stream, state, INTERNAL, "DATA before HEADERS", out)
            return
        reader = state.reader
        reason = None if reader is None else reader.feed(body)
        if reason is SkipReason.RESPONSE_TOO_LARGE:
            detail = f"the shadow's answer is larger than {self._limits.max_response_bytes} bytes"
            state.reader = None  # what came of it is not the answer
            self._refuse(stream, state, RESOURCE_EXHAUSTED, detail, out)
        elif reason is not None:
            self._refuse(stream, state, INTERNAL, "a message that cannot be read", out)
        elif ended:
            self._finish(stream, state)
            code, detail = from_http_status(state.head.http_status)
            out.append((stream, _failed(state, code, detail)))

    def _ended(self, stream: int, state: _Stream, last: ResponseHead, out: Answered) -> None:
        head, reader = state.head, state.reader
        code, detail = last.status(last.http_status if head is None else head.http_status)
        if code == OK and reader is not None and reader.end() is not None:
            code, detail = INTERNAL, "a message was cut off"
        self._finish(stream, state)
        out.append((stream, _failed(state, code, detail, _plain(last.metadata))))

    def _finish(self, stream: int, state: _Stream) -> None:
        """The server has said all it will; whatever we did not send yet, it does not want."""
        del self.streams[stream]
        if state.unsent is not None:
            self._reset(stream, NO_ERROR)

    def _refuse(self, stream: int, state: _Stream, code: int, why: str, out: Answered) -> None:
        del self.streams[stream]
        self._reset(stream, CANCEL)
        out.append((stream, _failed(state, code, why)))

    def _go_away(self, last: int, out: Answered) -> None:
        self._last = min(self._last, last, LARGEST_WINDOW - 1)
        for stream, state in self._all():
            if stream > last:
                del self.streams[stream]
                out.append((stream, _failed(state, UNAVAILABLE, "the server is going away")))

    def _all(self) -> list[tuple[int, _Stream]]:
        return list(self.streams.items())

    # ---- windows and settings -------------------------------------------------------------------

    def _count(self, size: int) -> None:
        self._taken += size
        if self._taken >= self._receives // 2:
            self._out.append(HEADER.pack(0, 4, WINDOW_UPDATE, 0, 0) + _U32.pack(self._taken))
            self._taken = 0

    def _settings(self, data: bytes, start: int, stop: int) -> None:
        if (stop - start) % _SETTING.size:
            raise FrameError("malformed SETTINGS")
        for at in range(start, stop, _SETTING.size):
            name, value = _SETTING.unpack_from(data, at)
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


def _failed(state: _Stream, code: int, detail: str, trailers: Metadata = ()) -> Answer:
    """The answer, as far as it came; whole if `code` is OK."""
    messages = () if state.reader is None else tuple(state.reader.messages)
    headers = () if state.head is None else _plain(state.head.metadata)
    return Answer(code, detail, messages, headers, trailers)


def _plain(metadata: Metadata) -> Metadata:
    return tuple([field for field in metadata if field[0] not in _RESERVED])


def _number(data: bytes, start: int, stop: int) -> int:
    if stop - start != 4 or stop > len(data):
        raise FrameError("malformed frame")
    return int.from_bytes(data[start:stop], "big")


def _unpadded(data: bytes, start: int, stop: int) -> tuple[int, int]:
    if start == stop or data[start] >= stop - start:
        raise FrameError("more padding than frame")
    return start + 1, stop - data[start]
