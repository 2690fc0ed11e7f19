from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from sidecar.call import Observation, SkipReason
from sidecar.compare.result import Comparison, Outcome, OutputResult
from sidecar.telemetry.plan import Layout, SpanPlan
from sidecar.telemetry.spans import DIFFERENCE_EVENTS, TEXT, Half, SpanBuilder
from tests.telemetry.calls import (
    DIFFERS,
    EQUAL,
    OFFSET_NS,
    STARTED,
    UPSTREAM,
    observation,
    planned,
)

ADDRESS = "127.0.0.1:9001"
CALLER = (("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"),)
RESOURCE = Resource({"service.name": "test"})
ANSWER = observation(started_ns=1_300_000, ended_ns=7_000_000)


def half(
    comparison: Comparison | None = EQUAL,
    name: str = "candidate",
    role: str = "shadow",
    answer: Observation | None = ANSWER,
    skip: SkipReason | None = None,
) -> Half:
    return Half(name, role, ADDRESS, answer, comparison, skip)


def build(
    plan: SpanPlan, *halves: Half, production: Observation | None = None
) -> list[ReadableSpan]:
    builder = SpanBuilder(RESOURCE, lambda: OFFSET_NS)
    return builder.build(plan, STARTED, UPSTREAM, production or observation(), halves)


def context(span: ReadableSpan) -> SpanContext:
    found = span.get_span_context()
    assert found is not None
    return found


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def links(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


def name_of(span: ReadableSpan) -> tuple[int, int]:
    return context(span).trace_id, context(span).span_id


def pair(spans: Sequence[ReadableSpan]) -> tuple[ReadableSpan, ReadableSpan]:
    production, shadow = spans
    return production, shadow


def test_a_joined_shadow_is_productions_child_and_linked_to_it() -> None:
    production, shadow = pair(build(planned(sampled=True), half()))
    assert shadow.parent is not None
    assert (shadow.parent.trace_id, shadow.parent.span_id) == name_of(production)
    assert context(shadow).trace_id == context(production).trace_id
    assert links(shadow) == [name_of(production)]
    # A link into its own trace would draw a circle on Jaeger's page.
    assert links(production) == []


def test_separate_halves_are_roots_that_link_to_each_other() -> None:
    production, shadow = pair(build(planned(layout="separate", sampled=True), half()))
    assert shadow.parent is None
    assert context(shadow).trace_id != context(production).trace_id
    assert links(shadow) == [name_of(production)]
    assert links(production) == [name_of(shadow)]


@pytest.mark.parametrize("layout", ["joined", "separate"])
def test_each_half_names_the_other(layout: Layout) -> None:
    production, shadow = pair(build(planned(layout=layout, sampled=True), half()))
    for one, other in ((production, shadow), (shadow, production)):
        assert attributes(one)["shadow.peer.trace_id"] == f"{context(other).trace_id:032x}"
        assert attributes(one)["shadow.peer.span_id"] == f"{context(other).span_id:016x}"


def test_productions_span_continues_the_callers_trace() -> None:
    production, _ = pair(build(planned(metadata=CALLER), half(DIFFERS)))
    assert production.parent is not None
    assert production.parent.is_remote
    assert f"{production.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert f"{context(production).trace_id:032x}" == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_productions_span_is_a_root_where_there_is_no_caller() -> None:
    production, _ = pair(build(planned(sampled=True), half()))
    assert production.parent is None


def test_production_is_seen_as_a_server_and_the_shadow_by_its_client() -> None:
    production, shadow = pair(build(planned(sampled=True), half()))
    assert (production.kind, shadow.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert production.name == shadow.name == "inference.GRPCInferenceService/ModelInfer"
    assert attributes(production) == {
        "rpc.system.name": "grpc",
        "rpc.method": "inference.GRPCInferenceService/ModelInfer",
        "rpc.response.status_code": "OK",
        "server.address": "127.0.0.1",
        "server.port": 9000,
        "network.peer.address": "10.0.0.7",
        "network.peer.port": 51234,
        "shadow.role": "production",
        "shadow.peer.trace_id": f"{context(shadow).trace_id:032x}",
        "shadow.peer.span_id": f"{context(shadow).span_id:016x}",
    }
    assert attributes(shadow) == {
        "rpc.system.name": "grpc",
        "rpc.method": "inference.GRPCInferenceService/ModelInfer",
        "rpc.response.status_code": "OK",
        "server.address": "127.0.0.1",
        "server.port": 9001,
        "network.peer.address": "127.0.0.1",
        "network.peer.port": 9001,
        "shadow.role": "shadow",
        "shadow.name": "candidate",
        "shadow.peer.trace_id": f"{context(production).trace_id:032x}",
        "shadow.peer.span_id": f"{context(production).span_id:016x}",
        "shadow.outcome": "equal",
        "shadow.agrees": True,
        "shadow.outputs.compared": 1,
        "shadow.outputs.differing": 0,
        "shadow.reader": "open_inference",
        "shadow.model.production": "digits:1",
        "shadow.model.shadow": "digits:2",
    }


def test_times_are_the_wires_and_the_shadows_own_on_one_clock() -> None:
    production, shadow = pair(build(planned(sampled=True), half()))
    assert (production.start_time, production.end_time) == (
        OFFSET_NS + STARTED.started_ns,
        OFFSET_NS + 5_000_000,
    )
    assert (shadow.start_time, shadow.end_time) == (
        OFFSET_NS + 1_300_000,
        OFFSET_NS + 7_000_000,
    )


def test_a_difference_is_an_event_without_values_and_not_an_error() -> None:
    _, shadow = pair(build(planned(), half(DIFFERS)))
    assert shadow.status.status_code is StatusCode.UNSET
    assert attributes(shadow)["shadow.outcome"] == "value"
    assert attributes(shadow)["shadow.agrees"] is False
    assert attributes(shadow)["shadow.outputs.differing"] == 1
    (event,) = shadow.events
    assert event.name == "shadow.difference"
    assert event.timestamp == OFFSET_NS + 7_000_000
    assert dict(event.attributes or {}) == {
        "shadow.output.name": "scores",
        "shadow.output.outcome": "value",
        "shadow.output.rule": "tolerance",
        "shadow.output.score": 0.3,
        "shadow.output.max_abs": 0.5,
        "shadow.output.flips": 1.0,
    }


def test_no_payload_is_on_any_span() -> None:
    for span in build(planned(), half(DIFFERS)):
        assert "secret" not in (span.to_json() or "")


def test_events_have_a_bound_and_the_attribute_counts_all() -> None:
    outputs = tuple(OutputResult(f"o{i}", Outcome.SHAPE, "exact", 1.0) for i in range(100))
    _, shadow = pair(build(planned(), half(Comparison(Outcome.SHAPE, outputs))))
    assert len(shadow.events) == DIFFERENCE_EVENTS
    assert attributes(shadow)["shadow.outputs.differing"] == 100


@pytest.mark.parametrize(
    ("status", "server_error"), [(3, False), (4, True), (7, False), (14, True), (16, False)]
)
def test_a_failed_call_is_an_error_as_its_side_sees_it(status: int, server_error: bool) -> None:
    failed = observation(status, "went wrong")
    same = Comparison(Outcome.BOTH_ERROR_SAME)
    production, shadow = pair(build(planned(), half(same, answer=failed), production=failed))
    assert (production.status.status_code is StatusCode.ERROR) is server_error
    assert ("error.type" in attributes(production)) is server_error
    assert shadow.status.status_code is StatusCode.ERROR
    assert shadow.status.description == "went wrong"
    assert attributes(shadow)["error.type"] == attributes(shadow)["rpc.response.status_code"]


def test_a_servers_long_message_is_cut() -> None:
    failed = observation(13, "x" * 10_000)
    error = Comparison(Outcome.SHADOW_ERROR)
    _, shadow = pair(build(planned(), half(error, answer=failed)))
    assert shadow.status.description == "x" * TEXT


@pytest.mark.parametrize(
    ("comparison", "sampled", "told"),
    [
        (EQUAL, False, False),
        (EQUAL, True, True),
        (DIFFERS, False, True),
        (Comparison(Outcome.SHADOW_ERROR), False, True),
        (Comparison(Outcome.BOTH_ERROR_SAME), False, True),
    ],
)
def test_what_differs_or_fails_is_always_told_and_what_agrees_if_sampled(
    comparison: Comparison, sampled: bool, told: bool
) -> None:
    spans = build(planned(sampled=sampled), half(comparison))
    assert len(spans) == (2 if told else 0)
    assert all(context(span).trace_flags.sampled for span in spans)


def test_a_skipped_call_is_told_on_productions_span_if_sampled() -> None:
    skipped = half(None, answer=None, skip=SkipReason.EXPIRED)
    assert build(planned(), skipped) == []
    (production,) = build(planned(sampled=True), skipped)
    assert attributes(production)["shadow.skip_reason"] == "expired"
    assert "shadow.peer.span_id" not in attributes(production)


def test_an_answer_that_was_not_compared_says_why() -> None:
    production, shadow = pair(build(planned(sampled=True), half(None, skip=SkipReason.CANCELLED)))
    assert attributes(shadow)["shadow.skip_reason"] == "cancelled"
    assert "shadow.outcome" not in attributes(shadow)
    assert attributes(production)["shadow.skip_reason"] == "cancelled"


@pytest.mark.parametrize("layout", ["joined", "separate"])
def test_with_several_receivers_production_names_them_all_the_candidate_first(
    layout: Layout,
) -> None:
    plan = planned("noise", "candidate", layout=layout)
    noise = half(EQUAL, name="noise", role="control")
    production, candidate, control = build(plan, noise, half(DIFFERS))
    assert attributes(candidate)["shadow.role"] == "shadow"
    assert attributes(control)["shadow.role"] == "control"
    told = attributes(production)
    assert told["shadow.peer.span_id"] == f"{context(candidate).span_id:016x}"
    for name, span in (("candidate", candidate), ("noise", control)):
        assert told[f"shadow.peer.{name}.trace_id"] == f"{context(span).trace_id:032x}"
        assert told[f"shadow.peer.{name}.span_id"] == f"{context(span).span_id:016x}"
        assert links(span) == [name_of(production)]
    assert links(production) == (
        [] if layout == "joined" else [name_of(candidate), name_of(control)]
    )
    assert "shadow.skip_reason" not in told


def test_with_traces_off_nothing_is_built() -> None:
    assert build(planned(layout="off", sampled=True), half(DIFFERS)) == []
