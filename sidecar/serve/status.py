"""`/status`: the ledger, the connections and the shadows as one JSON object."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sidecar.experiment.app import Observer
from sidecar.experiment.ledger import Counts
from sidecar.judge.evidence.histogram import Histogram
from sidecar.serve.observed import snapshot_of


def status(observer: Observer) -> dict[str, Any]:
    """The state right now; `seen = compared + sum(skipped) + in_flight`, for every shadow too."""
    now = snapshot_of(observer)
    return {
        "attached": now.attached,
        "paused": now.paused,
        "sample": now.sample,
        "pace": {"share": now.pace, "limit": observer.pace.limit},
        "calls": _counts(now.ledger.calls),
        "connections": dict(now.connections),
        "held_bytes": now.held_bytes,
        "wire": dict(now.wire),
        "spans": asdict(now.spans),
        "not_judged": observer.judging.failures,
        "shadows": {
            counts.name: {
                "address": observer.shadows[counts.name].settings.address,
                "role": counts.role,
                **_counts(counts),
                "outcomes": {outcome.value: n for outcome, n in counts.outcomes.items()},
                "outputs": {
                    name: {outcome.value: n for outcome, n in outcomes.items()}
                    for name, outcomes in counts.output_outcomes.items()
                },
                "latency_ms": {
                    "production": _quantiles(counts.production_latency),
                    "shadow": _quantiles(counts.latency),
                },
                "queue": {"calls": state.queued_calls, "bytes": state.queued_bytes},
                "running": state.running,
                "breaker": state.breaker,
            }
            for counts, state in zip(now.ledger.shadows, now.shadows, strict=True)
        },
    }


def _counts(counts: Counts) -> dict[str, Any]:
    return {
        "seen": counts.seen,
        "compared": counts.compared,
        "in_flight": counts.in_flight,
        "skipped": {reason.value: n for reason, n in counts.skipped.items()},
    }


def _quantiles(latency: Histogram) -> dict[str, float | None]:
    return {f"p{p:g}": _milliseconds(latency.quantile(p / 100)) for p in (50, 95, 99)}


def _milliseconds(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e6
