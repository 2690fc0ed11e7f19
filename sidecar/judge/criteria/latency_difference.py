"""Mean of the shadow's latency minus production's in seconds, within a declared range.

Larger differences count as large as the range. Counters: n, and a splat histogram.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from sidecar.fields import Seconds
from sidecar.judge.criteria.base import Increments, Plan, Unit
from sidecar.judge.criteria.counting import splatted
from sidecar.judge.criteria.mean import Mean
from sidecar.judge.evidence.splat import signed_edges
from sidecar.judge.number import number
from sidecar.judge.pair import JudgedPair
from sidecar.judge.ranges import Ranges


class LatencyDifference(Mean):
    """Is the shadow slower, on average."""

    kind: Literal["latency_difference"] = "latency_difference"
    range_seconds: Seconds = 1.0  # larger differences count as this large
    measures_latency: ClassVar[bool] = True

    def problems(self) -> list[str]:
        """See `Criterion.problems`."""
        allowed = -self.range_seconds < self.margin < self.range_seconds
        return [] if allowed else ["margin must lie within range_seconds"]

    def plan(self, control_fraction: float = 0.0) -> Plan:
        """See `Criterion.plan`."""
        return Plan(self, control_fraction, edges=signed_edges(self.range_seconds))

    def count(self, plan: Plan, pair: JudgedPair, ranges: Ranges) -> Increments:
        """See `Criterion.count`."""
        if pair.failed_fast:
            return []  # how fast it failed is no latency
        seconds = (pair.shadow_latency_ns - pair.production_latency_ns) / 1e9
        return [("n", 1.0), *splatted(seconds, plan.edges)]

    def magnitude(self, plan: Plan, pair: JudgedPair, counted: Increments) -> float:
        """See `Criterion.magnitude`."""
        return (pair.shadow_latency_ns - pair.production_latency_ns) / 1e9

    @property
    def unit(self) -> Unit:
        """See `Criterion.unit`."""
        return Unit.SECONDS

    @property
    def about(self) -> str:
        """See `Criterion.about`."""
        most = number(self.range_seconds)
        return f"mean latency minus production's, each difference at most {most} s"

    def said(self, plan: Plan, figure: str) -> str:
        """See `Criterion.said`."""
        return f"mean latency is {figure}"
