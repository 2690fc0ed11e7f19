"""Pairs over a real socket into a real collector, and into none."""

from __future__ import annotations

import io
import json
import socket
from contextlib import closing
from random import Random

import pytest

from sidecar.call import CallKey, Observation, SkipReason, Started
from sidecar.compare.result import Comparison, Outcome
from sidecar.log import Log
from sidecar.tee.settings import ShadowSettings
from sidecar.telemetry.exporter import SpanCounts
from sidecar.telemetry.pairs import PairSpans
from sidecar.telemetry.plan import Layout
from sidecar.telemetry.settings import TelemetrySettings
from tests.collector import Collector, ReceivedSpan
from tests.telemetry.calls import DIFFERS, EQUAL, METHOD, OFFSET_NS, UPSTREAM, observation

CANDIDATE = ShadowSettings(name="candidate", address="127.0.0.1:9001", version="2")
NOISE = ShadowSettings(name="noise", address="127.0.0.1:9002", role="control")
CALLER_SPAN = "00f067aa0ba902b7"
NOW_NS = 9_000_000


def pair_spans(
    layout: Layout = "comparison",
    *,
    shadows: tuple[ShadowSettings, ...] = (CANDIDATE,),
    fraction: float = 0.0,
    queue_spans: int = 4096,
    log: Log | None = None,
) -> PairSpans:
    settings = TelemetrySettings(traces=layout, agreeing_fraction=fraction, queue_spans=queue_spans)
    spans = PairSpans(settings, shadows, lambda: OFFSET_NS, Random(1), log=log)
    spans.upstream(1, UPSTREAM)
    return spans


def started(number: int, *, sampled: bool = False) -> Started:
    trace = f"{number + 1:032x}"
    return Started(
        key=CallKey(1, 2 * number + 1),
        method=METHOD,
        authority="model",
        metadata=(("traceparent", f"00-{trace}-{CALLER_SPAN}-{sampled:02x}"),),
        peer="10.0.0.7:51234",
        started_ns=1_000_000 * (number + 1),
    )


def tell(
    spans: PairSpans,
    call: Started,
    comparison: Comparison,
    *names: str,
    production: Observation | None = None,
) -> None:
    told = names or ("candidate",)
    plan = spans.plan(call)
    spans.tell(
        call,
        plan,
        production or observation(),
        {name: observation() for name in told},
        dict.fromkeys(told, comparison),
        {},
        now_ns=lambda: NOW_NS,
        sent=dict.fromkeys(told, 1_200_000),
    )


def by_role(spans: list[ReceivedSpan], role: str) -> dict[str, ReceivedSpan]:
    return {span.span_id: span for span in spans if span.role == role}


@pytest.mark.parametrize(("layout", "each"), [("comparison", 4), ("joined", 3)])
def test_every_exported_pair_is_linked_and_each_half_names_the_other(
    collector: Collector, layout: Layout, each: int
) -> None:
    spans = pair_spans(layout)
    for number in range(200):
        tell(spans, started(number, sampled=True), DIFFERS)
    received = collector.spans(at_least=200 * each)
    spans.close()

    assert spans.counts == SpanCounts(exported=200 * each)
    production = by_role(received, "production")
    shadows = by_role(received, "shadow")
    ids = {(span.trace_id, span.span_id): span for span in received}
    assert len(production) == len(shadows) == 200
    for shadow in shadows.values():
        (link,) = shadow.links
        peer = production[link.span_id]
        assert link.trace_id == peer.trace_id
        assert shadow.attributes["shadow.peer.span_id"] == peer.span_id
        assert shadow.attributes["shadow.peer.trace_id"] == peer.trace_id
        assert peer.attributes["shadow.peer.span_id"] == shadow.span_id
        assert peer.attributes["shadow.peer.trace_id"] == shadow.trace_id
        assert (shadow.trace_id == peer.trace_id) is (layout == "joined")
        assert peer.parent_span_id == CALLER_SPAN
        parent = ids[shadow.trace_id, shadow.parent_span_id]
        backwards = [ids[back.trace_id, back.span_id] for back in peer.links]
        assert backwards == ([] if layout == "joined" else [parent])


def test_the_collector_sees_kinds_names_events_and_who_tells(collector: Collector) -> None:
    spans = pair_spans()
    tell(spans, started(0), DIFFERS)
    received = collector.spans(at_least=4)
    spans.close()
    (production,) = by_role(received, "production").values()
    (shadow,) = by_role(received, "shadow").values()
    (whole,) = by_role(received, "comparison").values()
    (mirrored,) = by_role(received, "mirrored").values()
    assert (production.kind, shadow.kind) == ("SERVER", "CLIENT")
    assert production.name == METHOD[1:]
    assert shadow.name == "candidate: value"
    assert whole.name == "ModelInfer: candidate differs (value)"
    assert mirrored.name == "production"
    assert shadow.parent_span_id == mirrored.parent_span_id == whole.span_id
    assert (production.status, shadow.status) == ("UNSET", "UNSET")
    assert production.start_ns == mirrored.start_ns == OFFSET_NS + 1_000_000
    assert production.end_ns == mirrored.end_ns
    assert production.attributes["server.port"] == 9000
    (event,) = shadow.events
    assert event.attributes["shadow.output.name"] == "scores"
    assert event.attributes["shadow.output.max_abs"] == 0.5
    assert shadow.attributes["shadow.outcome"] == "value"
    assert shadow.resource["service.name"] == "shadow-sidecar"
    assert shadow.resource["host.name"]
    assert shadow.resource["shadow.version.candidate"] == "2"
    assert shadow.scope == "shadow-sidecar"


def test_what_agrees_is_exported_only_where_it_was_drawn_or_the_caller_keeps_its_trace(
    collector: Collector,
) -> None:
    spans = pair_spans(fraction=0.0)
    tell(spans, started(0), EQUAL)
    tell(spans, started(1, sampled=True), EQUAL)
    tell(spans, started(2), Comparison(Outcome.SHADOW_ERROR))
    received = collector.spans(at_least=8)
    spans.close()
    productions = by_role(received, "production").values()
    assert {int(span.trace_id, 16) for span in productions} == {2, 3}
    assert spans.counts == SpanCounts(exported=8)


def test_the_shadow_was_sent_the_span_that_the_collector_got(collector: Collector) -> None:
    spans = pair_spans()
    call = started(0)
    plan = spans.plan(call)
    # The connection may end before the shadow has answered.
    spans.gone(1)
    spans.tell(
        call,
        plan,
        observation(),
        {"candidate": observation()},
        {"candidate": DIFFERS},
        {},
        now_ns=lambda: NOW_NS,
        sent={"candidate": 1_200_000},
    )
    (shadow,) = by_role(collector.spans(at_least=4), "shadow").values()
    (production,) = by_role(collector.spans(), "production").values()
    spans.close()
    assert plan.trace_for("candidate", ()) == (
        ("traceparent", f"00-{shadow.trace_id}-{shadow.span_id}-00"),
    )
    assert plan.ids("candidate")["span_id"] == production.span_id
    assert production.attributes["server.address"] == "127.0.0.1"


def test_a_shadow_and_a_control_stand_in_one_comparison(collector: Collector) -> None:
    spans = pair_spans(shadows=(NOISE, CANDIDATE))
    tell(spans, started(0), DIFFERS, "noise", "candidate")
    received = collector.spans(at_least=5)
    spans.close()
    (production,) = by_role(received, "production").values()
    (whole,) = by_role(received, "comparison").values()
    (shadow,) = by_role(received, "shadow").values()
    (control,) = by_role(received, "control").values()
    assert shadow.parent_span_id == control.parent_span_id == whole.span_id
    assert (shadow.name, control.name) == ("candidate: value", "control noise: value")
    assert production.attributes["shadow.peer.span_id"] == shadow.span_id
    assert production.attributes["shadow.peer.noise.span_id"] == control.span_id


def test_a_skipped_call_is_told_where_it_is_sampled(collector: Collector) -> None:
    spans = pair_spans()
    call = started(0, sampled=True)
    skips = {"candidate": SkipReason.EXPIRED}
    plan = spans.plan(call)
    spans.tell(call, plan, observation(), {}, {}, skips, now_ns=lambda: NOW_NS, sent={})
    (production,) = collector.spans(at_least=1)
    spans.close()
    assert production.attributes["shadow.skip_reason"] == "expired"


def lost(spans: PairSpans, call: Started, reason: SkipReason, **sent: int) -> None:
    """A call that production's answer was never seen of."""
    spans.tell(
        call,
        spans.plan(call),
        None,
        {},
        {},
        {"candidate": reason},
        now_ns=lambda: NOW_NS,
        sent=sent,
    )


def test_once_a_copy_was_sent_the_span_that_it_names_is_exported(collector: Collector) -> None:
    spans = pair_spans()
    call = started(0, sampled=True)
    lost(spans, call, SkipReason.CANCELLED, candidate=2_000_000)
    received = collector.spans(at_least=4)
    spans.close()
    (whole,) = by_role(received, "comparison").values()
    (shadow,) = by_role(received, "shadow").values()
    assert whole.name == "ModelInfer: candidate not compared (cancelled)"
    assert shadow.name == "candidate: not compared (cancelled)"
    assert (shadow.start_ns, shadow.end_ns) == (OFFSET_NS + 2_000_000, OFFSET_NS + NOW_NS)
    assert shadow.attributes["shadow.skip_reason"] == "cancelled"
    assert "rpc.response.status_code" not in shadow.attributes
    (mirrored,) = by_role(received, "mirrored").values()
    assert mirrored.name == "production: cancelled"


def test_a_call_that_nobody_was_sent_and_nobody_saw_end_has_no_spans(collector: Collector) -> None:
    spans = pair_spans()
    lost(spans, started(0, sampled=True), SkipReason.CANCELLED)
    lost(spans, started(1), SkipReason.CANCELLED, candidate=2_000_000)  # nobody recorded it
    spans.close()
    assert spans.counts == SpanCounts()


def test_of_each_reason_that_calls_are_refused_for_one_a_second_is_told(
    collector: Collector,
) -> None:
    spans = pair_spans()
    for number in range(1500):  # a millisecond each
        spans.refused(started(number, sampled=True), SkipReason.BREAKER_OPEN)
        lost(spans, started(number, sampled=True), SkipReason.QUEUE_FULL)
        spans.refused(started(number, sampled=True), SkipReason.NOT_SAMPLED)
    received = collector.spans(at_least=4)
    spans.close()
    assert spans.counts == SpanCounts(exported=4)
    assert sorted(span.name for span in received) == [
        "not shadowed (breaker_open)",
        "not shadowed (breaker_open)",
        "not shadowed (queue_full)",
        "not shadowed (queue_full)",
    ]
    for span in received:
        assert span.attributes["shadow.skip_reason"] in span.name
        assert span.parent_span_id == CALLER_SPAN
        assert span.start_ns == span.end_ns


def test_a_production_that_answers_its_own_span_gets_an_internal_one(collector: Collector) -> None:
    spans = pair_spans()
    answer = observation()._replace(headers=(("traceresponse", f"00-{1:032x}-{2:016x}-01"),))
    tell(spans, started(0, sampled=True), DIFFERS)
    tell(spans, started(1, sampled=True), DIFFERS, production=answer)
    tell(spans, started(2, sampled=True), DIFFERS)
    tell(spans, started(3), DIFFERS)  # whose caller does not record, and production neither
    received = collector.spans(at_least=16)
    spans.close()
    kinds = {int(s.trace_id, 16): s.kind for s in by_role(received, "production").values()}
    assert kinds == {1: "SERVER", 2: "INTERNAL", 3: "INTERNAL", 4: "SERVER"}


def test_exemplars_are_of_comparisons_that_can_be_opened(collector: Collector) -> None:
    spans = pair_spans()
    tell(spans, started(0), EQUAL)  # not exported
    tell(spans, started(1), DIFFERS)
    received = collector.spans(at_least=4)
    spans.close()
    (whole,) = by_role(received, "comparison").values()
    assert set(spans.exemplars) == {("candidate", "value")}
    found = spans.exemplars["candidate", "value"]
    assert found.trace_id == whole.trace_id
    assert found.unix_seconds == whole.start_ns / 1e9
    assert found.span_id in {s.span_id for s in received if s.role in {"shadow", "mirrored"}}


def test_without_an_exporter_there_is_no_exemplar_of_a_trace_that_is_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    spans = pair_spans()
    tell(spans, started(1), DIFFERS)
    assert spans.exemplars == {}


def test_with_traces_off_the_callers_trace_goes_on_and_nothing_is_told() -> None:
    spans = pair_spans("off", fraction=1.0)
    told: list[object] = []
    spans.queue.add_sink(told.append)
    call = started(0, sampled=True)
    assert spans.plan(call).trace_for("candidate", call.metadata) == call.metadata
    tell(spans, call, DIFFERS)
    assert told == []
    spans.close()


def test_a_collector_that_is_not_there_costs_spans_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as gone:
        port = gone.getsockname()[1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    out = io.StringIO()
    spans = pair_spans(queue_spans=10, log=Log("observer", out))
    for number in range(1000):
        tell(spans, started(number), DIFFERS)
    assert spans.counts.held <= 10
    assert spans.queue.flush(30.0)
    spans.close()
    counts = spans.counts
    assert (counts.exported, counts.held) == (0, 0)
    assert counts.failed + counts.dropped == 4000
    assert counts.failed > 0
    assert counts.dropped > 0
    assert [json.loads(line)["level"] for line in out.getvalue().splitlines()] == ["warning"]
    assert capfd.readouterr().err == ""


def test_a_collector_that_never_answers_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Accepts connections and says nothing.
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        port = mute.getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        spans = pair_spans()
        tell(spans, started(0), DIFFERS)
        tell(spans, started(1), DIFFERS)
        spans.queue.shutdown(0.5)
        assert spans.queue.flush(30.0)
        assert spans.counts.exported == 0
        assert spans.counts.failed + spans.counts.dropped == 8


def test_spans_flow_again_after_the_collector_was_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = io.StringIO()
    with Collector() as collector:
        for name, value in collector.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        spans = pair_spans(log=Log("observer", out))
        tell(spans, started(0), DIFFERS)
        assert spans.queue.flush(30.0)
        assert spans.counts == SpanCounts(exported=4)
        collector.stop()
        tell(spans, started(1), DIFFERS)
        assert spans.queue.flush(30.0)
        assert spans.counts == SpanCounts(exported=4, failed=4)
        collector.restart()
        # gRPC may wait a moment before it tries the address again; the exporter retries too.
        for number in range(2, 60):
            tell(spans, started(number), DIFFERS)
            assert spans.queue.flush(30.0)
            if spans.counts.exported > 4:
                break
        spans.close()
        assert spans.counts.exported == 8
    levels = [json.loads(line)["level"] for line in out.getvalue().splitlines()]
    assert levels == ["warning", "info"]
