"""How many messages are in a message, found before any of them is made.

Rule: protobuf's parser makes an object of each message inside, which may take fifty times its two
bytes; so those that are far too many are never parsed. Counted from the bytes of the wire format,
which is stepped over field by field, and only where messages can be: numbers and texts that are one
field are one step. A message too short to have that many is not looked at. What is malformed is
left to the parser, which stops there too. Pure. Counterparts: the readers, which parse
through it. Specification: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeVar

from google.protobuf.message import DecodeError, Message

from sidecar.compare.payload import UndecodableError

MAX_MESSAGES: Final = 100_000  # in one message: some ten MiB
MAX_FIELDS: Final = 1_000_000  # stepped over: some tenths of a second
_FREE_BYTES: Final = 2 * MAX_MESSAGES  # a message inside takes two bytes at least

M = TypeVar("M", bound=Message)

Inside: TypeAlias = dict[int, Any]
"""Of a kind of message, the fields that are messages: number to the same of that kind."""


def check(kind: type[Message], message: bytes) -> None:
    """Look before parsing.

    Raises:
        UndecodableError: there are more messages inside, or fields, than anybody would read.
    """
    if len(message) > _FREE_BYTES:
        hashable: Any = kind  # which protobuf's types do not say
        _step_over(_inside_of(hashable), message)


def parse(kind: type[M], message: bytes, of: str) -> M:
    """Look, and parse.

    Args:
        kind: what it is to be.
        message: its bytes.
        of: the protocol's name, for people.

    Raises:
        UndecodableError: too much is inside, or it is no such message.
    """
    check(kind, message)
    try:
        return kind.FromString(message)
    except DecodeError as error:
        raise UndecodableError(f"not a message of {of}") from error


@lru_cache(maxsize=64)
def _inside_of(kind: Any) -> Inside:
    known: dict[str, Inside] = {}
    todo: list[Any] = [kind.DESCRIPTOR]
    known[todo[0].full_name] = {}
    while todo:
        descriptor = todo.pop()
        fields = known[descriptor.full_name]
        for field in descriptor.fields:
            inner = field.message_type
            if inner is None:
                continue
            if inner.full_name not in known:
                known[inner.full_name] = {}
                todo.append(inner)
            fields[field.number] = known[inner.full_name]
    return known[kind.DESCRIPTOR.full_name]


def _step_over(inside: Inside, message: bytes) -> None:
    position, end = 0, len(message)
    above: list[tuple[int, Inside]] = []
    messages = steps = 0
    while True:
        while position >= end:
            if position > end or not above:
                return
            end, inside = above.pop()
        steps += 1
        if steps > MAX_FIELDS:
            raise UndecodableError(f"more than {MAX_FIELDS} fields in one message")
        tag, position = _varint(message, position, end)
        kind = tag & 7
        if kind == 0:
            _, position = _varint(message, position, end)
        elif kind == 1:
            position += 8
        elif kind == 5:
            position += 4
        elif kind == 2:
            length, position = _varint(message, position, end)
            inner = inside.get(tag >> 3)
            if inner is not None:
                messages += 1
            if inner and length and position + length <= end:
                above.append((end, inside))
                end, inside = position + length, inner
            else:
                position += length
        elif kind == 3:  # a group: its fields follow, up to a tag of kind 4
            messages += 1
        elif kind != 4:
            return
        if messages > MAX_MESSAGES:
            raise UndecodableError(f"more than {MAX_MESSAGES} messages in one")


def _varint(message: bytes, position: int, end: int) -> tuple[int, int]:
    """A number, and the position behind it: beyond `end` where there is none."""
    value = shift = 0
    while position < end and shift < 70:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    return 0, end + 1
