"""Exported spans under the rules of Jaeger's own page, in every state a call can end in."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sidecar.call import CallKey, Observation, SkipReason, Started
from sidecar.compare.result import Comparison, Outcome
from sidecar.tee.settings import ShadowSettings
from sidecar.telemetry import attributes as say
from sidecar.telemetry.otlp import Kind
from sidecar.telemetry.pairs import PairSpans
from sidecar.telemetry.plan import Layout, SpanPlan
from sidecar.telemetry.settings import TelemetrySettings
from sidecar.telemetry.spans import SpanBuilder
from tests.collector import Collector
from tests.telemetry.calls import DIFFERS, EQUAL, METHOD, OFFSET_NS, UPSTREAM, observation
from tests.telemetry.jaeger import Trace, dependencies, faults, traces

SHADOWS = (
    ShadowSettings(name="noise", address="127.0.0.1:9004", role="control"),
    ShadowSettings(name="a", address="127.0.0.1:9001"),
    ShadowSettings(name="b", address="127.0.0.1:9002"),
    ShadowSettings(name="c", address="127.0.0.1:9003"),
)
# Far longer than production took, and not a whole microsecond.
SLOW = observation(started_ns=1_200_900, ended_ns=900_000_100)
FAILED = Comparison(Outcome.SHADOW_ERROR)


class Stand:
    """A traced client, production, a traced candidate, and the sidecar's spans between."""

    def __init__(self, collector: Collector, layout: Layout) -> None:
        settings = TelemetrySettings(traces=layout, agreeing_fraction=0.0, workload="digits")
        self.spans = PairSpans(settings, SHADOWS, lambda: OFFSET_NS, Random(1))
        self.spans.upstream(1, UPSTREAM)
        self.calls = 0
        self._providers: list[TracerProvider] = []
        self._client = self._tracer("shop", collector)
        self._candidate = self._tracer("digits", collector)

    def _tracer(self, service: str, collector: Collector) -> trace.Tracer:
        provider = TracerProvider(
            resource=Resource({"service.name": service}), shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(endpoint=collector.endpoint, insecure=True)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        self._providers.append(provider)
        return provider.get_tracer("test")

    def call(
        self,
        found: dict[str, tuple[Comparison, Observation]],
        *,
        production: Observation | None = None,
        skipped: SkipReason | None = None,
        sampled: bool = True,
    ) -> SpanPlan:
        """One call; a candidate whose trace is recorded sends its own span."""
        self.calls += 1
        span = self._client.start_span(
            "checkout", kind=SpanKind.CLIENT, start_time=OFFSET_NS + 900_000
        )
        context = span.get_span_context()
        span.end(OFFSET_NS + 5_100_000)
        trace_id = context.trace_id if sampled else context.trace_id ^ 1  # of another, unrecorded
        field = f"00-{trace_id:032x}-{context.span_id:016x}-{sampled:02x}"
        metadata = (("traceparent", field),)
        call = Started(CallKey(1, self.calls), METHOD, "m", metadata, "10.0.0.7:5", 1_000_001)
        plan = self.spans.plan(call)
        for name in found or ({"a"} if skipped else {}):
            self._serve(str(dict(plan.trace_for(name, ()))["traceparent"]))
        answer = None if skipped else production or observation(ended_ns=5_000_999)
        self.spans.tell(
            call,
            plan,
            answer,
            {name: answered for name, (_, answered) in found.items()},
            {name: comparison for name, (comparison, _) in found.items()},
            {} if skipped is None else {s.name: skipped for s in SHADOWS},
            now_ns=lambda: 7_000_000,
            sent=dict.fromkeys(found or {"a"}, 1_200_000),
        )
        return plan

    def _serve(self, traceparent: str) -> None:
        given = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
        span = self._candidate.start_span(
            METHOD[1:], given, SpanKind.SERVER, start_time=OFFSET_NS + 1_300_000
        )
        span.end(OFFSET_NS + 1_400_000)

    def close(self) -> None:
        self.spans.close()
        for provider in self._providers:
            provider.shutdown()


def every_state(stand: Stand) -> None:
    """The calls that somebody may come to look at."""
    quick = observation(ended_ns=4_000_001)
    stand.call({"a": (EQUAL, quick)})
    stand.call({"a": (DIFFERS, SLOW)})
    stand.call({"a": (FAILED, observation(14, "refused"))})
    stand.call({"a": (FAILED, SLOW._replace(status=4))})
    broken = observation(13, "broken", ended_ns=5_000_999)
    stand.call({"a": (Comparison(Outcome.PRODUCTION_ERROR), quick)}, production=broken)
    stand.call(
        {"a": (EQUAL, quick), "b": (DIFFERS, SLOW), "c": (EQUAL, SLOW), "noise": (EQUAL, SLOW)}
    )
    stand.call({}, skipped=SkipReason.CANCELLED)
    stand.call({"a": (DIFFERS, SLOW)}, sampled=False)


@pytest.mark.parametrize("layout", ["comparison", "joined"])
def test_no_call_breaks_a_rule_of_jaegers_page(collector: Collector, layout: Layout) -> None:
    stand = Stand(collector, layout)
    every_state(stand)
    stand.close()
    exported = stand.spans.counts.exported
    # The client's own and, for all shadows that were sent a recorded copy, the candidate's.
    received = collector.spans(at_least=exported + 8 + 10)
    assert faults(received) == set()
    assert sum(len(span.events) for span in received) == 3

    called = [t for t in traces(received).values() if any(s.role == "production" for s in t.spans)]
    assert len(called) == 8
    for shown in called:
        path = shown.critical_path(shown.roots[0])
        assert path[-1].role == "production"
        if layout == "comparison":
            assert len(shown.spans) == (2 if shown.roots[0].name == "checkout" else 1)
            assert all(span.name != "a: value" for span in shown.spans)


def _late_events(patch: pytest.MonkeyPatch) -> None:
    right = say.differences
    patch.setattr(say, "differences", lambda copy, at: right(copy, at + 2_000))


def _production_links_into_its_own_trace(patch: pytest.MonkeyPatch) -> None:
    right = SpanBuilder._production

    def wrong(self: SpanBuilder, call: Any, _: object) -> bytes:
        return right(self, call, call.finished.plan.shadows["a"])

    patch.setattr(SpanBuilder, "_production", wrong)


def _without(place: int) -> Callable[[pytest.MonkeyPatch], None]:
    def broken(patch: pytest.MonkeyPatch) -> None:
        right = SpanBuilder.build

        def wrong(self: SpanBuilder, finished: Any) -> list[bytes]:
            spans = right(self, finished)
            return spans[:place] + spans[place + 1 :]

        patch.setattr(SpanBuilder, "build", wrong)

    return broken


def _shadow_below_production(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: SpanBuilder, call: Any, copy: Any) -> list[bytes]:
        return [self._shadow(call, copy, call.own, Kind.CLIENT)]

    patch.setattr(SpanBuilder, "_joined", wrong)


def _a_client_below_a_producer(patch: pytest.MonkeyPatch) -> None:
    right = SpanBuilder._shadow

    def wrong(self: SpanBuilder, call: Any, copy: Any, parent: Any, _: Kind) -> bytes:
        return right(self, call, copy, parent, Kind.CLIENT)

    patch.setattr(SpanBuilder, "_shadow", wrong)


@pytest.mark.interpreted
@pytest.mark.parametrize(
    ("layout", "defect", "rule"),
    [
        ("comparison", _late_events, "event outside"),
        ("joined", _production_links_into_its_own_trace, "circle"),
        ("comparison", _without(1), "orphan"),
        ("comparison", _without(0), "link to nowhere"),
        ("comparison", _without(1), "no single root"),
        ("joined", _shadow_below_production, "shadow on the critical path"),
        ("joined", _a_client_below_a_producer, "unconsumed"),
    ],
)
def test_each_rule_is_broken_by_the_defect_that_it_stands_for(
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    layout: Layout,
    defect: Callable[[pytest.MonkeyPatch], None],
    rule: str,
) -> None:
    defect(monkeypatch)
    stand = Stand(collector, layout)
    stand.call({"a": (DIFFERS, SLOW)})
    stand.call({"a": (DIFFERS, SLOW)}, sampled=False)  # production's span is a root
    stand.close()
    received = collector.spans(at_least=stand.spans.counts.exported + 3)
    assert rule in faults(received)


def test_the_candidates_own_spans_stand_below_its_bar(collector: Collector) -> None:
    stand = Stand(collector, "comparison")
    plan = stand.call({"a": (DIFFERS, SLOW)})
    stand.close()
    received = collector.spans(at_least=6)
    shown = Trace(s for s in received if s.trace_id == plan.shadows["a"].trace_hex)
    (own,) = (s for s in shown.spans if s.resource["service.name"] == "digits")
    above = shown.parent(own)
    assert above is not None
    assert above.name == "a: value"
    assert shown.roots[0].name == "digits: a differs (value)"


def test_a_call_is_counted_once_for_whoever_made_it(collector: Collector) -> None:
    stand = Stand(collector, "comparison")
    for _ in range(15):
        stand.call({"a": (DIFFERS, SLOW)})
    stand.close()
    received = collector.spans(at_least=15 * 6)
    assert dependencies(received) == {
        ("shop", "shadow-sidecar"): 15,
        ("shadow-sidecar", "digits"): 15,
    }


def test_a_name_is_one_of_a_few_and_tells_two_traces_apart(collector: Collector) -> None:
    stand = Stand(collector, "comparison")
    for _ in range(3):
        every_state(stand)
    stand.close()
    received = collector.spans(at_least=stand.spans.counts.exported)
    roots = {span.name for span in received if span.role == "comparison"}
    assert roots == {
        "digits: a agrees",
        "digits: a differs (value)",
        "digits: a failed (UNAVAILABLE)",
        "digits: a timed out",
        "digits: production failed (INTERNAL), a did not",
        "digits: b differs (value)",
        "digits: a not compared (cancelled)",
    }
