"""Metrics over OTLP: what a real collector receives is what Prometheus would have scraped."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from sidecar.log import Log
from sidecar.telemetry.environment import make_metrics_exporter
from sidecar.telemetry.push import Push, make_push
from tests.collector import Collector
from tests.telemetry.collectors import listening

RESOURCE = Resource({"service.name": "test"})
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def filled() -> CollectorRegistry:
    registry = CollectorRegistry()
    calls = Counter("calls", "Calls.", ("outcome",), registry=registry)
    calls.labels("value").inc(3, exemplar={"trace_id": TRACE, "span_id": SPAN})
    calls.labels("equal").inc(4)
    Gauge("held_bytes", "Held.", registry=registry).set(1.5)
    Info("build", "What runs.", registry=registry).info({"version": "1"})
    latency = Histogram("latency_seconds", "Latency.", registry=registry, buckets=(0.1, 1.0))
    for seconds in (0.05, 0.5, 0.6, 7.0):
        latency.observe(seconds)
    return registry


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_every_kind_arrives_as_it_was_counted(
    collector: Collector, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = collector.environ if protocol == "grpc" else collector.http_environ
    environ["OTEL_METRICS_EXPORTER"] = "otlp"
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    collector._metrics.clear()
    push = make_push(environ, filled(), RESOURCE, Log("test", io.StringIO()))
    assert push is not None
    push.close(30.0)
    assert (push.sent, push.failed) == (1, 0)
    found = collector.metrics(lambda metrics: "latency_seconds" in metrics)
    calls = found["calls"].sum
    assert calls.is_monotonic
    assert calls.aggregation_temporality == AggregationTemporality.Value(
        "AGGREGATION_TEMPORALITY_CUMULATIVE"
    )
    by_outcome = {point.attributes[0].value.string_value: point for point in calls.data_points}
    assert {name: point.as_double for name, point in by_outcome.items()} == {
        "value": 3.0,
        "equal": 4.0,
    }
    (exemplar,) = by_outcome["value"].exemplars
    assert (exemplar.trace_id.hex(), exemplar.span_id.hex()) == (TRACE, SPAN)
    assert found["held_bytes"].gauge.data_points[0].as_double == 1.5
    assert found["build"].gauge.data_points[0].as_double == 1
    (latency,) = found["latency_seconds"].histogram.data_points
    assert list(latency.explicit_bounds) == [0.1, 1.0]
    assert list(latency.bucket_counts) == [1, 2, 1]
    assert (latency.count, latency.sum) == (4, 8.15)
    assert not latency.HasField("min")


def test_it_is_off_unless_it_is_asked_for() -> None:
    for environ in ({}, {"OTEL_METRICS_EXPORTER": "prometheus"}, {"OTEL_METRICS_EXPORTER": "none"}):
        assert make_push(environ, filled(), RESOURCE, Log("test", io.StringIO())) is None
    asked = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}
    assert make_push(asked, filled(), RESOURCE, Log("test", io.StringIO())) is None


def test_a_collector_that_refuses_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    out = io.StringIO()
    with listening(refuse) as port:
        environ = {
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        push = Push(filled(), RESOURCE, make_metrics_exporter(environ), Log("test", out))
        push.close(30.0)
    assert (push.sent, push.failed) == (0, 1)
    (line,) = map(json.loads, out.getvalue().splitlines())
    assert line["level"] == "warning"


def test_one_that_hangs_never_holds_back_who_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many exports that wait the newest is kept; the end waits as long as it is told to."""
    with listening() as port:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        exporter = make_metrics_exporter({})
        push = Push(filled(), RESOURCE, exporter, Log("test", io.StringIO()))
        for _ in range(50):
            push.push()
        assert push.sent == 0
        push.close(0.2)
        assert push.sent == 0
