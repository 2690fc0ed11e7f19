"""The tap's byte stream → records.

Rule: a record that no wire would send raises, and the session ends: its reader has lost its place,
or its peer is no wire. A kind that this version does not know is stepped over. Counterpart:
`sidecar.wire.records`, the language.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

from sidecar.call import Direction
from sidecar.http2.frames import cut
from sidecar.wire.records import HEADER, MAX_PAYLOAD, U32, U64, VERSION, Kind

_HEADER_BYTES = HEADER.size
_KINDS = {kind.value: kind for kind in Kind}
_BYTES = Kind.BYTES.value
_DIRECTIONS = (Direction.CLIENT, Direction.SERVER)


class TapError(Exception):
    """The bytes are not those of a wire; the session cannot go on."""


@dataclass(slots=True, init=False)
class Record:
    """One record; see `sidecar.wire.records.Kind` for what each kind's payload is.

    A large payload is a view of the bytes that were fed, to be used before they are let go of.
    """

    kind: Kind
    direction: Direction
    conn: int
    time_ns: int
    payload: bytes | memoryview

    def __init__(
        self,
        kind: Kind,
        direction: Direction,
        conn: int,
        time_ns: int,
        payload: bytes | memoryview,
    ) -> None:
        self.kind, self.direction, self.conn = kind, direction, conn
        self.time_ns, self.payload = time_ns, payload

    @property
    def number(self) -> int:
        """Payload of GAP: bytes; of COUNTED: calls."""
        return int.from_bytes(self.payload, "big")

    @property
    def numbers(self) -> tuple[int, ...]:
        """Payload of UNSAMPLED: streams."""
        return struct.unpack(f"!{len(self.payload) // U32.size}I", self.payload)

    @property
    def text(self) -> str:
        """Payload of OPAQUE, BLIND and CLOSE."""
        return str(self.payload, "utf-8", "replace")

    def json(self) -> dict[str, Any]:
        """Payload of HELLO, OPEN and STATS.

        Raises:
            TapError: it is no JSON object.
        """
        try:
            value = json.loads(bytes(self.payload))
        except (ValueError, RecursionError) as error:
            raise TapError(f"{self.kind.name}: {error}") from None
        if not isinstance(value, dict):
            raise TapError(f"{self.kind.name}: not a JSON object")
        return value


class TapReader:
    """Reads one session; it begins with HELLO."""

    __slots__ = ("_greeted", "_need", "_tail")

    def __init__(self) -> None:
        self._greeted = False
        self._tail = bytearray()  # the beginning of a record
        self._need = _HEADER_BYTES  # so many bytes of it must be there to go on

    def feed(self, data: bytes, out: list[Record]) -> None:
        """Take the next bytes.

        Args:
            data: the bytes.
            out: gets the records.

        Raises:
            TapError: `out` has the records before the error.
        """
        position, end = 0, len(data)
        tail = self._tail
        while position < end:
            if self._greeted and not tail and end - position > _HEADER_BYTES:
                # Nearly every record carries bytes, and is there as a whole.
                size, number, direction, _, conn, time_ns = HEADER.unpack_from(data, position)
                start = position + _HEADER_BYTES
                if number == _BYTES and direction <= 1 and size <= min(MAX_PAYLOAD, end - start):
                    position = start + size
                    payload = cut(data, start, position)
                    out.append(Record(Kind.BYTES, _DIRECTIONS[direction], conn, time_ns, payload))
                    continue
            if tail or end - position < _HEADER_BYTES:
                taken = data[position : position + self._need - len(tail)]
                position += len(taken)
                tail += taken
                if len(tail) < self._need:
                    return
                size = self._size(tail, 0)
                self._need = _HEADER_BYTES + size
                if len(tail) < self._need:
                    continue
                whole = bytes(tail)
                tail.clear()
                self._need = _HEADER_BYTES
                record = self._record(whole, 0, size)
            else:
                size = self._size(data, position)
                if end - position < _HEADER_BYTES + size:
                    tail += memoryview(data)[position:]
                    self._need = _HEADER_BYTES + size
                    return
                record = self._record(data, position, size)
                position += _HEADER_BYTES + size
            if record is not None:
                out.append(record)

    @staticmethod
    def _size(data: bytes | bytearray, at: int) -> int:
        size = int.from_bytes(data[at : at + 4], "big")
        if size > MAX_PAYLOAD:
            raise TapError(f"a record of {size} bytes")
        return size

    def _record(self, data: bytes, at: int, size: int) -> Record | None:
        _, number, direction, _, conn, time_ns = HEADER.unpack_from(data, at)
        kind = _KINDS.get(number)
        start = at + _HEADER_BYTES
        payload = cut(data, start, start + size)
        if not self._greeted:
            self._greet(kind, payload)
        if kind is None:
            return None
        wrong = (kind in (Kind.GAP, Kind.COUNTED) and size != U64.size) or (
            kind is Kind.UNSAMPLED and (size % U32.size or not size)
        )
        if direction > 1 or wrong:
            raise TapError(f"malformed {kind.name}")
        return Record(kind, _DIRECTIONS[direction], conn, time_ns, payload)

    def _greet(self, kind: Kind | None, payload: bytes | memoryview) -> None:
        if kind is not Kind.HELLO:
            raise TapError("the first record is not HELLO")
        version = Record(kind, Direction.CLIENT, 0, 0, payload).json().get("version")
        if version != VERSION:
            raise TapError(f"the wire speaks version {version!r}, not {VERSION}")
        self._greeted = True
