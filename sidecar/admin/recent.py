"""The latest pairs, for people: a bounded ring of differing ones and one of agreeing ones.

Rule: no payload values. Counterpart: `GET /pairs`, and the demo's summary.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from sidecar.call import Observation, Started
from sidecar.compare.result import Comparison
from sidecar.telemetry.plan import SpanPlan

DIFFERING_KEPT = 512
AGREEING_KEPT = 64

Row = tuple[Started, SpanPlan | None, str, Comparison, Observation, Observation]


class RecentPairs:
    """Keeps references on the hot path; rows are written out when somebody asks."""

    def __init__(self, differing: int = DIFFERING_KEPT, agreeing: int = AGREEING_KEPT) -> None:
        self._differing: deque[Row] = deque(maxlen=differing)
        self._agreeing: deque[Row] = deque(maxlen=agreeing)

    def add(
        self,
        call: Started,
        plan: SpanPlan | None,
        shadow: str,
        comparison: Comparison,
        production: Observation,
        shadowed: Observation,
    ) -> None:
        """Remember a compared pair, without its messages."""
        ring = self._agreeing if comparison.agrees else self._differing
        ring.append((call, plan, shadow, comparison, _bodiless(production), _bodiless(shadowed)))

    def rows(self, limit: int, unix_offset_ns: int) -> list[dict[str, Any]]:
        """Up to `limit` JSON-ready rows, differing ones first, newest first in each."""
        rows = [*reversed(self._differing), *reversed(self._agreeing)][:limit]
        return [_row(*row, unix_offset_ns) for row in rows]


def _bodiless(observation: Observation) -> Observation:
    return Observation(
        status=observation.status,
        detail="",
        messages=(),
        started_ns=observation.started_ns,
        ended_ns=observation.ended_ns,
    )


def _row(
    call: Started,
    plan: SpanPlan | None,
    shadow: str,
    comparison: Comparison,
    production: Observation,
    shadowed: Observation,
    unix_offset_ns: int,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "time": (call.started_ns + unix_offset_ns) / 1e9,
        "method": call.method,
        "shadow": shadow,
        "outcome": comparison.outcome.value,
        "agrees": comparison.agrees,
        "detail": comparison.detail,
        "status": {"production": production.status, "shadow": shadowed.status},
        "latency_ms": {
            "production": production.latency_ns / 1e6,
            "shadow": shadowed.latency_ns / 1e6,
        },
        "outputs": [
            {
                "name": o.name,
                "outcome": o.outcome.value,
                "rule": o.rule,
                "score": o.score,
                "raw": o.raw,
            }
            for o in comparison.outputs
        ],
    }
    if plan is not None:
        row.update(_ids(plan, shadow))
    return row


def _ids(plan: SpanPlan, shadow: str) -> dict[str, Any]:
    if plan.production is None:
        return {}
    ids = {"trace_id": plan.production.trace_hex, "span_id": plan.production.span_hex}
    context = plan.shadows.get(shadow)
    if context is not None:
        ids |= {"shadow_trace_id": context.trace_hex, "shadow_span_id": context.span_hex}
    return ids
