"""Which bytes of a connection go to the tap: a walk over HTTP/2 frame headers, and nothing deeper.

Rule: pure, and the same result however the bytes are cut. What is copied, with every `GAP` filled
in, is again a valid sequence of frames; header blocks are never left out while the connection is
observed, because HPACK's state does not survive a hole. Nothing here touches production's bytes:
they were sent before the walk begins. Counterpart: `sidecar.observe`, which reads the copy.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, TypeAlias

from sidecar.wire.header import (
    BLOCK,
    COMPILED,
    COPIED,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME,
    FRAME_SIZE,
    HEADERS,
    LAST_KIND,
    PREFACE,
    RST_STREAM,
    STREAM,
    read,
    refuse,
)
from sidecar.wire.left_out import LOST, SHOWN, LeftOut
from sidecar.wire.records import HEADER, U32, U64, Kind
from sidecar.wire.sample import Sampler
from sidecar.wire.side import Side
from sidecar.wire.state import State
from sidecar.wire.stats import Tally

if TYPE_CHECKING:  # an int of the machine's; as Python it is an int
    from mypy_extensions import i64

MAX_LEFT_OUT_IN_ALL: Final = 65_536
"""Streams that all walks of a session remember by themselves, 100 bytes each; beyond it a
connection goes blind."""
FRAMES_A_LOOK: Final = 256
"""Frames walked in one go, about 0.15 ms; what is left waits until others had their turn."""

CLIENT: Final = 0
SERVER: Final = 1

_RECORD: Final = HEADER.size
_A_STREAM: Final = 4  # bytes in UNSAMPLED
_A_SIZE: Final = 8  # bytes of GAP
_SMALL: Final = 16 << 10
_TOLD: Final = 0x100  # beside a frame's flags: its header is copied, to tell of the gap

Copied: TypeAlias = list[tuple[Kind, bytes | memoryview]]
"""Records for the tap, without their headers, in order; what is a view is not for keeping."""


# Looked up once: a member of an enumeration is found by more than its name.
_OBSERVED: Final = State.OBSERVED
_BLIND: Final = State.BLIND
_OPAQUE: Final = State.OPAQUE
_BYTES: Final = Kind.BYTES
_GAP: Final = Kind.GAP
_UNSAMPLED_STREAMS: Final = Kind.UNSAMPLED


class Walker:
    """The walk over both directions of one connection.

    Args:
        sampler: which new streams' DATA is copied.
        tally: counters to add to; another may take its place.
        observed: False if nobody will look: only count.
        follow_server: keep walking the server's frames while blind, for `at_boundary`.
    """

    __slots__ = (
        "_client",
        "_follow",
        "_left_out",
        "_newest",
        "_sampler",
        "_server",
        "calls",
        "rest",
        "state",
        "tally",
    )

    def __init__(
        self,
        sampler: Sampler,
        tally: Tally,
        *,
        observed: bool = True,
        follow_server: bool = False,
    ) -> None:
        self.state = _OBSERVED if observed else _BLIND
        self.calls = 0  # copied
        self.rest = 0  # bytes at the end of what was fed last that are to be fed again, first
        self.tally = tally
        self._sampler = sampler
        self._follow = follow_server
        self._client, self._server = Side(PREFACE), Side(b"")
        self._newest: i64 = 0
        self._left_out = LeftOut()

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
        self.tally.left_out -= self._left_out.size
        self._left_out.clear()

    def feed(
        self,
        direction: int,
        data: bytes | memoryview,
        room: int,
        data_room: int,
    ) -> Copied:
        """Walk the next bytes of one direction.

        Args:
            direction: 0 from the client, 1 from the server.
            data: the bytes; not kept.
            room: bytes of records that the tap can take.
            data_room: the part of `room` that DATA may use.

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
            reason = refuse(side.opening, data)
            if reason:
                self.state = _OPAQUE
                return [(Kind.OPAQUE, reason)]
            begin = len(side.opening)
            if len(data) < begin + FRAME_SIZE:
                side.held = bytes(data)
                return []
            side.first = False
        if state is _BLIND:
            self._skim(side, data, begin, direction)
            return []
        out = None
        if (
            self._sampler.everything
            and not begin
            and self._left_out.none
            and _RECORD + len(data) <= data_room
        ):
            out = self._copy_all(side, data, direction)
        if out is None:
            out = self._copy(side, data, begin, direction, room, data_room)
            if out is None:
                self.blind()
                return [(Kind.BLIND, b"the tap is full")]
        return out

    def _copy_all(  # noqa: PLR0915 - as `_copy`
        self, side: Side, data: bytes | memoryview, direction: int
    ) -> Copied | None:
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
        _frame: i64  # as `_`, it would be an object
        for _frame in range(FRAMES_A_LOOK):
            if size - pos < FRAME_SIZE:
                break
            if COMPILED:
                length, kind, flags, stream = read(data, pos)
            else:
                word, flags, stream = FRAME.unpack_from(data, pos)
                length, kind, stream = word >> 8, word & 0xFF, stream & STREAM
            if kind == HEADERS:
                in_block = not flags & END_HEADERS
                if direction == CLIENT and stream > newest:
                    newest = stream
                    new += 1
            elif kind != DATA:
                if kind > LAST_KIND or not COPIED >> kind & 1:
                    return None
                if BLOCK >> kind & 1:
                    in_block = not flags & END_HEADERS
            last = pos
            pos += FRAME_SIZE + length
        if size - pos >= FRAME_SIZE:
            self.rest = size - pos
            size = pos
        if new:
            self._newest = newest
            self.calls += new
            self.tally.calls += new
        if last >= 0:
            side.skip = False
            side.is_data = kind == DATA
            side.stream = stream
            side.ends = direction == SERVER and flags & END_STREAM != 0
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
        side: Side,
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
        sampler = self._sampler
        remembered = left_out.size
        newest: i64 = self._newest
        new: i64 = 0
        last: i64 = -1
        end: i64 = 0
        length: i64
        kind: i64 = 0
        flags: i64 = 0
        stream: i64 = 0
        why: i64
        in_block = side.in_block
        skip = False
        if side.remaining:
            pos = side.remaining if side.remaining < size else size
            if side.skip:
                start = pos
            elif side.is_data and used + pos > most:
                out.append((_GAP, U64.pack(side.remaining)))
                used += _RECORD + _A_SIZE
                side.skip = True
                start = pos
                self.tally.gap_frames += 1
                self.tally.gap_bytes += side.remaining
                if not side.ends:
                    left_out.lost(side.stream)
            side.remaining -= pos
        _frame: i64  # as `_`, it would be an object
        for _frame in range(FRAMES_A_LOOK):
            if size - pos < FRAME_SIZE:
                break
            if COMPILED:
                length, kind, flags, stream = read(data, pos)
            else:
                word, flags, stream = FRAME.unpack_from(data, pos)
                length, kind, stream = word >> 8, word & 0xFF, stream & STREAM
            last = pos
            end = pos + FRAME_SIZE + length
            skip = False
            if kind == DATA:
                why = SHOWN
                if not left_out.none:
                    why = left_out.why(stream)
                if why == SHOWN and used + (end if end < size else size) - start > most:
                    # The rest of its stream is not worth its room either.
                    left_out.lost(stream)
                    why = LOST
                    flags |= _TOLD
                if why != SHOWN:
                    skip = True
                    if why == LOST and flags & (END_STREAM | _TOLD):
                        pos += FRAME_SIZE  # the frame's header tells of the gap, or of the end
                    if pos > start:
                        pieces.append(_cut(data, start, pos))
                        used += pos - start
                    start = end if end < size else size
                    if why == LOST:
                        self.tally.gap_frames += 1
                        self.tally.gap_bytes += length
                        if pos > last and length:
                            out.append((_BYTES, b"".join(pieces)))
                            pieces.clear()
                            out.append((_GAP, U64.pack(length)))
                            used += _RECORD + _RECORD + _A_SIZE
                if direction == SERVER and flags & END_STREAM and not left_out.none:
                    left_out.forget(stream)
            elif kind == HEADERS:
                in_block = not flags & END_HEADERS
                if direction == CLIENT:
                    if stream > newest:
                        newest = stream
                        new += 1
                        if sampler.passed_over:
                            sampler.passed_over -= 1
                            left_out.unsampled(stream)
                            used += _A_STREAM if unsampled else _RECORD + _A_STREAM
                            unsampled.append(stream)
                        else:
                            sampler.again()
                elif flags & END_STREAM and not left_out.none:
                    left_out.forget(stream)
            elif kind <= LAST_KIND and COPIED >> kind & 1:
                if BLOCK >> kind & 1:
                    in_block = not flags & END_HEADERS
                elif kind == RST_STREAM and not left_out.none:
                    left_out.forget(stream)
            else:
                if pos > start:
                    pieces.append(_cut(data, start, pos))
                    used += pos - start
                start = end if end < size else size
                skip = True
            pos = end if end < size else size
        if last >= 0:
            side.in_block = in_block
            side.stream = stream
            side.ends = direction == SERVER and flags & END_STREAM != 0
            if end > size:
                side.remaining = end - size
                side.skip = skip
                side.is_data = kind == DATA
        self._newest = newest
        if size - pos >= FRAME_SIZE:
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
            out.insert(0, (_UNSAMPLED_STREAMS, _streams(unsampled)))
        if pos < size:
            side.held = bytes(data[pos:])
        tally = self.tally
        tally.left_out += left_out.size - remembered
        if (out and used > room) or tally.left_out > MAX_LEFT_OUT_IN_ALL:
            tally.blind_calls += new  # of what nobody will read
            return None
        if new:
            self.calls += new
            tally.calls += new
        return out

    def _skim(self, side: Side, data: bytes | memoryview, begin: int, direction: int) -> None:
        """Count new streams, and keep track of where frames end."""
        size: i64 = len(data)
        pos: i64 = begin
        length: i64
        kind: i64
        flags: i64
        stream: i64
        pos += side.remaining
        _frame: i64  # as `_`, it would be an object
        for _frame in range(FRAMES_A_LOOK):
            if size - pos < FRAME_SIZE:
                break
            if COMPILED:
                length, kind, flags, stream = read(data, pos)
            else:
                word, flags, stream = FRAME.unpack_from(data, pos)
                length, kind, stream = word >> 8, word & 0xFF, stream & STREAM
            if kind <= LAST_KIND and BLOCK >> kind & 1:
                side.in_block = not flags & END_HEADERS
                if kind == HEADERS and direction == CLIENT and stream > self._newest:
                    self._newest = stream
                    self.tally.blind_calls += 1
            pos += FRAME_SIZE + length
        if size - pos >= FRAME_SIZE:
            self.rest = size - pos
            size = pos
        side.remaining = pos - size if pos > size else 0
        if pos < size:
            side.held = bytes(data[pos:])


def _cut(data: bytes | memoryview, start: i64, end: i64) -> bytes | memoryview:
    if isinstance(data, bytes):  # the same, but known to be bytes when compiled
        return data[start:end]
    return data[start:end]


def _streams(streams: list[int]) -> bytes:
    """What UNSAMPLED says of them."""
    if len(streams) == 1:
        return U32.pack(streams[0])
    return struct.pack(f"!{len(streams)}I", *streams)
