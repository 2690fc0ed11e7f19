"""Metrics over OTLP from a running sidecar: what a collector receives is what the page says."""

from __future__ import annotations

import asyncio

import pytest

from tests.collector import Collector
from tests.processes import http_text
from tests.scenarios.stack import servers, sidecar
from tests.scenarios.traffic import Mix, run

MIX = Mix(unary=40, streams=0)
SEEN = "shadow_sidecar_calls_seen"
COMPARED = "shadow_sidecar_calls_compared"


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_collector_receives_what_the_page_says(protocol: str) -> None:
    with Collector() as collector, servers(("bytes",), ("bytes", "--salt", "!")) as addresses:
        environ = collector.environ if protocol == "grpc" else collector.http_environ
        more = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_METRIC_EXPORT_INTERVAL": "100"}
        with sidecar(addresses[0], addresses[1], env=environ | more) as it:
            asyncio.run(run(it.address, MIX))
            it.settled(MIX.calls)
            page = http_text(it.http, "/metrics")
            assert f"{SEEN}_total {float(MIX.calls)}\n" in page
            found = collector.metrics(
                lambda metrics: (
                    COMPARED in metrics
                    and metrics[COMPARED].sum.data_points[0].as_double == MIX.calls
                    and "shadow_sidecar_comparisons" in metrics
                )
            )
    outcomes = {
        next(a.value.string_value for a in point.attributes if a.key == "outcome"): point
        for point in found["shadow_sidecar_comparisons"].sum.data_points
    }
    assert outcomes["value"].as_double == MIX.calls
    assert outcomes["value"].exemplars[0].trace_id
    names = {line.split("{")[0].split(" ")[0] for line in page.splitlines() if line[0] != "#"}
    missing = {
        name for name in found if not any(n == name or n.startswith(f"{name}_") for n in names)
    }
    assert not missing
