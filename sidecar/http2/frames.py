"""One direction's bytes → HTTP/2 frames (RFC 9113), however they are cut.

Rule: DATA is handed on as it comes and never held here; a header block is held until it is whole,
within a bound; what nobody asks for (PRIORITY, unknown types, and, for whoever only looks on, PING
and WINDOW_UPDATE) is stepped over. Counterpart: `sidecar.wire`'s walker, which copies the frames,
and may leave out those that are stepped over here and, with a GAP record, payload of DATA.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, TypeAlias

DATA = 0x0
HEADERS = 0x1
RST_STREAM = 0x3
SETTINGS = 0x4
PUSH_PROMISE = 0x5
PING = 0x6
GOAWAY = 0x7
WINDOW_UPDATE = 0x8
CONTINUATION = 0x9

ACK = 0x1
END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY = 0x20

_AROUND = PADDED | PRIORITY | END_HEADERS  # flags of a block that is not the whole frame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER = struct.Struct("!HBBBI")  # length in two parts, type, flags, stream
HEADER_BYTES = 9
_READ = frozenset({HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, GOAWAY, CONTINUATION})
_PEER_READS = _READ | {PING, WINDOW_UPDATE}
_SIZES = {RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}
MAX_FRAME = (1 << 24) - 1  # what a length can say
_COPIED_BYTES = 4096
_AROUND_BLOCK_BYTES = 512  # padding, priority and promised stream around a block's fragment

Frame: TypeAlias = tuple[int, int, int, bytes | memoryview]
"""Type, flags, stream, payload. Padding and priority are gone. HEADERS and PUSH_PROMISE carry the
whole block, CONTINUATIONs joined. DATA comes in pieces, END_STREAM set on the last piece only."""


class Position(NamedTuple):
    """Where the next byte of a direction stands, for whoever goes on by frame boundaries alone."""

    skip: int = 0  # bytes that are left of a frame, or of the preface
    held: bytes = b""  # the beginning of a frame's header
    begun: int = 0  # the stream of a header block that is not complete; 0: there is none


BOUNDARY: Final = Position()


class FrameError(ValueError):
    """Not HTTP/2, or not readable any more."""


class FrameReader:
    """Reads one direction of one connection."""

    __slots__ = (
        "_block",
        "_block_frame",
        "_data_ends",
        "_data_stream",
        "_first",
        "_left",
        "_max_block",
        "_max_frame",
        "_max_header_bytes",
        "_need",
        "_pad_unread",
        "_padding",
        "_preface",
        "_reads",
        "_tail",
        "flow",
    )

    def __init__(
        self,
        preface: bytes,
        max_header_bytes: int,
        *,
        is_peer: bool = False,
        max_frame: int = MAX_FRAME,
    ) -> None:
        """Begin a direction.

        Args:
            preface: what it begins with.
            max_header_bytes: of a header block.
            is_peer: whether we speak ourselves, so that PING and WINDOW_UPDATE are for us.
            max_frame: the largest frame that may come, in bytes.
        """
        self.flow = 0  # bytes of DATA frames, padding included: what flow control counts
        self._reads = _PEER_READS if is_peer else _READ
        self._max_frame = max_frame
        self._preface = preface  # what is still expected of it
        self._max_header_bytes = max_header_bytes
        self._max_block = min(max_header_bytes, max_frame)  # in one frame
        self._first = True
        self._tail = bytearray()  # the beginning of a frame that will be read whole
        self._need = HEADER_BYTES  # so many bytes of it must be there to go on
        self._left = 0  # bytes missing from the frame that is passed on or stepped over
        self._data_stream = 0  # 0: stepped over
        self._data_ends = False
        self._pad_unread = False
        self._padding = 0
        self._block: bytearray | None = None  # an unfinished header block
        self._block_frame = (0, 0, 0)

    @property
    def held(self) -> int:
        """Bytes held."""
        return len(self._tail) + (0 if self._block is None else len(self._block))

    @property
    def greeted(self) -> bool:
        """Whether the peer speaks HTTP/2: its preface and first frame were as they must be."""
        return not self._first

    @property
    def position(self) -> Position:
        """Where the next byte stands; as of what `read` was given."""
        tail, block = self._tail, self._block
        if not tail and block is None:
            skip = self._left + len(self._preface)
            return Position(skip) if skip else BOUNDARY
        begun = 0 if block is None or self._block_frame[0] != HEADERS else self._block_frame[2]
        if len(tail) < HEADER_BYTES:
            return Position(self._left, bytes(tail), begun)
        high, low, kind, _, stream = HEADER.unpack_from(tail)
        if kind == HEADERS:
            begun = stream & 0x7FFFFFFF
        return Position(HEADER_BYTES + (high << 8 | low) - len(tail), b"", begun)

    def read(  # noqa: PLR0915 - one loop: this is what each frame costs
        self, data: bytes | memoryview, out: list[Frame]
    ) -> None:
        """Take the next bytes.

        Not a generator: to go in and out of one costs compiled code more than a frame does.

        Args:
            data: the bytes.
            out: gets the frames.

        Raises:
            FrameError: `out` has the frames before the error.
        """
        position, end = (self._expect_preface(data) if self._preface else 0), len(data)
        tail = self._tail
        while position < end:
            if self._left:
                piece, position = self._piece(data, position)
                last = self._data_ends and not self._left
                if piece or last:
                    out.append((DATA, END_STREAM if last else 0, self._data_stream, piece))
                continue
            source: bytes | memoryview | bytearray = data
            at = position
            if tail or end - position < HEADER_BYTES:
                position = self._keep(data, position)
                if len(tail) < self._need:
                    return
                source, at = tail, 0
            high, low, kind, flags, stream = HEADER.unpack_from(source, at)
            length = high << 8 | low
            stream &= 0x7FFFFFFF
            if self._first or self._block is not None or kind == CONTINUATION:
                self._check_order(kind, flags, stream)
            if kind == HEADERS and flags & _AROUND == END_HEADERS and stream and source is data:
                # Of calls that are not sampled there is nothing else.
                start = position + HEADER_BYTES
                if start + length <= end and length <= self._max_block:
                    position = start + length
                    out.append((HEADERS, flags, stream, bytes(data[start:position])))
                    continue
            if length > self._max_frame:
                raise FrameError(f"a frame of {length} bytes")
            if kind == DATA:
                self.flow += length
            if kind == DATA and stream and not flags & PADDED and source is data:
                # Nearly every frame of DATA begins so, and many are there as a whole.
                start = position + HEADER_BYTES
                if start + length <= end:
                    position = start + length
                    if length or flags & END_STREAM:
                        out.append((DATA, flags & END_STREAM, stream, cut(data, start, position)))
                    continue
            if kind not in self._reads:
                position += HEADER_BYTES if source is data else 0
                tail.clear()
                self._pass_on(kind, length, flags, stream)
                if self._data_ends and not length:
                    out.append((DATA, END_STREAM, stream, b""))
                continue
            if length > self._max_header_bytes + _AROUND_BLOCK_BYTES:
                raise FrameError(f"frame of type {kind} with {length} bytes")
            if source is tail or end - position < HEADER_BYTES + length:
                self._need = HEADER_BYTES + length
                if source is data or len(tail) < self._need:
                    position = self._keep(data, position)
                if len(tail) < self._need:
                    return
                payload = self._take_tail()
            else:
                payload = bytes(data[position + HEADER_BYTES : position + HEADER_BYTES + length])
                position += HEADER_BYTES + length
            frame = self._whole(kind, flags, stream, payload)
            if frame is not None:
                out.append(frame)

    def _expect_preface(self, data: bytes | memoryview) -> int:
        expected = self._preface[: len(data)]
        if data[: len(expected)] != expected:
            raise FrameError("not the HTTP/2 preface")
        self._preface = self._preface[len(expected) :]
        return len(expected)

    def _keep(self, data: bytes | memoryview, position: int) -> int:
        """Move what is needed, or what there is of it, to the tail; the position behind it."""
        kept = data[position : position + self._need - len(self._tail)]
        self._tail += kept
        return position + len(kept)

    def _take_tail(self) -> bytes:
        payload = bytes(self._tail[HEADER_BYTES:])
        self._tail.clear()
        self._need = HEADER_BYTES
        return payload

    def gap(self, size: int) -> int:
        """The next `size` bytes were payload of DATA and are not there; returns the stream.

        Raises:
            FrameError: they were something else.
        """
        if size > self._left or not self._data_stream or self._tail:
            raise FrameError("a gap outside DATA")
        self._left -= size
        self._pad_unread = False  # if that byte is gone, padding can no longer be told from data
        return self._data_stream

    def _check_order(self, kind: int, flags: int, stream: int) -> None:
        first, self._first = self._first, False
        if first and (kind != SETTINGS or flags & ACK or stream):
            raise FrameError("the first frame is not SETTINGS")
        if (self._block is None) != (kind != CONTINUATION) or (
            kind == CONTINUATION and stream != self._block_frame[2]
        ):
            raise FrameError("a header block is not continuous")

    def _pass_on(self, kind: int, length: int, flags: int, stream: int) -> None:
        """A frame begins that is handed on in pieces, or stepped over."""
        self._left = length
        is_data = kind == DATA
        padded = is_data and bool(flags & PADDED)
        if is_data and (not stream or (padded and not length)):
            raise FrameError("malformed DATA")
        self._data_stream = stream if is_data else 0
        self._data_ends = is_data and bool(flags & END_STREAM)
        self._pad_unread = padded
        self._padding = 0

    def _piece(self, data: bytes | memoryview, position: int) -> tuple[bytes | memoryview, int]:
        """The next piece of DATA without padding, and the position behind it.

        Of a frame that is stepped over, the piece is empty.
        """
        if not self._data_stream:
            stepped = min(self._left, len(data) - position)
            self._left -= stepped
            return b"", position + stepped
        if self._pad_unread:
            self._pad_unread = False
            self._padding = data[position]
            position += 1
            self._left -= 1
            if self._padding > self._left:
                raise FrameError("more padding than frame")
        there = min(self._left, len(data) - position)
        piece = cut(data, position, position + max(0, min(there, self._left - self._padding)))
        self._left -= there
        return piece, position + there

    def _whole(self, kind: int, flags: int, stream: int, payload: bytes) -> Frame | None:
        """Make sense of a frame that is read whole; None when there is nothing to say yet."""
        if kind in (HEADERS, PUSH_PROMISE):
            plain = kind == HEADERS and not flags & (PADDED | PRIORITY)
            fragment = payload if plain else _fragment(kind, flags, payload)
            if not stream:
                raise FrameError("a header block on stream 0")
            if flags & END_HEADERS:
                return self._finished((kind, flags, stream), fragment)
            self._block = bytearray(fragment)
            self._block_frame = (kind, flags, stream)
            return None
        if kind == CONTINUATION:
            block = self._block
            assert block is not None  # by the order of frames
            block += payload
            if len(block) > self._max_header_bytes:
                raise FrameError(f"header block of more than {self._max_header_bytes} bytes")
            if not flags & END_HEADERS:
                return None
            self._block = None
            return self._finished(self._block_frame, bytes(block))
        if kind in _SIZES:
            on_stream = kind == WINDOW_UPDATE or (kind == RST_STREAM) == (stream != 0)
            well_formed = on_stream and len(payload) == _SIZES[kind]
        elif kind == SETTINGS:
            well_formed = not stream and len(payload) % 6 == 0
        else:
            well_formed = not stream and len(payload) >= 8
        if not well_formed:
            raise FrameError(f"malformed frame of type {kind}")
        return kind, flags, stream, payload

    def _finished(self, frame: tuple[int, int, int], block: bytes) -> Frame:
        if len(block) > self._max_header_bytes:
            raise FrameError(f"header block of more than {self._max_header_bytes} bytes")
        return *frame, block


def cut(data: bytes | memoryview, start: int, stop: int) -> bytes | memoryview:
    """A part of `data`: a copy of a few bytes costs less than a view of them."""
    return data[start:stop] if stop - start < _COPIED_BYTES else memoryview(data)[start:stop]


def _fragment(kind: int, flags: int, payload: bytes) -> bytes:
    """A header block's first fragment, without what stands around it."""
    start, end = 0, len(payload)
    if flags & PADDED:
        start = 1
        end -= payload[0] if payload else 1
    if kind == PUSH_PROMISE:
        start += 4
    elif flags & PRIORITY:
        start += 5
    if start > end:
        raise FrameError("malformed header frame")
    return payload[start:end]
