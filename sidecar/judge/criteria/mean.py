"""Kinds that keep a splat histogram of a bounded score: counters "0", "1", ... by edge.

Scores that are not known, or not to their end, are in two histograms of their own, at their worst
for PASS ("w0", ...) and at their best for FAIL ("g0", ...).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sidecar.judge.criteria.base import Criterion, Plan
from sidecar.judge.criteria.counting import ends_of
from sidecar.judge.criteria.shapes import NOTHING, Increments, Measurement, Scores
from sidecar.judge.evidence.bets import Bets
from sidecar.judge.evidence.interval import Interval, mean_interval
from sidecar.judge.evidence.mean_bets import MeanBets
from sidecar.judge.evidence.mixtures import Floats, Side, average, mean_evidence


class Mean(Criterion):
    """Judged by betting on the histogram, as `evidence.mixtures` says."""

    def claims(self, plan: Plan) -> tuple[Bets, ...]:
        """See `Criterion.claims`."""
        low, high = plan.edges[0], plan.edges[-1]
        up = MeanBets(self.margin, plan.swing, low, high)
        down = MeanBets(self.margin, plan.swing, -high, -low)
        if self.is_two_sided:
            return up, down
        return (down,) if self.is_downward else (up,)

    def scored(self, plan: Plan, counted: Increments) -> Scores:
        """See `Criterion.scored`."""
        n, worst, best = ends_of(plan.edges, counted)
        if self.is_two_sided:
            return n, ((worst, best), (-best, -worst))
        return n, ((-best, -worst) if self.is_downward else (worst, best),)

    def with_lost(self, plan: Plan, cell: Mapping[str, float], calls: float) -> Mapping[str, float]:
        """See `Criterion.with_lost`: at either end; where both are bad, as good as can be."""
        last = len(plan.edges) - 1
        worst, best = (0, last) if self.is_downward else (last, 0)
        if self.is_two_sided:
            best = plan.edges.index(0.0)
        lost = {f"w{worst}": calls, f"g{best}": calls}
        return {**cell, **{name: cell.get(name, 0.0) + more for name, more in lost.items()}}

    def measure(self, plan: Plan, cell: Mapping[str, float], scale: float = 1.0) -> Measurement:
        """See `Criterion.measure`."""
        good, bad = self.ends(plan, cell)
        n = float(bad.sum()) * scale
        if n <= 0:
            return NOTHING
        x = np.asarray(plan.edges)
        return Measurement(
            n,
            float((good + bad) @ x) / (2 * n) * scale,
            self._claim(plan, bad * scale, Side.PASS),
            self._claim(plan, good * scale, Side.FAIL),
        )

    def interval(self, plan: Plan, cell: Mapping[str, float], alpha: float) -> Interval | None:
        """See `Criterion.interval`."""
        good, bad = self.ends(plan, cell)
        if bad.sum() <= 0:
            return None
        low, high = plan.edges[0], plan.edges[-1]
        highest = mean_interval(plan.edges, bad, low, high, alpha)[1]
        lowest = mean_interval(plan.edges, good, low, high, alpha)[0]
        return lowest, highest

    def ends(self, plan: Plan, cell: Mapping[str, float]) -> tuple[Floats, Floats]:
        """The histogram with every unknown score at its best, and at its worst."""
        known, worst, best = (
            np.array([cell.get(f"{prefix}{i}", 0.0) for i in range(len(plan.edges))])
            for prefix in ("", "w", "g")
        )
        return known + best, known + worst

    def _claim(self, plan: Plan, counts: Floats, side: Side) -> float:
        """ln E about the histogram's mean, in the direction that the criterion calls bad."""
        margin, low, high = self.margin, plan.edges[0], plan.edges[-1]
        other = Side.FAIL if side is Side.PASS else Side.PASS
        up = float(mean_evidence(plan.edges, counts, margin, low, high, side))
        if not self.is_two_sided and not self.is_downward:
            return up
        down = float(mean_evidence(plan.edges, counts, -margin, low, high, other))
        if self.is_downward:
            return down
        # Within both margins needs both claims; outside either needs one, at half the error each.
        return min(up, down) if side is Side.PASS else average((up, down), (1.0, 1.0))
