"""Rates: the mean of scores in [0, 1], measured from their number and their sum. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.judge.criteria.base import NOTHING, Increments, Measurement, Plan
from sidecar.judge.evidence.interval import Interval, rate_interval
from sidecar.judge.evidence.mixtures import Side, rate_evidence


def scored(score: float) -> Increments:
    """One call with its score."""
    return [("n", 1.0), ("k", score)] if score else [("n", 1.0)]


class RatePlan(Plan):
    """A criterion whose scores lie in [0, 1]."""

    def measure(
        self, cell: Mapping[str, float], scale: float = 1.0, lost: float = 0.0
    ) -> Measurement:
        n, k = cell.get("n", 0.0) * scale, cell.get("k", 0.0) * scale
        gone = (cell.get("lost", 0.0) + lost) * scale
        if n <= 0:
            return NOTHING
        margin = self.criterion.margin
        return Measurement(
            n,
            k / n,
            float(rate_evidence(n + gone, k + gone, margin, Side.PASS)),
            float(rate_evidence(n + gone, k, margin, Side.FAIL)),
        )

    def interval(
        self, cell: Mapping[str, float], alpha: float, lost: float = 0.0
    ) -> Interval | None:
        n, k, margin = cell.get("n", 0.0), cell.get("k", 0.0), self.criterion.margin
        gone = cell.get("lost", 0.0) + lost
        if n <= 0:
            return None
        if not gone:
            return rate_interval(n, k, margin, alpha)
        return (
            rate_interval(n + gone, k, margin, alpha)[0],
            rate_interval(n + gone, k + gone, margin, alpha)[1],
        )
