"""How many more of the shadow's outputs than of production's lie outside a range.

The range is declared, or production's own, learned from its first calls. Production is held against
it too, so that identical outputs never differ. Counters: n, and a splat histogram of the shadow's
share outside less production's.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from sidecar.fields import Count, Finite, Glob
from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.counting import matched_values, splat_mean, splatted
from sidecar.judge.criteria.mean import Mean
from sidecar.judge.criteria.shapes import Increments
from sidecar.judge.evidence.splat import even_edges
from sidecar.judge.pair import JudgedPair
from sidecar.judge.ranges import Ranges


class OutOfRange(Mean):
    """Does the shadow say what production never says."""

    kind: Literal["out_of_range"] = "out_of_range"
    outputs: Glob = "*"  # glob over the names of the outputs that it is about
    range: tuple[Finite, Finite] | None = None  # low, high; nothing: learned from production
    warmup_calls: Count = 1000  # calls from which a range is learned
    needs_values: ClassVar[bool] = True

    def problems(self) -> list[str]:
        """See `Criterion.problems`."""
        ascends = self.range is None or self.range[0] < self.range[1]
        return super().problems() + ([] if ascends else ["range must ascend"])

    def plan(self, control_fraction: float = 0.0) -> Plan:
        """See `Criterion.plan`."""
        return Plan(self, control_fraction, edges=even_edges(-1.0, 1.0))

    def count(self, plan: Plan, pair: JudgedPair, ranges: Ranges) -> Increments:
        """See `Criterion.count`."""
        share = ranges.outside(
            self.name, self.range, self.warmup_calls, matched_values(self.outputs, pair)
        )
        if share is None:
            return [("n", 1.0), *splatted(1.0, plan.edges)] if pair.failed else []
        return [("n", 1.0), *splatted(share, plan.edges)]

    def magnitude(self, plan: Plan, pair: JudgedPair, counted: Increments) -> float:
        """See `Criterion.magnitude`."""
        return splat_mean(plan.edges, counted)

    @property
    def about(self) -> str:
        """See `Criterion.about`."""
        return "outputs outside the range, more than production's"

    def said(self, plan: Plan, figure: str) -> str:
        """See `Criterion.said`."""
        return f"{figure} more outputs than production's are out of range"
