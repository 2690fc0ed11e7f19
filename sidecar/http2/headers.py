"""Header blocks of one direction → fields: HPACK (RFC 7541), the decoding half.

A decoder of our own because `hpack`'s takes four times as long (benchmarks/bench_observe.py); its
tables are used, and the tests hold the two against each other. What makes this one cheap: strings
are decoded once, when they enter the table; and a block that leaves the table as it was, as most do
once a connection is warm, is remembered until the table changes. Of blocks with literals only a few
are: those come again and again, or never (a `traceparent` that gRPC's C core does not index).

Rule: more lenient than a peer, never less. An update of the table's size may take any value that
the other side ever allowed: when an acknowledgement took effect cannot be seen from outside.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Generic, TypeAlias, TypeVar

from sidecar.http2.huffman import HuffmanError, decode_huffman
from sidecar.http2.static_table import STATIC

Field: TypeAlias = tuple[str, str]
Head = TypeVar("Head")

DEFAULT_TABLE_BYTES = 4096  # RFC 9113, section 6.5.2
MAX_TABLE_BYTES = 64 << 10  # browsers allow this much, gRPC's peers 4096
_ENTRY_BYTES = 32  # RFC 7541, section 4.1: added to the lengths of name and value
_ENTRY_OBJECTS = 260  # two strings, two tuples and a number, beyond what RFC 7541 counts
_MAX_INTEGER_BYTES = 5  # after the prefix; as `hpack`
_REMEMBERED_BLOCKS = 64  # of indexed fields alone
_REPEATED_BLOCKS = 4  # with literals
_REMEMBERED_BLOCK_BYTES = 256
_REMEMBERED_FIELDS = 32
_REMEMBERED_NAME_BYTES = 64
_HEAD_OBJECTS = 256  # what is made of a block that is remembered, and the block
_FIELD_OBJECTS = 16  # more for each field, whose text the table has

_Entry: TypeAlias = tuple[Field, int, int]  # the field, its name's length and its size in bytes
_STATIC: tuple[_Entry, ...] = (
    (("", ""), 0, 0),  # indices begin at 1
    *(((name, value), len(name), _ENTRY_BYTES + len(name) + len(value)) for name, value in STATIC),
)
_STATIC_LENGTH = len(_STATIC)


class HeaderError(ValueError):
    """The block cannot be decoded; neither can any that follows on this connection."""


class HeaderDecoder(Generic[Head]):
    """Decodes the header blocks of one direction, in order, and lets `build` make sense of them."""

    __slots__ = (
        "_allowed",
        "_build",
        "_capacity",
        "_max_bytes",
        "_remembered",
        "_remembered_bytes",
        "_repeated",
        "_repeated_bytes",
        "_size",
        "_table",
    )

    def __init__(self, build: Callable[[list[Field]], Head], max_bytes: int) -> None:
        """`build` must be pure: its results are remembered. `max_bytes` bounds a decoded list."""
        self._build = build
        self._max_bytes = max_bytes
        self._table: deque[_Entry] = deque()  # newest last
        self._size = 0
        self._capacity = DEFAULT_TABLE_BYTES
        self._allowed = DEFAULT_TABLE_BYTES
        self._remembered: dict[bytes, Head] = {}
        self._repeated: dict[bytes, Head] = {}
        self._remembered_bytes = self._repeated_bytes = 0

    @property
    def held(self) -> int:
        """Bytes of the table and of what is remembered: text, and Python's objects around it."""
        table = self._size + _ENTRY_OBJECTS * len(self._table)
        return table + self._remembered_bytes + self._repeated_bytes

    def allow_table(self, size: int) -> None:
        """The other side announced SETTINGS_HEADER_TABLE_SIZE."""
        self._allowed = max(self._allowed, min(size, MAX_TABLE_BYTES))

    def decode(self, whole: bytes | memoryview) -> Head:
        """Decode one whole block.

        Raises:
            HeaderError: the state is lost, and so is the connection.
        """
        block = whole if isinstance(whole, bytes) else bytes(whole)
        head = self._remembered.get(block)
        if head is None:
            head = self._repeated.get(block)
        if head is not None:
            return head
        try:
            fields, known = self._fields(block)
        except (IndexError, HuffmanError) as error:
            raise HeaderError(f"header block: {error}") from None
        head = self._build(fields)
        if (
            known is not None
            and len(block) <= _REMEMBERED_BLOCK_BYTES
            and len(fields) <= _REMEMBERED_FIELDS
        ):
            self._remember(known, block, head, len(fields))
        return head

    def _remember(self, known: dict[bytes, Head], block: bytes, head: Head, fields: int) -> None:
        size = _HEAD_OBJECTS + len(block) + _FIELD_OBJECTS * fields
        if known is self._remembered:
            if len(known) >= _REMEMBERED_BLOCKS:
                known.clear()
                self._remembered_bytes = 0
            self._remembered_bytes += size
        else:
            if len(known) >= _REPEATED_BLOCKS:
                known.clear()
                self._repeated_bytes = 0
            self._repeated_bytes += size + _ENTRY_OBJECTS * fields  # its literals are its own
        known[block] = head

    def _fields(self, block: bytes) -> tuple[list[Field], dict[bytes, Head] | None]:
        """The fields, and where to remember what the same block would mean again."""
        fields: list[Field] = []
        known: dict[bytes, Head] | None = self._remembered
        room = self._max_bytes
        position, end = 0, len(block)
        while position < end:
            byte = block[position]
            position += 1
            if byte & 0x80:  # an indexed field
                index = byte & 0x7F
                if index == 0x7F:
                    index, position = _integer(block, position, index)
                field, _, size = self._entry(index)
            elif byte & 0x60 == 0x20:  # an update of the table's size
                if fields:
                    raise HeaderError("header block: table size update after a field")
                capacity = byte & 0x1F
                if capacity == 0x1F:
                    capacity, position = _integer(block, position, capacity)
                self._resize(capacity)
                known = None
                continue
            else:  # a literal field
                if known is not None:
                    known = self._repeated
                mask = 0x3F if byte & 0x40 else 0x0F
                index = byte & mask
                if index:
                    if index == mask:
                        index, position = _integer(block, position, index)
                    (name, _), name_length, _ = self._entry(index)
                else:
                    raw, position = _string(block, position)
                    name_length = len(raw)
                    name = _name(raw) if name_length <= _REMEMBERED_NAME_BYTES else _read_name(raw)
                raw, position = _string(block, position)
                field = (name, _value(name, raw))
                size = _ENTRY_BYTES + name_length + len(raw)
                if byte & 0x40:  # with incremental indexing
                    known = None
                    self._add((field, name_length, size))
            fields.append(field)
            room -= size
            if room < 0:
                raise HeaderError(f"header list of more than {self._max_bytes} bytes")
        return fields, known

    def _entry(self, index: int) -> _Entry:
        if index < _STATIC_LENGTH:
            if index == 0:
                raise HeaderError("header block: index 0")
            return _STATIC[index]
        return self._table[_STATIC_LENGTH - 1 - index]

    def _add(self, entry: _Entry) -> None:
        self._forget()
        self._table.append(entry)  # one that is too large empties the table, itself included
        self._size += entry[2]
        self._evict()

    def _resize(self, capacity: int) -> None:
        if capacity > self._allowed:
            raise HeaderError(f"header table of {capacity} bytes")
        self._capacity = capacity
        self._forget()
        self._evict()

    def _forget(self) -> None:
        self._remembered.clear()
        self._repeated.clear()
        self._remembered_bytes = self._repeated_bytes = 0

    def _evict(self) -> None:
        while self._size > self._capacity:
            self._size -= self._table.popleft()[2]


def _integer(block: bytes, position: int, prefix: int) -> tuple[int, int]:
    """An integer whose prefix was full, and the position behind it."""
    for shift in range(0, 7 * _MAX_INTEGER_BYTES, 7):
        byte = block[position]
        position += 1
        prefix += (byte & 0x7F) << shift
        if byte < 0x80:
            return prefix, position
    raise HeaderError("header block: integer too long")


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    """A string literal, and the position behind it."""
    byte = block[position]
    position += 1
    length = byte & 0x7F
    if length == 0x7F:
        length, position = _integer(block, position, length)
    end = position + length
    if end > len(block):
        raise HeaderError("header block: string cut off")
    raw = block[position:end]
    return (decode_huffman(raw) if byte & 0x80 else raw), end


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")  # legal in HTTP, and no reason to lose the connection


def _read_name(raw: bytes) -> str:
    return _text(raw).lower()


_name = lru_cache(maxsize=256)(_read_name)


def _value(name: str, raw: bytes) -> str:
    if raw[:1] == b"\0" and name.endswith("-bin"):
        # gRPC's C core sends binary metadata unencoded to peers of its own kind, marked by a NUL.
        return base64.b64encode(raw[1:]).rstrip(b"=").decode()
    return _text(raw)
