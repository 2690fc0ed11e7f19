"""What was written as OTLP, in the SDK's words, for tests to read."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags


def readable(encoded: bytes) -> ReadableSpan:
    """Read a span's bytes."""
    span = Span.FromString(encoded)
    parent = None
    if span.parent_span_id:
        parent = _context(span.trace_id, span.parent_span_id, remote=bool(span.flags & 0x200))
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id),
        parent=parent,
        attributes=_plain(span.attributes),
        events=[Event(e.name, _plain(e.attributes), e.time_unix_nano) for e in span.events],
        links=[Link(_context(link.trace_id, link.span_id)) for link in span.links],
        kind=SpanKind(span.kind - 1),
        status=Status(StatusCode(span.status.code), span.status.message or None),
        start_time=span.start_time_unix_nano,
        end_time=span.end_time_unix_nano,
    )


def _context(trace_id: bytes, span_id: bytes, *, remote: bool = False) -> SpanContext:
    return SpanContext(
        int.from_bytes(trace_id, "big"),
        int.from_bytes(span_id, "big"),
        remote,
        TraceFlags(TraceFlags.SAMPLED),
    )


def _plain(attributes: Any) -> dict[str, Any]:
    found = {}
    for pair in attributes:
        assert pair.key not in found, f"said twice: {pair.key}"
        found[pair.key] = getattr(pair.value, pair.value.WhichOneof("value"))
    return found
