"""What spans cost the observer, in microseconds of CPU: our way and the SDK's own tracer.

Run with `python -m benchmarks.bench_spans`. The event loop pays "plan" for every dispatched call
and "tell" for every finished one; the export thread pays "encode", under the same interpreter lock.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from random import Random

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanKind, Tracer, set_span_in_context

from sidecar.call import CallKey, Observation, Started
from sidecar.compare.result import Comparison, Outcome, OutputResult
from sidecar.tee.settings import ShadowSettings
from sidecar.telemetry.otlp import Envelope
from sidecar.telemetry.pairs import PairSpans
from sidecar.telemetry.plan import SpanPlan
from sidecar.telemetry.settings import TelemetrySettings

REPEAT = 7
CALLS = 5_000
CALL = Started(
    CallKey(1, 1),
    "/inference.GRPCInferenceService/ModelInfer",
    "model",
    (("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"),),
    "10.0.0.7:51234",
    1_000_000,
)
ANSWER = Observation(0, "", (b"",), 1_000_000, 3_000_000)
EQUAL = Comparison(Outcome.EQUAL, (OutputResult("scores", Outcome.EQUAL, "tolerance", 0.0),))
DIFFERS = Comparison(
    Outcome.VALUE,
    (OutputResult("scores", Outcome.VALUE, "tolerance", 0.3, {"max_abs": 0.5, "flips": 1.0}),),
)


def best(work: Callable[[], object]) -> float:
    """Microseconds of CPU for one call of `work`, the best of several runs."""
    times = []
    for _ in range(REPEAT):
        began = time.process_time_ns()
        for _ in range(CALLS):
            work()
        times.append(time.process_time_ns() - began)
    return min(times) / CALLS / 1e3


def pair_spans(fraction: float) -> PairSpans:
    """Our spans, without a collector behind them."""
    spans = PairSpans(
        TelemetrySettings(agreeing_fraction=fraction),
        (ShadowSettings(name="candidate", address="127.0.0.1:9001"),),
        lambda: time.time_ns() - time.monotonic_ns(),
        Random(1),
        environ={"OTEL_TRACES_EXPORTER": "none"},
    )
    spans.upstream(1, "127.0.0.1:9000")
    return spans


def tell(spans: PairSpans, plan: SpanPlan, comparison: Comparison) -> None:
    """A finished call with one shadow."""
    spans.tell(
        CALL,
        plan,
        ANSWER,
        {"candidate": ANSWER},
        {"candidate": comparison},
        {},
        now_ns=time.monotonic_ns,
        sent={"candidate": 1_000_000},
    )


class _Nowhere(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class _Kept(_Nowhere):
    def __init__(self, spans: list[ReadableSpan]) -> None:
        self._spans = spans

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._spans += spans
        return SpanExportResult.SUCCESS


def sdk_pair(tracer: Tracer, attributes: dict[str, str]) -> None:
    """A pair as the SDK's tracer makes it; its ids cannot be known before the call is sent."""
    production = tracer.start_span(CALL.method, kind=SpanKind.SERVER, attributes=attributes)
    shadow = tracer.start_span(
        CALL.method,
        set_span_in_context(production),
        SpanKind.CLIENT,
        attributes,
        [Link(production.get_span_context())],
    )
    shadow.add_event("shadow.difference", {"shadow.output.name": "scores"})
    shadow.end()
    production.end()


def main() -> None:
    """Print one line for each cost."""
    told: deque[bytes] = deque(maxlen=4)
    spans = pair_spans(0.0)
    spans.queue.add_sink(told.append)
    plan = spans.plan(CALL)
    rows = [
        ("plan, every dispatched call", best(lambda: spans.plan(CALL))),
        (
            "tell, agreeing and not sampled",
            best(lambda: tell(spans, plan, EQUAL)),
        ),
        (
            "tell, differing: four spans built",
            best(lambda: tell(spans, plan, DIFFERS)),
        ),
    ]
    pair = list(told)
    envelope = Envelope(Resource({"service.name": "shadow-sidecar"}))
    rows.append(
        (
            "encode four spans, in the export thread",
            best(lambda: envelope.request(pair).SerializeToString()),
        )
    )
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(_Nowhere()))
    tracer = provider.get_tracer("bench")
    plain = {a.key: a.value.string_value for a in Span.FromString(pair[3]).attributes}
    rows.append(("the SDK's tracer: two live spans", best(lambda: sdk_pair(tracer, plain))))
    live: list[ReadableSpan] = []
    provider.add_span_processor(SimpleSpanProcessor(_Kept(live)))
    sdk_pair(tracer, plain)
    rows.append(("the SDK's encoder: two spans", best(lambda: encode_spans(live))))
    for name, microseconds in rows:
        print(f"{microseconds:8.2f} us  {name}")
    provider.shutdown()
    spans.close()


if __name__ == "__main__":
    main()
