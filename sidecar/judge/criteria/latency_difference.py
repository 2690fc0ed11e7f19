"""latency_difference: the mean of shadow minus production in seconds, within a declared range.

A call that met the shadow's deadline counts as the whole range slower: how long it would have
taken is not known. A call that the shadow failed otherwise has no latency, and is lost.
"""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from sidecar.fields import Seconds
from sidecar.judge.criteria.base import LOST, Criterion, Increments
from sidecar.judge.criteria.mean import MeanPlan
from sidecar.judge.criteria.memory import Memory
from sidecar.judge.criteria.units import Unit, number, written
from sidecar.judge.evidence.splat import signed_edges
from sidecar.judge.pair import DEADLINE_EXCEEDED, JudgedPair


class LatencyDifference(Criterion):
    """`latency_difference`: mean seconds that the shadow is slower, clipped at a range."""

    kind: Literal["latency_difference"] = "latency_difference"
    range_seconds: Seconds = 1.0  # larger differences count as this large

    @model_validator(mode="after")
    def _within(self) -> LatencyDifference:
        if not -self.range_seconds < self.margin < self.range_seconds:
            raise ValueError("margin must lie within range_seconds")
        return self

    def plan(self, control_fraction: float) -> _Plan:
        return _Plan(self, control_fraction, signed_edges(self.range_seconds))


class _Plan(MeanPlan):
    criterion: LatencyDifference
    unit = Unit.SECONDS

    def count(self, pair: JudgedPair, memory: Memory) -> Increments:
        if pair.failed:
            return self.scored(self.high) if pair.shadow_status == DEADLINE_EXCEEDED else LOST
        return self.scored((pair.shadow_latency_ns - pair.production_latency_ns) / 1e9)

    def magnitude(self, pair: JudgedPair, counted: Increments) -> float:
        return (pair.shadow_latency_ns - pair.production_latency_ns) / 1e9

    def said(self, estimate: float) -> str:
        return f"mean latency is {written(estimate, self.unit)}"

    def about(self) -> str:
        clipped = number(1e3 * self.criterion.range_seconds)
        return f"mean latency minus production's, clipped at {clipped} ms"
