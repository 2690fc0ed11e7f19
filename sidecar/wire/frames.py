"""Which bytes of a connection go to the tap: a walk over HTTP/2 frame headers, and nothing deeper.

Rule: pure, and the same result however the bytes are cut. What is copied, with every `GAP` filled
in, is again a valid sequence of frames; header blocks are never left out while the connection is
observed, because HPACK's state does not survive a hole. Nothing here touches production's bytes:
they were sent before the walk begins. Counterpart: `sidecar.observe`, which reads the copy.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from sidecar.wire.records import HEADER, U32, U64, Kind

if TYPE_CHECKING:  # an int of the machine's; as Python it is an int
    from mypy_extensions import i64

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_LEFT_OUT: Final = 16_384
"""Streams remembered as left out, for each connection; beyond it the oldest counts as sampled."""
MAX_LEFT_OUT_IN_ALL: Final = 65_536
"""The same for all connections of a session, 100 bytes each; beyond it a connection goes blind."""
FRAMES_A_LOOK: Final = 256
"""Frames walked in one go, about 0.15 ms; what is left waits until others had their turn."""

CLIENT: Final = 0
SERVER: Final = 1

_FRAME: Final = struct.Struct("!IBI")  # RFC 9113, 4.1: 24 bits length and 8 type, flags, stream
_FRAME_SIZE: Final = 9
_STREAM: Final = 0x7FFF_FFFF
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PUSH_PROMISE, _GOAWAY, _CONTINUATION = 0, 1, 3, 4, 5, 7, 9
# Kinds as sets of bits: HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, GOAWAY, CONTINUATION.
_COPIED: Final = 0b10_1011_1010
_BLOCK: Final = 0b10_0010_0010  # HEADERS, PUSH_PROMISE, CONTINUATION
_LAST_KIND: Final = _CONTINUATION
_END_STREAM: Final = 0x1
_ACK: Final = 0x1
_END_HEADERS: Final = 0x4
# Why a stream is left out: by the draw, or because of a gap.
_UNSAMPLED: Final = False
_LOST: Final = True
_RECORD: Final = HEADER.size
_SMALL: Final = 16 << 10

Copied: TypeAlias = list[tuple[Kind, bytes | memoryview]]
"""Records for the tap, without their headers, in order; what is a view is not for keeping."""


class State(IntEnum):
    """What the walk still does for a connection."""

    OBSERVED = 1  # copies
    BLIND = 2  # counts the client's new streams, and knows where frames end
    OPAQUE = 3  # nothing: the bytes are not HTTP/2
    UNCOUNTED = 4  # nothing; its calls are assumed: too many frames, or a mistake in the walk


def _probe() -> None:
    pass


# Reading a frame's header byte by byte is what compiled code does best and Python worst.
_COMPILED: Final = type(_probe).__name__ != "function"

# Looked up once: a member of an enumeration is found by more than its name.
_OBSERVED: Final = State.OBSERVED
_BLIND: Final = State.BLIND
_OPAQUE: Final = State.OPAQUE
_BYTES: Final = Kind.BYTES
_GAP: Final = Kind.GAP
_UNSAMPLED_STREAMS: Final = Kind.UNSAMPLED
_pack_stream: Final = U32.pack


class Tally:
    """Counters that the walks of a session's connections share."""

    __slots__ = ("assumed_calls", "blind_calls", "calls", "gap_bytes", "gap_frames", "left_out")

    def __init__(self) -> None:
        self.calls = 0  # whose HEADERS were copied
        self.blind_calls = 0  # the others
        self.assumed_calls = 0  # of those, in bytes that nobody walked: as many as fit in
        self.gap_frames = 0
        self.gap_bytes = 0
        self.left_out = 0  # streams that the walks remember now

    def add(self, other: Tally) -> None:
        """Take over what another has counted."""
        self.calls += other.calls
        self.blind_calls += other.blind_calls
        self.assumed_calls += other.assumed_calls
        self.gap_frames += other.gap_frames
        self.gap_bytes += other.gap_bytes


class _Side:
    """Where the walk stands in one direction."""

    __slots__ = (
        "ends",
        "first",
        "held",
        "in_block",
        "is_data",
        "opening",
        "remaining",
        "skip",
        "stream",
    )

    def __init__(self, opening: bytes) -> None:
        self.opening = opening  # must come before the first frame
        self.first = True  # nothing has been walked yet
        self.held = b""  # the beginning of a frame header that was cut
        self.remaining: i64 = 0  # bytes of the current frame that have not arrived
        self.skip = False  # whether those are left out
        self.is_data = False  # whether those are DATA
        self.stream: i64 = 0  # the current DATA frame's stream
        self.ends = False  # whether nothing of that stream follows it
        self.in_block = False  # a header block is open: only CONTINUATION may follow


class Walker:
    """The walk over both directions of one connection.

    Args:
        sample: draws whether the next new stream's DATA is copied.
        tally: counters to add to; another may take its place.
        observed: False if nobody will look: only count.
        follow_server: keep walking the server's frames while blind, for `at_boundary`.
    """

    __slots__ = (
        "_client",
        "_follow",
        "_left_out",
        "_newest",
        "_sample",
        "_server",
        "calls",
        "rest",
        "state",
        "tally",
    )

    def __init__(
        self,
        sample: Callable[[], bool],
        tally: Tally,
        *,
        observed: bool = True,
        follow_server: bool = False,
    ) -> None:
        self.state = _OBSERVED if observed else _BLIND
        self.calls = 0  # copied
        self.rest = 0  # bytes at the end of what was fed last that are to be fed again, first
        self.tally = tally
        self._sample = sample
        self._follow = follow_server
        self._client, self._server = _Side(PREFACE), _Side(b"")
        self._newest: i64 = 0
        self._left_out: dict[int, bool] = {}

    @property
    def at_boundary(self) -> bool:
        """Whether a frame may be put in here, after what the server has sent so far."""
        side = self._server
        return not (side.first or side.remaining or side.held or side.in_block)

    @property
    def called(self) -> bool:
        """Whether the client has begun a call."""
        return self._newest > 0

    def blind(self) -> None:
        """Stop copying: what follows is only counted."""
        if self.state is _OBSERVED:
            self.state = _BLIND
            self.forget()

    def forget(self) -> None:
        """Give back what is remembered of streams."""
        self.tally.left_out -= len(self._left_out)
        self._left_out.clear()

    def feed(
        self,
        direction: int,
        data: bytes | memoryview,
        room: int,
        data_room: int,
        everything: bool = False,
    ) -> Copied:
        """Walk the next bytes of one direction.

        Args:
            direction: 0 from the client, 1 from the server.
            data: the bytes; not kept.
            room: bytes of records that the tap can take.
            data_room: the part of `room` that DATA may use.
            everything: `sample` would draw that every stream is copied; it need not be asked.

        Returns:
            What goes to the tap; a payload may be a view of `data`. An OPAQUE or BLIND record is
            the connection's last; while blind there is nothing, but still OPAQUE if that is what
            it turns out to be. Only `FRAMES_A_LOOK` frames are walked: `rest` says how much
            follows them.
        """
        state = self.state
        if state is not _OBSERVED and (
            state is not _BLIND or (direction == SERVER and not self._follow)
        ):
            return []
        side = self._client if direction == CLIENT else self._server
        if side.held:
            data = side.held + data
            side.held = b""
        elif len(data) <= _SMALL:
            data = bytes(data)  # cheaper to cut than a view
        begin = 0
        if side.first:
            reason = _refuse(side.opening, data)
            if reason:
                self.state = _OPAQUE
                return [(Kind.OPAQUE, reason)]
            begin = len(side.opening)
            if len(data) < begin + _FRAME_SIZE:
                side.held = bytes(data)
                return []
            side.first = False
        if state is _BLIND:
            self._skim(side, data, begin, direction)
            return []
        out = None
        if everything and not (begin or self._left_out) and _RECORD + len(data) <= data_room:
            out = self._copy_all(side, data, direction)
        if out is None:
            out = self._copy(side, data, begin, direction, room, data_room)
            if out is None:
                self.blind()
                return [(Kind.BLIND, b"the tap is full")]
        return out

    def _copy_all(self, side: _Side, data: bytes | memoryview, direction: int) -> Copied | None:
        """Copy the bytes as they are if nothing is to be left out; else None, and nothing is done.

        For when every stream is sampled and there is room: then all that matters is where frames
        begin.
        """
        size: i64 = len(data)
        pos: i64 = side.remaining
        if pos and side.skip:
            return None
        last: i64 = -1
        newest: i64 = self._newest
        new: i64 = 0
        length: i64
        kind: i64 = 0
        flags: i64 = 0
        stream: i64 = 0
        in_block = side.in_block
        for _ in range(FRAMES_A_LOOK):
            if size - pos < _FRAME_SIZE:
                break
            if _COMPILED:
                length, kind, flags, stream = _read(data, pos)
            else:
                word, flags, stream = _FRAME.unpack_from(data, pos)
                length, kind, stream = word >> 8, word & 0xFF, stream & _STREAM
            if kind == _HEADERS:
                in_block = not flags & _END_HEADERS
                if direction == CLIENT and stream > newest:
                    newest = stream
                    new += 1
            elif kind != _DATA:
                if kind > _LAST_KIND or not _COPIED >> kind & 1:
                    return None
                if _BLOCK >> kind & 1:
                    in_block = not flags & _END_HEADERS
            last = pos
            pos += _FRAME_SIZE + length
        if size - pos >= _FRAME_SIZE:
            self.rest = size - pos
            size = pos
        if new:
            self._newest = newest
            self.calls += new
            self.tally.calls += new
        if last >= 0:
            side.skip = False
            side.is_data = kind == _DATA
            side.stream = stream
            side.ends = direction == SERVER and flags & _END_STREAM != 0
            side.in_block = in_block
        end = size
        if pos >= size:
            side.remaining = pos - size
        else:
            side.remaining = 0
            side.held = bytes(data[pos:])
            end = pos
        return [(_BYTES, data if end == len(data) else data[:end])] if end else []

    def _copy(  # noqa: PLR0915 - one loop, unrolled: this is what each of production's frames costs
        self,
        side: _Side,
        data: bytes | memoryview,
        begin: int,
        direction: int,
        room: int,
        data_room: int,
    ) -> Copied | None:
        """Choose what to copy; None if not even header blocks fit."""
        out: Copied = []
        pieces: list[bytes | memoryview] = []  # of the next BYTES record, before data[start:pos]
        unsampled: list[int] = []
        size: i64 = len(data)
        used: i64 = _RECORD  # the records in `out`, the pieces, and the header of those's record
        pos: i64 = begin
        start: i64 = 0
        most: i64 = data_room
        left_out = self._left_out
        remembered = len(left_out)
        new: i64 = 0
        length: i64
        kind: i64
        flags: i64
        stream: i64
        if side.remaining:
            pos = side.remaining if side.remaining < size else size
            if side.skip:
                start = pos
            elif side.is_data and used + pos > most:
                out.append((_GAP, U64.pack(side.remaining)))
                used += _RECORD + U64.size
                side.skip = True
                start = pos
                self.tally.gap_frames += 1
                self.tally.gap_bytes += side.remaining
                if not side.ends:
                    self._leave_out(side.stream, _LOST)
            side.remaining -= pos
        for _ in range(FRAMES_A_LOOK):
            if size - pos < _FRAME_SIZE:
                break
            if _COMPILED:
                length, kind, flags, stream = _read(data, pos)
            else:
                word, flags, stream = _FRAME.unpack_from(data, pos)
                length, kind, stream = word >> 8, word & 0xFF, stream & _STREAM
            end = pos + _FRAME_SIZE + length
            stop = end if end <= size else size
            skip = False
            if kind == _DATA:
                why = left_out.get(stream) if left_out else None
                if why is None:
                    if used + stop - start > most:
                        # The rest of its stream is not worth its room either.
                        self._leave_out(stream, _LOST)
                        skip = lost = keep = True  # the frame's header tells of the gap
                else:
                    skip = True
                    lost = why
                    keep = lost and flags & _END_STREAM != 0
                if skip:
                    cut = pos + _FRAME_SIZE if keep else pos
                    if cut > start:
                        pieces.append(_cut(data, start, cut))
                        used += cut - start
                    start = stop
                    if lost:
                        self.tally.gap_frames += 1
                        self.tally.gap_bytes += length
                        if keep and length:
                            out.append((_BYTES, b"".join(pieces)))
                            pieces.clear()
                            out.append((_GAP, U64.pack(length)))
                            used += _RECORD + _RECORD + U64.size
                side.ends = False
                if flags & _END_STREAM and direction == SERVER:
                    side.ends = True
                    if left_out and stream in left_out:
                        del left_out[stream]
                side.stream = stream
            elif kind == _HEADERS:
                side.in_block = not flags & _END_HEADERS
                if direction == CLIENT:
                    if stream > self._newest:
                        self._newest = stream
                        new += 1
                        if not self._sample():
                            self._leave_out(stream, _UNSAMPLED)
                            used += U32.size if unsampled else _RECORD + U32.size
                            unsampled.append(stream)
                elif flags & _END_STREAM and left_out and stream in left_out:
                    del left_out[stream]
            elif kind <= _LAST_KIND and _COPIED >> kind & 1:
                if _BLOCK >> kind & 1:
                    side.in_block = not flags & _END_HEADERS
                elif kind == _RST_STREAM and left_out and stream in left_out:
                    del left_out[stream]
            else:
                if pos > start:
                    pieces.append(_cut(data, start, pos))
                    used += pos - start
                start = stop
                skip = True
            pos = stop
            if end > size:
                side.remaining = end - size
                side.skip = skip
                side.is_data = kind == _DATA
        if size - pos >= _FRAME_SIZE:
            self.rest = size - pos
            size = pos
        if pos > start:
            pieces.append(_cut(data, start, pos))
            used += pos - start
        if pieces:
            out.append((_BYTES, pieces[0] if len(pieces) == 1 else b"".join(pieces)))
        else:
            used -= _RECORD
        if unsampled:
            told = [_pack_stream(stream) for stream in unsampled]
            out.insert(0, (_UNSAMPLED_STREAMS, told[0] if len(told) == 1 else b"".join(told)))
        if pos < size:
            side.held = bytes(data[pos:])
        tally = self.tally
        tally.left_out += len(left_out) - remembered
        if (out and used > room) or tally.left_out > MAX_LEFT_OUT_IN_ALL:
            tally.blind_calls += new  # of what nobody will read
            return None
        if new:
            self.calls += new
            tally.calls += new
        return out

    def _leave_out(self, stream: int, why: bool) -> None:
        if len(self._left_out) >= MAX_LEFT_OUT:
            del self._left_out[next(iter(self._left_out))]
        self._left_out[stream] = why

    def _skim(self, side: _Side, data: bytes | memoryview, begin: int, direction: int) -> None:
        """Count new streams, and keep track of where frames end."""
        size: i64 = len(data)
        pos: i64 = begin
        length: i64
        kind: i64
        flags: i64
        stream: i64
        pos += side.remaining
        for _ in range(FRAMES_A_LOOK):
            if size - pos < _FRAME_SIZE:
                break
            if _COMPILED:
                length, kind, flags, stream = _read(data, pos)
            else:
                word, flags, stream = _FRAME.unpack_from(data, pos)
                length, kind, stream = word >> 8, word & 0xFF, stream & _STREAM
            if kind <= _LAST_KIND and _BLOCK >> kind & 1:
                side.in_block = not flags & _END_HEADERS
                if kind == _HEADERS and direction == CLIENT and stream > self._newest:
                    self._newest = stream
                    self.tally.blind_calls += 1
            pos += _FRAME_SIZE + length
        if size - pos >= _FRAME_SIZE:
            self.rest = size - pos
            size = pos
        side.remaining = pos - size if pos > size else 0
        if pos < size:
            side.held = bytes(data[pos:])


def _read(data: bytes | memoryview, pos: i64) -> tuple[i64, i64, i64, i64]:
    """A frame's length, type, flags and stream (RFC 9113, 4.1), as `_FRAME` would read them."""
    if isinstance(data, bytes):
        head, at = data, pos
    else:
        head, at = bytes(data[pos : pos + _FRAME_SIZE]), 0
    a: i64 = head[at]
    b: i64 = head[at + 1]
    c: i64 = head[at + 2]
    kind: i64 = head[at + 3]
    flags: i64 = head[at + 4]
    s: i64 = head[at + 5]
    t: i64 = head[at + 6]
    u: i64 = head[at + 7]
    v: i64 = head[at + 8]
    return a << 16 | b << 8 | c, kind, flags, (s & 0x7F) << 24 | t << 16 | u << 8 | v


def _cut(data: bytes | memoryview, start: i64, end: i64) -> bytes | memoryview:
    if isinstance(data, bytes):  # the same, but known to be bytes when compiled
        return data[start:end]
    return data[start:end]


def _refuse(opening: bytes, data: bytes | memoryview) -> bytes:
    """Say why these first bytes are not HTTP/2's, or nothing while they may be (RFC 9113, 3.4)."""
    if data[: len(opening)] != opening[: len(data)]:
        if opening and data[:1] == b"\x16":
            return b"TLS"
        return b"no HTTP/2 preface"
    if len(data) >= len(opening) + _FRAME_SIZE:
        word, flags, stream = _FRAME.unpack_from(data, len(opening))
        length = word >> 8
        if word & 0xFF != _SETTINGS or flags & _ACK or stream & _STREAM or length % 6:
            return b"the first frame is not SETTINGS"
    return b""
