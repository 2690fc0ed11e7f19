"""OTLP over HTTP into a real collector."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.resources import Resource

from sidecar.telemetry.environment import make_queue
from sidecar.telemetry.exporter import SpanCounts
from sidecar.telemetry.http_exporter import OTLPHTTPExporter
from sidecar.telemetry.otlp import Envelope
from tests.collector import Collector
from tests.telemetry.calls import DIFFERS
from tests.telemetry.collectors import listening
from tests.telemetry.test_pairs import pair_spans, started, tell

RESOURCE = Resource({"service.name": "test"})


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as running:
        for name, value in running.http_environ.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_calls_spans_arrive_whole(
    collector: Collector, compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
    spans = pair_spans()
    tell(spans, started(1), DIFFERS)
    received = collector.spans(at_least=4)
    spans.close()
    assert {span.role for span in received} == {"production", "comparison", "mirrored", "shadow"}
    assert {span.resource["service.name"] for span in received} == {"shadow-sidecar"}
    assert spans.counts == SpanCounts(exported=len(received))


def test_a_collector_that_refuses_is_counted_and_costs_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refuse = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with listening(refuse) as port:
        environ = {
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_BSP_SCHEDULE_DELAY": "1",
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        queue = make_queue(environ, lambda: RESOURCE, capacity=10)
        assert queue.offer([b"", b""])
        assert queue.flush(30.0)
        assert queue.counts == SpanCounts(failed=2)
        queue.shutdown()


def test_the_endpoint_is_the_standards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The general variable is a base, the signal's own a whole URL."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://there:4318")
    assert OTLPHTTPExporter(Envelope(RESOURCE))._endpoint == "http://there:4318/v1/traces"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://other:1/spans")
    assert OTLPHTTPExporter(Envelope(RESOURCE))._endpoint == "http://other:1/spans"
