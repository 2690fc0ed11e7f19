"""Kinds that count calls and the sum of their scores in [0, 1]: counters n and k.

Counter open: scores of calls of which it turned out later that they are not known (`unread`); they
are bad for PASS and good for FAIL.
"""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.judge.criteria.base import Criterion, Plan
from sidecar.judge.criteria.shapes import NOTHING, Increments, Measurement, Scores
from sidecar.judge.evidence.bets import Bets
from sidecar.judge.evidence.interval import Interval, rate_interval
from sidecar.judge.evidence.mean_bets import MeanBets
from sidecar.judge.evidence.mixtures import Side, rate_evidence

_NO_ERROR = ((0.0, 0.0),)


class Rate(Criterion):
    """Judged by the mixture of likelihood ratios of `evidence.mixtures`."""

    def claims(self, plan: Plan) -> tuple[Bets, ...]:
        """See `Criterion.claims`."""
        return (MeanBets(self.margin, plan.swing),)

    def scored(self, plan: Plan, counted: Increments) -> Scores:
        """See `Criterion.scored`."""
        if len(counted) == 1 and counted[0][0] == "n":
            return counted[0][1], _NO_ERROR  # most calls
        n = k = open_ = 0.0
        for name, weight in counted:
            if name == "n":
                n += weight
            elif name == "k":
                k += weight
            elif name == "open":
                open_ += weight
        return n, ((k + open_, k),)

    def with_lost(self, plan: Plan, cell: Mapping[str, float], calls: float) -> Mapping[str, float]:
        """See `Criterion.with_lost`: at their best they are good."""
        return {**cell, "n": cell.get("n", 0.0) + calls}

    def with_worst(
        self, plan: Plan, cell: Mapping[str, float], calls: float
    ) -> Mapping[str, float]:
        """See `Criterion.with_worst`: at their worst they are bad."""
        return {**cell, **{name: cell.get(name, 0.0) + calls for name in ("n", "k")}}

    def measure(self, plan: Plan, cell: Mapping[str, float], scale: float = 1.0) -> Measurement:
        """See `Criterion.measure`."""
        n, k = cell.get("n", 0.0) * scale, cell.get("k", 0.0) * scale
        if n <= 0:
            return NOTHING
        worst = min(n, k + cell.get("open", 0.0) * scale)
        return Measurement(
            n,
            k / n,
            float(rate_evidence(n, worst, self.margin, Side.PASS)),
            float(rate_evidence(n, k, self.margin, Side.FAIL)),
        )

    def interval(self, plan: Plan, cell: Mapping[str, float], alpha: float) -> Interval | None:
        """See `Criterion.interval`."""
        n, k = cell.get("n", 0.0), cell.get("k", 0.0)
        if n <= 0:
            return None
        worst = min(n, k + cell.get("open", 0.0))
        low = rate_interval(n, k, self.margin, alpha)[0]
        return low, rate_interval(n, worst, self.margin, alpha)[1]
