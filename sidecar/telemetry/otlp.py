"""Spans as OTLP's protobuf messages, which is what leaves the process. Pure.

Rule: a span is written down once, as the bytes that are sent; what several spans of a call say is
encoded once and put into each, for encoded protobuf messages of one type may be joined
(https://protobuf.dev/programming-guides/encoding/). Counterparts: `spans`, which says what is on
a span; `exporter`, which sends; `tests/telemetry/test_otlp.py`, which reads it all back with the
generated classes.

The SDK's `ReadableSpan` and the generated classes are not used to write: a differing pair cost five
times as much with the first and four times with the second (`benchmarks/bench_spans.py`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

import sidecar
from sidecar.telemetry import rpc
from sidecar.telemetry.ids import TraceContext

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.sdk.resources import Resource

Encoded: TypeAlias = bytes
"""Attributes as they stand in a span's message, to be merged into as many spans as say them."""
EncodedSpan: TypeAlias = bytes

# Field numbers and wire types of opentelemetry/proto/trace/v1/trace.proto and common.proto.
_STRING = b"\x0a"  # AnyValue; a bool is 0x10, an integer 0x18, a double 0x21
_KEY, _VALUE = b"\x0a", b"\x12"  # KeyValue
_TRACE_ID, _SPAN_ID, _PARENT, _NAME, _KIND = b"\x0a", b"\x12", b"\x22", b"\x2a", b"\x30"
_TIMES, _ATTRIBUTE, _EVENT, _LINK = struct.Struct("<BQBQ"), b"\x4a", b"\x5a", b"\x6a"
_STATUS, _FLAGS = b"\x7a", struct.Struct("<BBI")
_EVENT_TIME, _EVENT_NAME, _EVENT_ATTRIBUTE = struct.Struct("<BQ"), b"\x12", b"\x1a"
_FIXED64, _FIXED32 = struct.Struct("<d"), struct.Struct("<BI")

SAMPLED: Final = 0x01
REMOTE_KNOWN, REMOTE = 0x100, 0x200  # of the parent: whether its being remote is known, and is so
_ERROR: Final = b"\x18\x02"  # Status.code


class Kind(IntEnum):
    """A span's kind, as OTLP numbers it."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


@dataclass(frozen=True, slots=True)
class Told:
    """A span's own part. Times are nanoseconds of Unix time."""

    name: str
    kind: Kind
    times_ns: tuple[int, int]
    error: str = ""  # what went wrong, in words
    events: Sequence[bytes] = ()


def encode(attributes: Mapping[str, rpc.Value]) -> Encoded:
    """Encode a span's attributes."""
    return b"".join([_attribute(_ATTRIBUTE, n, value) for n, value in attributes.items()])


@lru_cache(maxsize=512)
def encode_known(items: tuple[tuple[str, rpc.Value], ...]) -> Encoded:
    """The same for attributes of which there are few sets."""
    return encode(dict(items))


def event(name: str, time_ns: int, attributes: Mapping[str, rpc.Value]) -> bytes:
    """Encode an event."""
    said = [_attribute(_EVENT_ATTRIBUTE, n, value) for n, value in attributes.items()]
    time = _EVENT_TIME.pack(0x09, time_ns)
    return b"".join([time, _sized(_EVENT_NAME, name.encode()), *said])


def write(
    told: Told,
    context: TraceContext,
    parent: TraceContext | None,
    said: Encoded,
    *,
    links: Iterable[TraceContext] = (),
    remote: bool = False,
) -> EncodedSpan:
    """Write a span; its times become whole microseconds, its end never earlier than its start.

    Args:
        told: what is its own.
        context: its name. What is exported is sampled, however the call began.
        parent: the span above; None: a root.
        said: its attributes.
        links: other spans to open from here.
        remote: whether `parent` was read off the wire.
    """
    start, end = told.times_ns
    start, end = start // 1000 * 1000, max(start, end) // 1000 * 1000
    flags = SAMPLED | REMOTE_KNOWN
    parts = [
        _names(context),
        _sized(_NAME, _utf8(told.name)),
        _KIND,
        bytes((told.kind,)),
        _TIMES.pack(0x39, start, 0x41, end),
    ]
    if parent is not None:
        parts.append(_sized(_PARENT, parent.span_id.to_bytes(8, "big")))
        flags |= REMOTE if remote else 0
    parts.append(said)
    parts += [_sized(_EVENT, each) for each in told.events]
    parts += [
        _sized(_LINK, _names(linked) + _FIXED32.pack(0x35, SAMPLED | REMOTE_KNOWN))
        for linked in links
    ]
    if told.error:
        parts.append(_sized(_STATUS, _sized(b"\x12", _utf8(told.error)) + _ERROR))
    parts.append(_FLAGS.pack(0x85, 0x01, flags))
    return b"".join(parts)


class Envelope:
    """Who tells; the same for every request."""

    def __init__(self, resource: Resource) -> None:
        """Encode the resource once."""
        said = [
            _attribute(b"\x0a", n, v if isinstance(v, (str, int, float, bool)) else str(v))
            for n, v in resource.attributes.items()
        ]
        self._resource = _sized(b"\x0a", b"".join(said))
        scope = _sized(b"\x0a", b"shadow-sidecar") + _sized(b"\x12", sidecar.__version__.encode())
        self._scope = _sized(b"\x0a", scope)
        self._schema = _sized(b"\x1a", rpc.SCHEMA_URL.encode())

    def request(self, spans: Sequence[EncodedSpan]) -> ExportTraceServiceRequest:
        """What is sent."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        told = b"".join([self._scope, *[_sized(b"\x12", s) for s in spans], self._schema])
        return ExportTraceServiceRequest.FromString(
            _sized(b"\x0a", self._resource + _sized(b"\x12", told))
        )


def _names(context: TraceContext) -> bytes:
    trace, span = context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")
    return b"\x0a\x10" + trace + b"\x12\x08" + span


# Most of what is said has been said before: names, rules, outcomes, models.
@lru_cache(maxsize=4096, typed=True)
def _attribute(tag: bytes, name: str, value: rpc.Value) -> bytes:
    if isinstance(value, str):
        said = value.encode("utf-8", "replace")  # half a character would lose the whole batch
        size = len(said)
        if size < _SHORT:
            any_value = b"%b%b\x0a%b%b" % (_key(name), _BYTES[size + 2], _BYTES[size], said)
        else:
            any_value = _key(name) + _varint(size + 1 + len(_varint(size))) + _sized(_STRING, said)
    elif isinstance(value, bool):
        any_value = _key(name) + (b"\x02\x10\x01" if value else b"\x02\x10\x00")
    elif isinstance(value, int):
        number = _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
        any_value = b"%b%b\x18%b" % (_key(name), _BYTES[len(number) + 1], number)
    else:
        any_value = b"%b\x09\x21%b" % (_key(name), _FIXED64.pack(value))
    size = len(any_value)
    return tag + (_BYTES[size] if size < 128 else _varint(size)) + any_value


@lru_cache(maxsize=1024)
def _key(name: str) -> bytes:
    """A key, and the tag of its value."""
    return _sized(_KEY, _utf8(name)) + _VALUE


def _utf8(said: str) -> bytes:
    # Half a character, which others may send, would lose the whole batch.
    return said.encode("utf-8", "replace")


def _sized(tag: bytes, content: bytes) -> bytes:
    size = len(content)
    return tag + (_BYTES[size] if size < 128 else _varint(size)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


_SHORT: Final = 126  # bytes of text whose size, and that of what it stands in, take one byte
_BYTES: Final = [bytes((n,)) for n in range(128)]
