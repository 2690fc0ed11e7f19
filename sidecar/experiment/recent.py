"""The latest pairs, for people: a bounded ring of differing ones and one of agreeing ones.

Rule: no payload values, and nothing of what callers sent. Counterpart: `GET /pairs`, and the
demo's summary.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from sidecar.call import Observation, Started
from sidecar.compare.result import Comparison
from sidecar.telemetry.plan import SpanPlan

DIFFERING_KEPT = 512
AGREEING_KEPT = 64

Row = tuple[int, str, SpanPlan | None, str, Comparison, tuple[int, int], tuple[int, int]]
"""Start, method, plan, shadow, comparison, and each side's status and latency in nanoseconds."""


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
        """Remember a compared pair, without its messages and metadata."""
        ring = self._agreeing if comparison.agrees else self._differing
        ring.append(
            (
                call.started_ns,
                call.method,
                plan,
                shadow,
                comparison,
                (production.status, production.latency_ns),
                (shadowed.status, shadowed.latency_ns),
            )
        )

    def rows(self, limit: int, unix_offset_ns: int, trace_id: str = "") -> list[dict[str, Any]]:
        """Up to `limit` JSON-ready rows, differing ones first, newest first in each.

        Args:
            limit: at least 1.
            unix_offset_ns: what to add to the monotonic clock to get Unix time.
            trace_id: of these calls only, by production's trace or the comparison's; empty: all.
        """
        rows = [*reversed(self._differing), *reversed(self._agreeing)]
        if trace_id:
            rows = [row for row in rows if _in_trace(row, trace_id)]
        return [_row(*row, unix_offset_ns) for row in rows[:limit]]


def _in_trace(row: Row, trace_id: str) -> bool:
    plan = row[2]
    return plan is not None and trace_id in _ids(plan, row[3]).values()


def _row(
    started_ns: int,
    method: str,
    plan: SpanPlan | None,
    shadow: str,
    comparison: Comparison,
    production: tuple[int, int],
    shadowed: tuple[int, int],
    unix_offset_ns: int,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "time": (started_ns + unix_offset_ns) / 1e9,
        "method": method,
        "shadow": shadow,
        "outcome": comparison.outcome.value,
        "agrees": comparison.agrees,
        "detail": comparison.detail,
        "status": {"production": production[0], "shadow": shadowed[0]},
        "latency_ms": {"production": production[1] / 1e6, "shadow": shadowed[1] / 1e6},
        "outputs": [
            {
                "name": o.name,
                "outcome": o.outcome.value,
                "rule": o.rule,
                "score": o.score,
                "raw": o.raw,
                "limits": o.limits,
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
