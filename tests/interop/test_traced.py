"""Clients and servers instrumented with OpenTelemetry's own package, the sidecar between, a real
collector, and the rules of Jaeger's page over what arrived."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.collector import Collector, ReceivedSpan
from tests.interop.environments import PEERS, ROOT, make
from tests.processes import Process, drained, http_json, is_ready, sidecar_run
from tests.telemetry.jaeger import dependencies, faults, traces

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

STATES = ("agree-1", "differ-2", "shape-3", "refuse-4", "late-5", "broken-6", "slow-cancel")
CONFIG = """
telemetry: {traces: %s, workload: digits, agreeing_fraction: 1.0,
            trace_url: "http://jaeger/trace/{trace_id}"}
judge:
  labels: {correlation: request_id}
  slices: [{source: "metadata:x-region", name: region}]
  criteria: [{name: same, kind: disagreement, outputs: class, margin: 0.01, required: true}]
shadows:
  - {name: candidate, address: "%s", deadline_seconds: 0.5, version: "2",
     breaker: {consecutive_failures: 1000, failure_ratio: 1.0}}
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def environ(collector: Collector) -> dict[str, str]:
    return {
        **collector.environ,
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
        "PYTHONPATH": str(ROOT),
    }


@contextmanager
def part(name: str, collector: Collector, *flags: str) -> Iterator[str]:
    python = str(make("opentelemetry").python)
    words = [python, str(PEERS / "traced_server.py"), "--part", name, *flags]
    with Process(words, name=name, env=environ(collector)) as server:
        yield str(server.wait_ready(60)["address"])


def shop(
    address: str, collector: Collector, *ids: str, plain: bool = False, **env: str
) -> list[dict[str, Any]]:
    python = str(make("opentelemetry").python)
    words = [python, str(PEERS / "traced_client.py"), address, *ids]
    done = subprocess.run(
        [*words, "--plain"] if plain else words,
        env={**os.environ, **environ(collector), **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return list(json.loads(done.stdout))


@contextmanager
def shadowed(
    collector: Collector, tmp_path: Path, layout: str, *flags: str, **env: str
) -> Iterator[tuple[dict[str, Any], Process]]:
    """Production and the candidate with these flags, and the sidecar before them."""
    with ExitStack() as stack:
        production = stack.enter_context(part("production", collector, *flags))
        candidate = stack.enter_context(part("candidate", collector, *flags))
        config = tmp_path / "config.yaml"
        config.write_text(CONFIG % (layout, candidate))
        sidecar = stack.enter_context(
            sidecar_run(production, [], "--config", str(config), env={**environ(collector), **env})
        )
        ready = sidecar.wait_ready(60)
        sidecar.wait_until(is_ready(ready["http"]), 60)
        yield ready, sidecar


def found_instrumented(spans: list[ReceivedSpan]) -> bool:
    return any(s.role == "production" and s.kind == "INTERNAL" for s in spans)


@pytest.mark.parametrize("layout", ["comparison", "joined"])
def test_instrumented_peers_in_every_state(
    collector: Collector, tmp_path: Path, layout: str
) -> None:
    with shadowed(collector, tmp_path, layout) as (ready, sidecar):
        # Production's first span opens its connection to the collector, by which it is found.
        sent = 0
        while not found_instrumented(collector.spans()):
            assert sent < 60
            shop(ready["listen"][0], collector, "agree-0")
            sent += 1
            sidecar.wait_until(drained(ready["http"], seen=sent), 60)
        told = shop(ready["listen"][0], collector, *STATES)
        unsampled = shop(
            ready["listen"][0], collector, "differ-7", OTEL_TRACES_SAMPLER="always_off"
        )
        sidecar.wait_until(drained(ready["http"], seen=sent + len(STATES) + 1), 60)
        page = http_json(ready["http"], "/status")
    assert page["calls"]["seen"] == sent + len(STATES) + 1
    roots = {
        "digits: candidate agrees",
        "digits: candidate differs (value)",
        "digits: candidate differs (shape)",
        "digits: candidate failed (UNAVAILABLE)",
        "digits: candidate timed out",
        "digits: production failed (INTERNAL), candidate did not",
        "digits: candidate not compared (cancelled)",
    }
    ids = {call["trace_id"] for call in told}
    received = collector.wait_for(lambda spans: _whole(spans, ids, unsampled[0]["trace_id"]))
    # The candidate's late span comes when it has slept.
    assert faults(received) - {"no single root"} == set()
    shown = traces(received)
    for call in told:
        trace = shown[call["trace_id"]]
        (ours,) = (s for s in trace.spans if s.role == "production")
        assert ours.kind == "INTERNAL"
        assert ours.start_ns == ours.end_ns
        servers = [s for s in trace.spans if s.kind == "SERVER" and not _below_shadow(trace, s)]
        assert [s.resource["service.name"] for s in servers] == ["digits"]
        assert trace.roots[0].name == "POST /checkout"
    if layout == "comparison":
        assert {s.name for s in received if s.role == "comparison"} == roots
        assert dependencies(received)["shop", "digits"] == sent + len(STATES)
        (differs,) = (s for s in received if s.attributes.get("shadow.correlation_id") == "differ-2"
                      and s.role == "comparison")  # fmt: skip
        assert differs.attributes["shadow.slice.region"] == "eu"
        assert differs.attributes["shadow.difference.2"] == (
            "class: value by exact: outside_share 1"
        )
        assert differs.attributes["shadow.peer.url"].startswith("http://jaeger/trace/")


def _below_shadow(trace: Any, span: ReceivedSpan) -> bool:
    above = trace.parent(span)
    return above is not None and above.role == "shadow"


def _whole(spans: list[ReceivedSpan], calls: set[str], unsampled: str) -> bool:
    """Whether all of these calls has come: our span, the shadow's, and both servers'."""
    peers: dict[str, set[str]] = {}  # the traces that hold a call's copies
    for span in spans:
        if span.role == "shadow":
            peers.setdefault(str(span.attributes["shadow.peer.trace_id"]), set()).add(span.trace_id)
    ours = {s.trace_id for s in spans if s.role == "production"}
    servers = Counter(s.trace_id for s in spans if is_served(s))
    clients = {s.trace_id for s in spans if s.name == "POST /checkout"}
    return calls | {unsampled} <= ours & set(peers) and all(
        call in clients and sum(servers[t] for t in {call} | peers[call]) >= 2 for call in calls
    )


def is_served(span: ReceivedSpan) -> bool:
    return span.resource["service.name"] == "digits" and span.kind == "SERVER"


def test_plain_peers_have_one_trace_for_each_call(collector: Collector, tmp_path: Path) -> None:
    with shadowed(collector, tmp_path, "comparison", "--plain") as (ready, sidecar):
        shop(ready["listen"][0], collector, "agree-1", "differ-2", plain=True)
        sidecar.wait_until(drained(ready["http"], seen=2), 60)
    received = collector.wait_for(lambda spans: len([s for s in spans if s.role == "shadow"]) == 2)
    assert faults(received) == set()
    assert len(traces(received)) == 2
    production = [s for s in received if s.role == "production"]
    assert [s.kind for s in production] == ["SERVER", "SERVER"]


@pytest.mark.parametrize("propagators", ["b3", "jaeger"])
def test_peers_that_speak_another_format_meet_in_the_same_traces(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, propagators: str
) -> None:
    monkeypatch.setenv("OTEL_PROPAGATORS", propagators)
    with shadowed(collector, tmp_path, "comparison") as (ready, sidecar):
        (call,) = shop(ready["listen"][0], collector, "differ-2")
        sidecar.wait_until(drained(ready["http"], seen=1), 60)
    received = collector.wait_for(
        lambda spans: (
            {"POST /checkout", "candidate: value"} <= {s.name for s in spans}
            and len([s for s in spans if s.resource["service.name"] == "digits"]) == 4
        )
    )
    assert faults(received) == set()
    shown = traces(received)
    assert any(s.role == "production" for s in shown[call["trace_id"]].spans)
    (candidate,) = (s for s in received if s.role == "shadow")
    below = [s for s in received if s.parent_span_id == candidate.span_id]
    assert [s.resource["service.name"] for s in below] == ["digits"]
