"""A quantile of the shadow's latency against production's; a margin of 0.1 is +10 %.

Counters: a<i> and b<i>, production's and the shadow's latency by bucket.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sidecar.judge.criteria.base import NOTHING, Criterion, Increments, Measurement, Plan, Unit
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.mixtures import Side
from sidecar.judge.evidence.quantile import (
    bucket,
    quantile_estimate,
    quantile_interval,
    ratio_evidence,
)
from sidecar.judge.number import number
from sidecar.judge.pair import JudgedPair
from sidecar.judge.ranges import Ranges


class LatencyRatio(Criterion):
    """Is the shadow slower, at a quantile."""

    kind: Literal["latency_ratio"] = "latency_ratio"
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.95
    measures_latency: ClassVar[bool] = True

    def problems(self) -> list[str]:
        """See `Criterion.problems`."""
        return [] if 0 < self.margin <= 100 else ["margin must be above 0, at most 100"]

    def count(self, plan: Plan, pair: JudgedPair, ranges: Ranges) -> Increments:
        """See `Criterion.count`."""
        if pair.failed_fast:
            return []  # how fast it failed is no latency
        return [
            (f"a{bucket(pair.production_latency_ns)}", 1.0),
            (f"b{bucket(pair.shadow_latency_ns)}", 1.0),
        ]

    def magnitude(self, plan: Plan, pair: JudgedPair, counted: Increments) -> float:
        """See `Criterion.magnitude`."""
        return (pair.shadow_latency_ns - pair.production_latency_ns) / 1e9

    def measure(self, plan: Plan, cell: Mapping[str, float], scale: float = 1.0) -> Measurement:
        """See `Criterion.measure`."""
        a, b = _buckets(cell, "a", scale), _buckets(cell, "b", scale)
        p, ratio = self.quantile, 1 + self.margin
        before, after = quantile_estimate(a, p), quantile_estimate(b, p)
        if before is None or after is None:
            return NOTHING
        return Measurement(
            sum(b.values()),
            after / before - 1,
            ratio_evidence(a, b, p, ratio, Side.PASS),
            ratio_evidence(a, b, p, ratio, Side.FAIL),
        )

    def interval(self, plan: Plan, cell: Mapping[str, float], alpha: float) -> Interval | None:
        """See `Criterion.interval`."""
        a, b = _buckets(cell, "a"), _buckets(cell, "b")
        if not a:
            return None
        low_a, high_a = quantile_interval(a, self.quantile, alpha / 2)
        low_b, high_b = quantile_interval(b, self.quantile, alpha / 2)
        return low_b / high_a - 1, high_b / low_a - 1 if low_a > 0 else math.inf

    @property
    def unit(self) -> Unit:
        """See `Criterion.unit`."""
        return Unit.CHANGE

    @property
    def about(self) -> str:
        """See `Criterion.about`."""
        return f"p{number(100 * self.quantile)} latency against production's"

    def said(self, plan: Plan, figure: str) -> str:
        """See `Criterion.said`."""
        return f"p{number(100 * self.quantile)} latency is {figure}"


def _buckets(cell: Mapping[str, float], side: str, scale: float = 1.0) -> dict[int, float]:
    return {int(k[1:]): v * scale for k, v in cell.items() if k.startswith(side)}
