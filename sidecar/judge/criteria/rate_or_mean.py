"""A kind that is a share of calls in one configuration and a mean score in the other.

Rule: the plan says which, for as long as the evidence lives; everything that a shape of evidence
answers is asked of that one. Counterparts: `rate`, `mean`; `disagreement`, `decision_flips`.
"""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.mean import Mean
from sidecar.judge.criteria.rate import Rate
from sidecar.judge.criteria.shapes import Increments, Measurement, Scores
from sidecar.judge.evidence.bets import Bets
from sidecar.judge.evidence.interval import Interval


class RateOrMean(Rate, Mean):
    """Counters as `Rate` has them, or as `Mean` has them."""

    def is_mean(self, plan: Plan) -> bool:
        """Whether a plan is about a mean."""
        raise NotImplementedError

    def _shape(self, plan: Plan) -> type[Rate] | type[Mean]:
        return Mean if self.is_mean(plan) else Rate

    def claims(self, plan: Plan) -> tuple[Bets, ...]:
        """See `Criterion.claims`."""
        return self._shape(plan).claims(self, plan)

    def scored(self, plan: Plan, counted: Increments) -> Scores:
        """See `Criterion.scored`."""
        return self._shape(plan).scored(self, plan, counted)

    def with_lost(self, plan: Plan, cell: Mapping[str, float], calls: float) -> Mapping[str, float]:
        """See `Criterion.with_lost`."""
        return self._shape(plan).with_lost(self, plan, cell, calls)

    def with_worst(
        self, plan: Plan, cell: Mapping[str, float], calls: float
    ) -> Mapping[str, float]:
        """See `Criterion.with_worst`."""
        return self._shape(plan).with_worst(self, plan, cell, calls)

    def measure(self, plan: Plan, cell: Mapping[str, float], scale: float = 1.0) -> Measurement:
        """See `Criterion.measure`."""
        return self._shape(plan).measure(self, plan, cell, scale)

    def interval(self, plan: Plan, cell: Mapping[str, float], alpha: float) -> Interval | None:
        """See `Criterion.interval`."""
        return self._shape(plan).interval(self, plan, cell, alpha)
