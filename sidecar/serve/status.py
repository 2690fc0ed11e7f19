"""`/status`: the ledger, the connections and the shadows as one JSON object."""

from __future__ import annotations

import resource
from dataclasses import asdict
from typing import Any

import sidecar
from sidecar.build import BUILD
from sidecar.experiment.ledger import Counts
from sidecar.experiment.state import Failing, State
from sidecar.judge.evidence.histogram import Histogram


def status(now: State) -> dict[str, Any]:
    """The state right now; `seen = compared + sum(skipped) + in_flight`, for every shadow too.

    What production was sent on connections of this observer is `seen` and `blind.calls` together.
    """
    wire = now.settings.wire
    return {
        "time": now.unix_seconds,
        "version": sidecar.__version__,
        "build": BUILD,
        "routes": [route.model_dump() for route in wire.routes],
        "attached": now.attached,
        "paused": now.settings.paused,
        "sample": now.settings.sample.fraction,
        "configuration": asdict(now.configuration),
        "pace": {"share": now.pace, "limit": now.pace_limit},
        "production_added_latency": _added(now),
        "calls": _counts(now.ledger.calls),
        "blind": {"calls": now.blind_calls, "unsettled_connections": now.unsettled},
        "connections": dict(now.connections),
        "opaque": dict(now.opaque),
        "traced": {"calls": now.read_calls, "with_context": now.traced_calls},
        "folders": [str(wire.tap.parent), *([now.settings.capture.dir] if _local(now) else [])],
        "limits": {
            "connections": wire.connections,
            "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        },
        "held_bytes": now.held_bytes,
        "table_bytes": now.table_bytes,
        "background_died": now.background_died,
        "wire": dict(now.wire),
        "traces": now.settings.telemetry.traces,
        "spans": asdict(now.spans),
        "store": None if now.store is None else asdict(now.store),
        "kept_nowhere": now.kept_nowhere,
        "capture": None if now.capture is None else asdict(now.capture),
        "not_judged": now.not_judged,
        "shadows": {
            counts.name: {
                "address": receiver.settings.address,
                "role": counts.role,
                "tls": receiver.settings.tls is not None,
                **_counts(counts),
                "outcomes": {outcome.value: n for outcome, n in counts.outcomes.items()},
                "outputs": {
                    name: {outcome.value: n for outcome, n in outcomes.items()}
                    for name, outcomes in counts.output_outcomes.items()
                },
                "latency_ms": {
                    "production": _quantiles(counts.production_latency),
                    "shadow": _quantiles(counts.latency),
                    "wait": _quantiles(counts.wait),  # before it, and no part of it
                },
                "queue": {"calls": receiver.queued_calls, "bytes": receiver.queued_bytes},
                "readers": _readers(now, counts.name),
                "running": receiver.running,
                "breaker": receiver.breaker,
                "starting": receiver.starting,
                "failing": _failing(receiver.failing, now),
            }
            for counts, receiver in zip(now.ledger.shadows, now.receivers, strict=True)
        },
    }


def _added(now: State) -> dict[str, Any]:
    found = now.production
    when = (found.harmed_ns + now.unix_offset_ns) / 1e9 if found.harmed else None
    return {
        "state": found.state,
        "median_ms": found.estimate.median_ms,
        "low_ms": found.estimate.low_ms,
        "high_ms": found.estimate.high_ms,
        "max_added_ms": found.max_added_ms,
        "pairs": found.estimate.pairs,
        "rest": found.rest,
        "harmed": found.harmed,
        "harmed_at": when,
    }


def _readers(now: State, name: str) -> dict[str, str]:
    judged = now.judged.get(name)
    return {} if judged is None else judged.epoch.readers


def _local(now: State) -> bool:
    folder = now.settings.capture.dir
    return bool(folder) and "://" not in folder


def _failing(failing: Failing | None, now: State) -> dict[str, Any] | None:
    if failing is None:
        return None
    return {
        "since": (failing.since_ns + now.unix_offset_ns) / 1e9,
        "seconds": round((now.now_ns - failing.since_ns) / 1e9, 1),
        "calls": failing.calls,
        "cause": failing.cause,
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
