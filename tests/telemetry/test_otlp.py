"""Our bytes, read by the generated classes."""

from __future__ import annotations

import math
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource

from sidecar.telemetry.ids import TraceContext
from sidecar.telemetry.otlp import Envelope, Kind, Told, encode, event, write

VALUES = st.one_of(
    st.text(max_size=400), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats()
)
CONTEXT = TraceContext(7, 9, True)


def read(attributes: object) -> dict[str, object]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}  # type: ignore[attr-defined]  # of a message


def same(a: object, b: object) -> bool:
    nan = isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
    return type(a) is type(b) and (nan or a == b)


@given(st.dictionaries(st.text(max_size=200), VALUES, max_size=5))
def test_attributes_of_spans_and_events_are_read_as_they_were_said(
    said: dict[str, str | int | float | bool],
) -> None:
    told = Told("a", Kind.CLIENT, (1_000, 2_000), events=[event("e", 5, said)])
    span = Span.FromString(write(told, CONTEXT, None, encode(said)))
    for found in (read(span.attributes), read(span.events[0].attributes)):
        assert found.keys() == said.keys()
        assert all(same(found[name], value) for name, value in said.items())


@given(st.text(max_size=300), st.text(max_size=300), st.integers(0, 2**62), st.sampled_from(Kind))
def test_a_span_is_read_as_it_was_told(name: str, error: str, start: int, kind: Kind) -> None:
    draw = Random(start).getrandbits
    own, above, other = (TraceContext(draw(128), draw(64), False) for _ in range(3))
    told = Told(name, kind, (start, start + 1_999), error)
    span = Span.FromString(write(told, own, above, b"", links=(other, own), remote=True))
    assert (span.name, span.status.message, int(span.kind)) == (name, error, int(kind))
    assert span.status.code == (2 if error else 0)
    assert int.from_bytes(span.trace_id, "big") == own.trace_id
    assert int.from_bytes(span.span_id, "big") == own.span_id
    assert int.from_bytes(span.parent_span_id, "big") == above.span_id
    assert [int.from_bytes(link.span_id, "big") for link in span.links] == [
        other.span_id,
        own.span_id,
    ]
    assert span.start_time_unix_nano == start // 1000 * 1000
    assert span.end_time_unix_nano == (start + 1_999) // 1000 * 1000
    assert span.flags == 0x301


def test_a_request_names_who_tells_and_holds_the_spans_in_order() -> None:
    spans = [write(Told(str(n), Kind.SERVER, (0, 0)), CONTEXT, None, b"") for n in range(300)]
    resource = Resource({"service.name": "s", "n": 3, "list": ("a", "b")})
    request = Envelope(resource).request(spans)
    (of_resource,) = request.resource_spans
    (of_scope,) = of_resource.scope_spans
    assert read(of_resource.resource.attributes) == {
        "service.name": "s",
        "n": 3,
        "list": "('a', 'b')",
    }
    assert of_scope.scope.name == "shadow-sidecar"
    assert of_scope.schema_url.startswith("https://opentelemetry.io/schemas/")
    assert [span.name for span in of_scope.spans] == [str(n) for n in range(300)]
