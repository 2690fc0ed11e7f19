"""Share of the shadow's outputs outside production's observed, or a declared, range.

Counters: n, k.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from sidecar.fields import Count, Finite, Glob
from sidecar.judge.criteria.base import Increments, Plan
from sidecar.judge.criteria.counting import matched_values
from sidecar.judge.criteria.rate import Rate
from sidecar.judge.pair import JudgedPair
from sidecar.judge.ranges import Ranges


class OutOfRange(Rate):
    """Does the shadow say what production never says."""

    kind: Literal["out_of_range"] = "out_of_range"
    outputs: Glob = "*"
    range: tuple[Finite, Finite] | None = None  # None: learned from production
    warmup_calls: Count = 1000  # calls from which a range is learned
    needs_values: ClassVar[bool] = True

    def problems(self) -> list[str]:
        """See `Criterion.problems`."""
        ascends = self.range is None or self.range[0] < self.range[1]
        return super().problems() + ([] if ascends else ["range must ascend"])

    def count(self, plan: Plan, pair: JudgedPair, ranges: Ranges) -> Increments:
        """See `Criterion.count`."""
        share = ranges.outside(
            self.name, self.range, self.warmup_calls, matched_values(self.outputs, pair)
        )
        if share is None:
            return []
        return [("n", 1.0), ("k", share)] if share else [("n", 1.0)]

    @property
    def about(self) -> str:
        """See `Criterion.about`."""
        return "outputs outside production's range"

    def said(self, plan: Plan, figure: str) -> str:
        """See `Criterion.said`."""
        return f"{figure} of outputs are out of range"
