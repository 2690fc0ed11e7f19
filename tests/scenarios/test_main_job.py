"""The main job, whole: client, the mesh's proxy, the sidecar, production, a shadow, a collector."""

from __future__ import annotations

import asyncio

import pytest

from tests.collector import Collector
from tests.scenarios.envoy import envoy
from tests.scenarios.stack import servers, sidecar, skipped
from tests.scenarios.traffic import Mix, run, traceparent

MIX = Mix(unary=2000, streams=20, cancelled=20, failing=20)

# A burst on two shared cores: room enough that nothing need be dropped, so every call can be held
# against what came of it.
ROOM = {
    "wire.tap_bytes": 256 << 20,
    "pairs.calls": 10_000,
    "pairs.bytes": 512 << 20,
    "shadows.0.queue.calls": 10_000,
    "shadows.0.queue.bytes": 512 << 20,
    "shadows.0.queue.max_wait_seconds": 60,
    "telemetry.queue_spans": 100_000,
}


@pytest.mark.parametrize("layout", ["joined", "separate"])
def test_calls_through_the_mesh_are_untouched_compared_and_linked_in_traces(layout: str) -> None:
    kinds = (("bytes",), ("bytes", "--name", "shadow", "--salt", "~"))
    with servers(*kinds) as (production, shadow), Collector() as collector:
        with envoy(production) as mesh:
            expected = asyncio.run(run(mesh.address, MIX))
        settings = {**ROOM, "telemetry.traces": layout}
        with sidecar(production, shadow, settings=settings, env=collector.environ) as it:
            with envoy(it.address) as mesh:
                assert asyncio.run(run(mesh.address, MIX)) == expected
            status = it.settled(MIX.calls)
            calls = status["calls"]
            # Envoy passes a client's cancellation on as a reset, so these end as they began.
            assert skipped(calls) == {"cancelled": MIX.cancelled}
            assert calls["compared"] == MIX.calls - MIX.cancelled
            told = 2 * (calls["compared"])
            spans = collector.spans(at_least=told)
            assert it.status()["spans"]["dropped"] == 0
    by_id = {(span.trace_id, span.span_id): span for span in spans}
    assert len(by_id) == told
    shadows = [span for span in spans if span.attributes["shadow.role"] == "shadow"]
    assert len(shadows) == calls["compared"]
    for span in shadows:
        (link,) = span.links
        production_span = by_id[link.trace_id, link.span_id]
        assert production_span.attributes["shadow.role"] == "production"
        assert span.attributes["shadow.peer.trace_id"] == production_span.trace_id
        assert span.attributes["shadow.peer.span_id"] == production_span.span_id
        assert production_span.attributes["shadow.peer.trace_id"] == span.trace_id
        assert production_span.attributes["shadow.peer.span_id"] == span.span_id
        if layout == "joined":
            assert span.parent_span_id == production_span.span_id
            assert span.trace_id == production_span.trace_id
            assert production_span.links == ()
        else:
            assert span.trace_id != production_span.trace_id
            assert span.parent_span_id == ""
            assert [(b.trace_id, b.span_id) for b in production_span.links] == [
                (span.trace_id, span.span_id)
            ]
    callers = {traceparent(n, sampled=False)[3:35] for n in range(MIX.calls)}
    productions = [span for span in spans if span.attributes["shadow.role"] == "production"]
    assert {span.trace_id for span in productions} <= callers
