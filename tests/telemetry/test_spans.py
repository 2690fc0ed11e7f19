from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from sidecar.call import Observation, SkipReason
from sidecar.compare.result import Comparison, Outcome, OutputResult
from sidecar.status import STATUS_NAMES
from sidecar.telemetry.attributes import DIFFERENCE_EVENTS, TEXT
from sidecar.telemetry.finished import Copy, Finished
from sidecar.telemetry.plan import Layout, SpanPlan
from sidecar.telemetry.spans import SpanBuilder
from sidecar.telemetry.words import METHODS
from tests.telemetry.calls import (
    CALLER,
    DIFFERS,
    EQUAL,
    OFFSET_NS,
    STARTED,
    observation,
    planned,
)
from tests.telemetry.readable import readable

ADDRESS = "127.0.0.1:9001"
RECORDING = (("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),)
ANSWER = observation(started_ns=1_300_000, ended_ns=7_000_000)


def a_copy(
    comparison: Comparison | None = EQUAL,
    name: str = "candidate",
    role: str = "shadow",
    answer: Observation | None = ANSWER,
    skip: SkipReason | None = None,
) -> Copy:
    return Copy(name, role, ADDRESS, answer, comparison, skip)


def build(
    plan: SpanPlan,
    *copies: Copy,
    production: Observation | None = None,
    workload: str = "digits",
    **more: Any,
) -> list[ReadableSpan]:
    builder = SpanBuilder(lambda: OFFSET_NS, Random(2).getrandbits, workload)
    ordered = sorted(copies, key=lambda copy: copy.role != "shadow")
    answer = production or observation()
    finished = Finished(STARTED, plan, answer, ordered, 9_000_000, **more)
    return [readable(span) for span in builder.build(finished)]


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
    """Production's own span and the one shadow's."""
    production, *_, shadow = spans
    return production, shadow


def test_a_comparison_is_a_trace_of_its_own_linked_both_ways() -> None:
    production, whole, mirrored, shadow = build(planned(sampled=True), a_copy())
    assert production.parent is whole.parent is None
    assert context(whole).trace_id != context(production).trace_id
    for span in (mirrored, shadow):
        assert span.parent is not None
        assert (span.parent.trace_id, span.parent.span_id) == name_of(whole)
        assert links(span) == [name_of(production)]
    assert links(production) == [name_of(whole)]
    # Jaeger's page calls a root "Incomplete" whose first reference is in another trace.
    assert links(whole) == []
    assert (mirrored.start_time, mirrored.end_time) == (production.start_time, production.end_time)


def test_a_joined_shadow_is_consumed_from_a_producer_below_production() -> None:
    production, copy, shadow = build(planned(layout="joined", sampled=True), a_copy())
    assert copy.parent is not None
    assert shadow.parent is not None
    assert (copy.parent.trace_id, copy.parent.span_id) == name_of(production)
    assert (shadow.parent.trace_id, shadow.parent.span_id) == name_of(copy)
    assert (copy.kind, shadow.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert copy.name == "copy to candidate"
    assert production.start_time is not None
    assert production.end_time is not None
    assert copy.start_time is not None
    assert production.start_time <= copy.start_time <= production.end_time
    assert links(shadow) == [name_of(production)]
    # A link into its own trace would draw a circle on Jaeger's page.
    assert links(production) == []


@pytest.mark.parametrize("layout", ["comparison", "joined"])
def test_each_half_names_the_other(layout: Layout) -> None:
    production, shadow = pair(build(planned(layout=layout, sampled=True), a_copy()))
    for one, other in ((production, shadow), (shadow, production)):
        assert attributes(one)["shadow.peer.trace_id"] == f"{context(other).trace_id:032x}"
        assert attributes(one)["shadow.peer.span_id"] == f"{context(other).span_id:016x}"


@pytest.mark.parametrize(
    ("found", "status", "production", "name", "whole"),
    [
        (EQUAL, 0, 0, "candidate: equal", "digits: candidate agrees"),
        (DIFFERS, 0, 0, "candidate: value", "digits: candidate differs (value)"),
        (
            Comparison(Outcome.SHADOW_ERROR),
            14,
            0,
            "candidate: failed (UNAVAILABLE)",
            "digits: candidate failed (UNAVAILABLE)",
        ),
        (
            Comparison(Outcome.SHADOW_ERROR),
            4,
            0,
            "candidate: timed out",
            "digits: candidate timed out",
        ),
        (
            Comparison(Outcome.PRODUCTION_ERROR),
            0,
            13,
            "candidate: production_error",
            "digits: production failed (INTERNAL), candidate did not",
        ),
        (
            Comparison(Outcome.BOTH_ERROR_SAME),
            3,
            3,
            "candidate: failed (INVALID_ARGUMENT)",
            "digits: production and candidate failed alike (INVALID_ARGUMENT)",
        ),
        (
            Comparison(Outcome.BOTH_ERROR_OTHER),
            3,
            5,
            "candidate: failed (INVALID_ARGUMENT)",
            "digits: production and candidate failed differently",
        ),
    ],
)
def test_names_tell_what_became_of_the_call(
    found: Comparison, status: int, production: int, name: str, whole: str
) -> None:
    spans = build(
        planned(sampled=True),
        a_copy(found, answer=ANSWER._replace(status=status)),
        production=observation(production),
    )
    assert [span.name for span in spans[1:]] == [
        whole,
        f"production: failed ({STATUS_NAMES[production]})" if production else "production",
        name,
    ]


def test_a_whole_call_is_named_after_its_worst_shadow_and_not_after_a_control() -> None:
    plan = planned("a", "b", "noise", sampled=True)
    failed = Comparison(Outcome.SHADOW_ERROR)
    spans = build(
        plan,
        a_copy(failed, "noise", "control", ANSWER._replace(status=14)),
        a_copy(EQUAL, "a"),
        a_copy(DIFFERS, "b"),
    )
    assert [span.name for span in spans[1:]] == [
        "digits: b differs (value)",
        "production",
        "a: equal",
        "b: value",
        "control noise: failed (UNAVAILABLE)",
    ]


def test_without_a_workload_the_method_names_the_call_and_methods_have_a_bound() -> None:
    builder = SpanBuilder(lambda: 0, Random(1).getrandbits)
    names = set()
    for number in range(200):
        call = STARTED._replace(method=f"/made.Up/Method{number}")
        finished = Finished(call, planned(sampled=True), observation(), [a_copy()], 9_000_000)
        names |= {readable(span).name for span in builder.build(finished)}
    assert "Method0: candidate agrees" in names
    assert "_OTHER: candidate agrees" in names
    assert len(names) == 2 * (METHODS + 1) + 2


def test_the_queues_wait_is_a_bar_and_a_figure() -> None:
    late = ANSWER._replace(started_ns=4_200_000)
    *_, queued, shadow = build(planned(sampled=True), a_copy(answer=late))
    assert queued.name == "candidate: queued"
    assert (queued.start_time, queued.end_time) == (OFFSET_NS + 1_200_000, shadow.start_time)
    assert attributes(shadow)["shadow.queue.wait_ms"] == 3.0


def test_events_stay_inside_of_their_span_when_jaeger_cuts_to_microseconds() -> None:
    for odd in range(0, 3000, 7):
        answer = ANSWER._replace(started_ns=1_300_000 + odd, ended_ns=7_000_000 + 3 * odd)
        _, shadow = pair(build(planned(), a_copy(DIFFERS, answer=answer)))
        assert shadow.start_time is not None
        assert shadow.end_time is not None
        start, duration = shadow.start_time // 1000, (shadow.end_time - shadow.start_time) // 1000
        for event in shadow.events:
            assert start <= event.timestamp // 1000 <= start + duration


def test_the_first_three_differences_can_be_read_and_searched_for_in_attributes() -> None:
    outputs = tuple(
        OutputResult(f"o{i}", Outcome.VALUE, "cosine", 0.5, allowed=0.1) for i in range(5)
    )
    spans = build(planned(), a_copy(Comparison(Outcome.VALUE, outputs)))
    for span in (spans[1], spans[-1]):
        told = attributes(span)
        assert told["shadow.difference.3.output"] == "o2"
        assert told["shadow.difference.3.outcome"] == "value"
        assert told["shadow.difference.3.rule"] == "cosine"
        assert told["shadow.difference.3.magnitude"] == 0.5
        assert told["shadow.difference.3.allowed"] == 0.1
        assert "shadow.difference.4.output" not in told


def test_a_call_is_found_by_its_id_slice_and_page_and_its_sizes_are_told() -> None:
    spans = build(
        planned(sampled=True),
        a_copy(),
        request_bytes=7,
        correlation_id="order-4711",
        slices=(("region", "eu"),),
        page_url="http://here:9095/",
    )
    trace = f"{context(spans[0]).trace_id:032x}"
    for span in (spans[0], spans[1], spans[-1]):
        told = attributes(span)
        assert told["shadow.correlation_id"] == "order-4711"
        assert told["shadow.slice.region"] == "eu"
        assert told["shadow.request.bytes"] == 7
        assert told["shadow.url"] == f"http://here:9095/call/{trace}"
    assert attributes(spans[-1])["shadow.response.bytes"] == len(b"secret payload")


def test_below_a_caller_that_records_nothing_no_span_is_left_without_its_parent() -> None:
    production, _ = pair(build(planned(metadata=CALLER), a_copy(DIFFERS)))
    assert production.parent is None
    assert f"{context(production).trace_id:032x}" == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_productions_span_continues_the_callers_trace() -> None:
    production, _ = pair(build(planned(metadata=RECORDING), a_copy(DIFFERS)))
    assert production.parent is not None
    assert production.parent.is_remote
    assert f"{production.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert f"{context(production).trace_id:032x}" == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_call_that_came_without_a_trace_has_one_and_production_stands_in_it_once() -> None:
    whole, production, shadow = build(planned(metadata=(), sampled=True), a_copy())
    assert {context(span).trace_id for span in (whole, production, shadow)} == {
        context(whole).trace_id
    }
    assert whole.parent is None
    for span in (production, shadow):
        assert span.parent is not None
        assert span.parent.span_id == context(whole).span_id
        assert links(span) == []  # into its own trace it would lead in a circle
    assert (production.name, production.kind) == ("production", SpanKind.SERVER)
    assert attributes(whole)["shadow.peer.span_id"] == f"{context(production).span_id:016x}"
    assert attributes(shadow)["shadow.peer.span_id"] == f"{context(production).span_id:016x}"
    assert attributes(production)["shadow.peer.span_id"] == f"{context(shadow).span_id:016x}"


def test_an_unsampled_callers_trace_can_be_left_alone() -> None:
    for layout, each in (("comparison", 3), ("joined", 3)):
        left = planned(layout=layout, follow_unsampled=False)  # type: ignore[arg-type]  # both are
        spans = build(left, a_copy(DIFFERS))
        assert len(spans) == each
        theirs = "4bf92f3577b34da6a3ce929d0e0e4736"
        assert theirs not in {f"{context(span).trace_id:032x}" for span in spans}
        assert attributes(spans[0])["shadow.caller.trace_id"] == theirs


@pytest.mark.parametrize("layout", ["comparison", "joined"])
def test_beside_productions_own_span_ours_has_no_length_and_no_error(layout: Layout) -> None:
    failed = observation(13)
    found = a_copy(Comparison(Outcome.PRODUCTION_ERROR))
    plan = planned(layout=layout, metadata=RECORDING)
    production, *_ = build(plan, found, production=failed, instrumented=True)
    assert production.kind is SpanKind.INTERNAL
    assert production.start_time == production.end_time == OFFSET_NS + STARTED.started_ns
    assert production.status.status_code is StatusCode.UNSET
    assert production.name == "shadowed: production failed (INTERNAL), candidate did not"


def test_a_difference_is_told_in_a_sentence_with_what_is_allowed() -> None:
    raw = {"max_abs": 0.8, "max_rel": 40.0, "nothing": 0.0}
    output = OutputResult("p", Outcome.VALUE, "tolerance", 1.0, raw, 0.0, {"atol": 0.001})
    _, whole, *_ = build(planned(), a_copy(Comparison(Outcome.VALUE, (output,))))
    assert attributes(whole)["shadow.difference.1"] == (
        "p: value by tolerance: max_abs 0.8, max_rel 40; allowed: atol 0.001"
    )
    shape = OutputResult("p", Outcome.SHAPE, "tolerance", 1.0, forms="FP32 [5] against FP32 [4]")
    _, whole, *_ = build(planned(), a_copy(Comparison(Outcome.SHAPE, (shape,))))
    assert attributes(whole)["shadow.difference.1"] == "p: shape: FP32 [5] against FP32 [4]"


def test_what_the_control_answered_tells_noise_from_a_difference() -> None:
    plan = planned("candidate", "noise")
    spans = build(plan, a_copy(DIFFERS), a_copy(EQUAL, "noise", "control"))
    for span in (spans[0], spans[1], spans[-1]):
        assert attributes(span)["shadow.control.outcome"] == "equal"
        assert attributes(span)["shadow.control.agrees"] is True
    assert "shadow.control.outcome" not in attributes(build(planned(), a_copy(DIFFERS))[0])


def test_the_other_half_can_be_opened_by_its_url() -> None:
    url = "http://jaeger/trace/{trace_id}"
    production, whole, mirrored, shadow = build(planned(), a_copy(DIFFERS), trace_url=url)
    theirs, ours = context(production).trace_id, context(shadow).trace_id
    assert attributes(production)["shadow.peer.url"] == f"http://jaeger/trace/{ours:032x}"
    for span in (whole, mirrored, shadow):
        assert attributes(span)["shadow.peer.url"] == f"http://jaeger/trace/{theirs:032x}"


def test_who_of_several_was_not_compared_is_told_by_name() -> None:
    skipped = Copy("b", "shadow", ADDRESS, skip=SkipReason.QUEUE_FULL)
    production, whole, *_ = build(planned("candidate", "b"), a_copy(DIFFERS), skipped)
    for span in (production, whole):
        assert attributes(span)["shadow.skip_reason.b"] == "queue_full"
        assert "shadow.skip_reason" not in attributes(span)


def test_version_and_verdict_stand_on_the_shadow() -> None:
    judged = replace(a_copy(DIFFERS), version="2.1", verdict="WATCHING")
    _, whole, _, shadow = build(planned(), judged)
    assert attributes(shadow)["shadow.version"] == "2.1"
    assert attributes(shadow)["shadow.verdict"] == attributes(whole)["shadow.verdict"] == "WATCHING"


def test_text_that_is_no_unicode_does_not_lose_its_batch() -> None:
    call = STARTED._replace(method="/half\udce9")
    answer = ANSWER._replace(status=13, detail="\udcff and \x00 and <script>\n")
    builder = SpanBuilder(lambda: 0, Random(1).getrandbits)
    found = a_copy(Comparison(Outcome.SHADOW_ERROR), answer=answer)
    finished = Finished(call, planned(), observation(), [found], 9, correlation_id="\ud800")
    spans = [readable(span) for span in builder.build(finished)]
    assert spans[-1].status.description == "INTERNAL: ? and \x00 and <script>\n"
    assert attributes(spans[0])["shadow.correlation_id"] == "?"


def test_production_is_seen_as_a_server_and_the_shadow_by_its_client() -> None:
    production, shadow = pair(build(planned(sampled=True), a_copy()))
    assert (production.kind, shadow.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert production.name == "inference.GRPCInferenceService/ModelInfer"
    assert attributes(production) == {
        "rpc.system.name": "grpc",
        "rpc.method": "inference.GRPCInferenceService/ModelInfer",
        "rpc.response.status_code": "OK",
        "server.address": "127.0.0.1",
        "server.port": 9000,
        "network.peer.address": "10.0.0.7",
        "network.peer.port": 51234,
        "service.peer.name": "digits",
        "shadow.name": "candidate",
        "shadow.outcome": "equal",
        "shadow.agrees": True,
        "shadow.request.bytes": 0,
        "shadow.response.bytes": 14,
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
        "service.peer.name": "candidate",
        "shadow.request.bytes": 0,
        "shadow.response.bytes": 14,
        "shadow.queue.wait_ms": 0.1,
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
    production, shadow = pair(build(planned(sampled=True), a_copy()))
    assert (production.start_time, production.end_time) == (
        OFFSET_NS + STARTED.started_ns,
        OFFSET_NS + 5_000_000,
    )
    assert (shadow.start_time, shadow.end_time) == (
        OFFSET_NS + 1_300_000,
        OFFSET_NS + 7_000_000,
    )


def test_a_difference_is_an_event_without_values_and_not_an_error() -> None:
    _, shadow = pair(build(planned(), a_copy(DIFFERS)))
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
        "shadow.output.allowed": 0.0,
        "shadow.output.max_abs": 0.5,
        "shadow.output.flips": 1.0,
    }


def test_no_payload_is_on_any_span() -> None:
    for span in build(planned(), a_copy(DIFFERS)):
        assert "secret" not in (span.to_json() or "")


def test_events_have_a_bound_and_the_attribute_counts_all() -> None:
    outputs = tuple(OutputResult(f"o{i}", Outcome.SHAPE, "exact", 1.0) for i in range(100))
    _, shadow = pair(build(planned(), a_copy(Comparison(Outcome.SHAPE, outputs))))
    assert len(shadow.events) == DIFFERENCE_EVENTS
    assert attributes(shadow)["shadow.outputs.differing"] == 100


@pytest.mark.parametrize(
    ("status", "server_error"), [(3, False), (4, True), (7, False), (14, True), (16, False)]
)
def test_a_failed_call_is_an_error_as_its_side_sees_it(status: int, server_error: bool) -> None:
    failed = observation(status, "went wrong")
    same = Comparison(Outcome.BOTH_ERROR_SAME)
    production, shadow = pair(build(planned(), a_copy(same, answer=failed), production=failed))
    assert (production.status.status_code is StatusCode.ERROR) is server_error
    assert ("error.type" in attributes(production)) is server_error
    assert shadow.status.status_code is StatusCode.ERROR
    assert shadow.status.description == f"{STATUS_NAMES[status]}: went wrong"
    assert attributes(shadow)["error.type"] == attributes(shadow)["rpc.response.status_code"]


def test_a_servers_long_message_is_cut() -> None:
    failed = observation(13, "x" * 10_000)
    error = Comparison(Outcome.SHADOW_ERROR)
    _, shadow = pair(build(planned(), a_copy(error, answer=failed)))
    assert shadow.status.description == "INTERNAL: " + "x" * TEXT


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
    spans = build(planned(sampled=sampled), a_copy(comparison))
    assert len(spans) == (4 if told else 0)
    assert all(context(span).trace_flags.sampled for span in spans)


def test_a_skipped_call_is_told_on_productions_span_if_sampled() -> None:
    skipped = a_copy(None, answer=None, skip=SkipReason.EXPIRED)
    assert build(planned(), skipped) == []
    (production,) = build(planned(sampled=True), skipped)
    assert attributes(production)["shadow.skip_reason"] == "expired"
    assert "shadow.peer.span_id" not in attributes(production)


def test_an_answer_that_was_not_compared_says_why() -> None:
    production, shadow = pair(build(planned(sampled=True), a_copy(None, skip=SkipReason.CANCELLED)))
    assert attributes(shadow)["shadow.skip_reason"] == "cancelled"
    assert "shadow.outcome" not in attributes(shadow)
    assert attributes(production)["shadow.skip_reason"] == "cancelled"


@pytest.mark.parametrize("layout", ["comparison", "joined"])
def test_with_several_receivers_production_names_them_all_the_candidate_first(
    layout: Layout,
) -> None:
    plan = planned("noise", "candidate", layout=layout)
    noise = a_copy(EQUAL, name="noise", role="control")
    spans = build(plan, noise, a_copy(DIFFERS))
    production = spans[0]
    candidate, control = [s for s in spans if attributes(s).get("shadow.reader")][-2:]
    assert attributes(candidate)["shadow.role"] == "shadow"
    assert attributes(control)["shadow.role"] == "control"
    told = attributes(production)
    assert told["shadow.peer.span_id"] == f"{context(candidate).span_id:016x}"
    for name, span in (("candidate", candidate), ("noise", control)):
        assert told[f"shadow.peer.{name}.trace_id"] == f"{context(span).trace_id:032x}"
        assert told[f"shadow.peer.{name}.span_id"] == f"{context(span).span_id:016x}"
        assert links(span) == [name_of(production)]
    assert "shadow.skip_reason" not in told


def test_with_traces_off_nothing_is_built() -> None:
    assert build(planned(layout="off", sampled=True), a_copy(DIFFERS)) == []
