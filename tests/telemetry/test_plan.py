from __future__ import annotations

from random import Random

import pytest

from sidecar.call import Metadata
from sidecar.telemetry.ids import format_traceparent
from sidecar.telemetry.plan import Layout, SpanPlan, plan

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
SAMPLED = (("traceparent", f"00-{TRACE}-{SPAN}-01"),)
UNSAMPLED = (("traceparent", f"00-{TRACE}-{SPAN}-00"),)


def planned(
    metadata: Metadata = (),
    layout: Layout = "comparison",
    draw: float = 0.5,
    fraction: float = 0.1,
) -> SpanPlan:
    return plan(
        metadata,
        ("candidate", "control"),
        layout,
        draw=draw,
        agreeing_fraction=fraction,
        draw_bits=Random(7).getrandbits,
        upstream="127.0.0.1:9000",
    )


def test_productions_span_is_in_the_callers_trace_below_the_callers_span() -> None:
    it = planned(SAMPLED)
    assert it.parent is not None
    assert it.production is not None
    assert (it.parent.trace_hex, it.parent.span_hex) == (TRACE, SPAN)
    assert it.production.trace_hex == TRACE
    assert it.production.span_hex != SPAN


@pytest.mark.parametrize("metadata", [(), (("traceparent", "nonsense"),)])
def test_productions_span_is_a_root_where_the_caller_has_none(metadata: Metadata) -> None:
    it = planned(metadata)
    assert it.parent is None
    assert it.production is not None


def test_joined_shadows_are_in_productions_trace() -> None:
    it = planned(SAMPLED, "joined")
    assert {context.trace_hex for context in it.shadows.values()} == {TRACE}


@pytest.mark.parametrize(
    ("caller", "layout", "kept"),
    [
        (SAMPLED, "joined", True),
        (SAMPLED, "comparison", False),
        ((), "joined", False),
        (SAMPLED, "off", True),
    ],
)
def test_tracestate_goes_no_further_than_its_trace(
    caller: Metadata, layout: Layout, kept: bool
) -> None:
    others = (*caller, ("x-tenant", "acme"))
    metadata = (("tracestate", "v=1"), *others)
    assert planned(metadata, layout).metadata_for("candidate", metadata) == (
        metadata if kept else others
    )


def test_a_comparison_is_one_trace_of_its_own_for_all_its_shadows() -> None:
    it = planned(SAMPLED, "comparison")
    traces = {context.trace_hex for context in it.shadows.values()}
    assert len(traces) == 1
    assert TRACE not in traces


@pytest.mark.parametrize("layout", ["comparison", "joined"])
def test_all_spans_have_ids_of_their_own(layout: Layout) -> None:
    it = planned((), layout)
    assert it.production is not None
    assert len({it.production.span_id, *(c.span_id for c in it.shadows.values())}) == 3


@pytest.mark.parametrize("layout", ["comparison", "joined"])
def test_a_shadow_is_told_its_own_span_as_parent(layout: Layout) -> None:
    it = planned(SAMPLED, layout)
    for name, context in it.shadows.items():
        assert it.trace_for(name, ()) == (("traceparent", format_traceparent(context)),)


@pytest.mark.parametrize(
    ("metadata", "draw", "fraction", "sampled"),
    [
        ((), 0.09, 0.1, True),
        ((), 0.1, 0.1, False),
        ((), 0.999999, 1.0, True),
        ((), 0.0, 0.0, False),
        (UNSAMPLED, 0.05, 0.1, True),
        (UNSAMPLED, 0.5, 0.1, False),
        (SAMPLED, 0.5, 0.0, True),
    ],
)
def test_an_agreeing_call_is_kept_by_the_draw_or_because_the_caller_keeps_its_trace(
    metadata: Metadata, draw: float, fraction: float, sampled: bool
) -> None:
    it = planned(metadata, draw=draw, fraction=fraction)
    assert it.sampled is sampled
    assert {context.sampled for context in it.shadows.values()} == {sampled}
    assert it.trace_for("candidate", metadata)[0][1][-2:] == ("01" if sampled else "00")


def test_with_traces_off_the_callers_field_goes_on_as_it_is() -> None:
    sent = (("traceparent", "ff-what-ever"), ("b3", "0"), ("x-tenant", "acme"))
    it = planned(sent, "off", draw=0.0, fraction=1.0)
    assert it.trace_for("candidate", sent) == sent[:2]
    assert (it.sampled, it.production, it.ids("candidate")) == (False, None, {})
    assert planned((), "off").trace_for("candidate", ()) == ()


def test_the_ids_for_people_name_both_halves() -> None:
    it = planned(SAMPLED, "comparison")
    shadow = it.shadows["candidate"]
    assert it.production is not None
    assert it.ids("candidate") == {
        "trace_id": TRACE,
        "span_id": it.production.span_hex,
        "shadow_trace_id": shadow.trace_hex,
        "shadow_span_id": shadow.span_hex,
    }
    assert it.ids("unknown") == {}
