"""The main job, whole: client, the mesh's proxy, the sidecar, production, a shadow, a collector."""

from __future__ import annotations

import asyncio

import pytest

from tests.collector import Collector, ReceivedSpan
from tests.scenarios.envoy import envoy
from tests.scenarios.stack import servers, sidecar, skipped
from tests.scenarios.traffic import Mix, run, traceparent

MIX = Mix(unary=2000, streams=20, cancelled=20, failing=20)

# A burst on two shared cores: room enough that nothing need be dropped, so every call can be held
# against what came of it.
ROOM = {
    "wire.tap_bytes": 256 << 20,
    "wire.memory_bytes": 1 << 30,
    "pairs.calls": 10_000,
    "pairs.bytes": 512 << 20,
    "shadows.0.queue.calls": 10_000,
    "shadows.0.queue.bytes": 512 << 20,
    "shadows.0.queue.max_wait_seconds": 60,
    "telemetry.queue_spans": 100_000,
}


@pytest.mark.parametrize(("layout", "each"), [("comparison", 4), ("joined", 3)])
def test_calls_through_the_mesh_are_untouched_compared_and_linked_in_traces(
    layout: str, each: int
) -> None:
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
            # Envoy passes a client's cancellation on as a reset, so these end as they began; on a
            # machine whose cores are taken some calls are left out by a draw, and nothing else is.
            lost = skipped(calls)
            assert set(lost) <= {"cancelled", "incomplete", "shed"}
            assert lost.get("cancelled", 0) + lost.get("incomplete", 0) <= MIX.cancelled
            compared = calls["compared"]
            assert compared == MIX.calls - sum(lost.values())
            assert compared >= MIX.calls // 2
            # A wait in the queue is a span too, and one that not every call has.
            received = collector.wait_for(
                lambda spans: (
                    len([s for s in _of_compared(spans) if not s.name.endswith(": queued")])
                    >= each * compared
                )
            )
            assert it.status()["spans"]["dropped"] == 0
    # A cancelled call that was drawn has spans as well.
    spans = _of_compared(received)
    by_id = {(span.trace_id, span.span_id): span for span in spans}
    assert len(by_id) >= each * compared
    shadows = [span for span in spans if span.role == "shadow"]
    assert len(shadows) == compared
    for span in shadows:
        (link,) = span.links
        production_span = by_id[link.trace_id, link.span_id]
        assert production_span.role == "production"
        assert span.attributes["shadow.peer.trace_id"] == production_span.trace_id
        assert span.attributes["shadow.peer.span_id"] == production_span.span_id
        assert production_span.attributes["shadow.peer.trace_id"] == span.trace_id
        assert production_span.attributes["shadow.peer.span_id"] == span.span_id
        parent = by_id[span.trace_id, span.parent_span_id]
        if layout == "joined":
            assert (parent.kind, parent.parent_span_id) == ("PRODUCER", production_span.span_id)
            assert span.trace_id == production_span.trace_id
            assert production_span.links == ()
        else:
            assert span.trace_id != production_span.trace_id
            assert (parent.role, parent.parent_span_id) == ("comparison", "")
            assert [(b.trace_id, b.span_id) for b in production_span.links] == [
                (parent.trace_id, parent.span_id)
            ]
    callers = {traceparent(n, sampled=False)[3:35] for n in range(MIX.calls)}
    productions = [span for span in spans if span.role == "production"]
    assert {span.trace_id for span in productions} <= callers


def _of_compared(spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
    """The spans in traces that tell of a comparison."""
    traces = {span.trace_id for span in spans if "shadow.agrees" in span.attributes}
    return [span for span in spans if span.trace_id in traces]
