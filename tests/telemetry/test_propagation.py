"""A caller's trace in other formats than W3C's, by OpenTelemetry's own propagators."""

from __future__ import annotations

from random import Random

import pytest

from sidecar.call import GrpcMetadata, Metadata
from sidecar.tee.metadata import MetadataPolicy
from sidecar.tee.settings import ShadowSettings
from sidecar.telemetry.environment import environment_errors
from sidecar.telemetry.ids import TraceContext
from sidecar.telemetry.plan import plan
from sidecar.telemetry.propagation import Propagation, names_in

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = TraceContext(int(TRACE, 16), int(SPAN, 16), True)
FORMATS: dict[str, Metadata] = {
    "tracecontext": (("traceparent", f"00-{TRACE}-{SPAN}-01"),),
    "b3": (("b3", f"{TRACE}-{SPAN}-1"),),
    "b3multi": (("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "1")),
    "jaeger": (("uber-trace-id", f"{TRACE}:{SPAN}:0:01"),),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_callers_trace_is_read_and_a_shadow_is_told_its_own_in_the_same_format(name: str) -> None:
    propagation = Propagation([name, "baggage"])
    assert propagation.read(FORMATS[name]) == CALLER
    assert propagation.read((("x-tenant", "acme"),)) is None
    written = propagation.write(TraceContext(7, 9, False))
    assert propagation.read(tuple((n, str(v)) for n, v in written)) == TraceContext(7, 9, False)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("sent", FORMATS)
def test_no_shadow_is_told_of_productions_trace_whatever_the_caller_sends(
    name: str, sent: str
) -> None:
    planned = plan(
        FORMATS[sent],
        ("candidate",),
        "comparison",
        draw=0.5,
        agreeing_fraction=0.0,
        draw_bits=Random(1).getrandbits,
        propagation=Propagation([name]),
    )
    if name == sent:
        assert planned.parent == CALLER
    policy = MetadataPolicy(ShadowSettings(name="candidate", address="h:1"))
    metadata = FORMATS[sent]
    out: GrpcMetadata = policy.outgoing(
        planned.metadata_for("candidate", metadata), planned.trace_for("candidate", metadata)
    )
    assert TRACE not in str(out)
    assert planned.shadows["candidate"].trace_hex in str(out)


def test_several_formats_are_read_in_order_and_all_are_written() -> None:
    both = Propagation(["tracecontext", "b3"])
    assert both.read(FORMATS["b3"]) == CALLER
    assert {name for name, _ in both.write(CALLER)} == {"traceparent", "b3"}


def test_none_is_none() -> None:
    off = Propagation(names_in("none"))
    assert off.read(FORMATS["tracecontext"]) is None
    assert off.write(CALLER) == ()


def test_a_name_that_means_nothing_is_an_error_with_what_is_allowed() -> None:
    (error,) = environment_errors({"OTEL_PROPAGATORS": "tracecontext,b4"})
    assert error.startswith("OTEL_PROPAGATORS: 'b4': must be one of b3, b3multi, baggage, jaeger")


@pytest.mark.parametrize("junk", ["", "0", "x" * 9000, f"{TRACE}-{SPAN}", "\x00", f"{TRACE}:0:0:1"])
def test_junk_is_no_trace_and_no_exception(junk: str) -> None:
    for name in FORMATS:
        propagation = Propagation([name])
        for field, _ in (field for fields in FORMATS.values() for field in fields):
            propagation.read(((field, junk), (field, junk)))
