"""A quantile of the shadow's latency against the reference's; a margin of 0.1 is +10 %.

The claim is Q_B(p) <= (1 + d) Q_A(p), about the p-quantiles of the reference A and the shadow B. In
blocks of time it is a claim about a mean. Let f be 0 below a level x and 1 above it; then for any x

    X = f(B / (1 + d)) - f(A),   in [-1, 1],   E X <= 0   if and only if
    Q_B(p') <= (1 + d) Q_A(p')   at p' = P(A <= x),

so the mean of X, in blocks as every bounded score, is evidence about the quantile p'. The level is
the reference's p-quantile as `levels` has learned it from earlier calls: fixed before the call
that is held against it, which is all that the betting martingale needs, and p' is near p. Both
terms are of the same call: what makes calls slow for a while, the night, a burst or a busy machine,
is in both. Where A and B are exchangeable, as two identical servers beside a control are, f(B / (1
+ d)) is at most f(B) and E X <= 0 at every level: so a FAIL of identical servers needs chance, and
that is bounded. (E X over all levels is the distance of the ordinal dominance, or P-P, curve from
its diagonal: Bamber 1975. Betting on the mean of a bounded score: `evidence.betting`.)

PASS also asks that the share of the reference above its levels was about 1 - p: where everything
has changed since they were learned, another quantile would have been compared.

A call that met the shadow's deadline is infinitely slow for PASS, and as slow as it waited for
FAIL; one that failed otherwise counts at its worst for PASS and at its best for FAIL.

Where calls are taken as independent the evidence is `quantile.ratio_evidence`, of bounds on both
quantiles, which needs no level.

Counters: a<i> and b<i>, the reference's and the shadow's time by bucket; y<i> and z<i>, the same of
those that are longer than that, nobody knows how much; of calls with a level m, their number, s,
the sum of f(A), and u and v, the sums of 1 + X at its most and at its least; and beside a control
n, and controls, of which its time is known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.of_times import OfTimes, by_control
from sidecar.judge.criteria.shapes import NOTHING, Measurement, Unit
from sidecar.judge.evidence.bets import Bets
from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.evidence.histogram import ENDLESS
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.mean_bets import MeanBets
from sidecar.judge.evidence.mixtures import Side, threshold
from sidecar.judge.evidence.quantile import (
    quantile_estimate,
    quantile_interval,
    ratio_evidence,
)
from sidecar.judge.number import number
from sidecar.judge.tallies.latencies import Quantiles
from sidecar.judge.tallies.tally import Tally

OFF = 0.5  # how far the share above the levels may lie from 1 - p, as a part of the tail


class LatencyRatio(OfTimes):
    """Is the shadow slower, at a quantile."""

    kind: Literal["latency_ratio"] = "latency_ratio"
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.95  # which one
    figure_is_mean: ClassVar[bool] = False

    def problems(self) -> list[str]:
        """See `Criterion.problems`."""
        return [] if 0 < self.margin <= 100 else ["margin must be above 0, at most 100"]

    def plan(self, control_fraction: float = 0.0) -> Plan:
        """See `Criterion.plan`."""
        return Plan(self, control_fraction, net=control_fraction > 0)

    def tally(self, plan: Plan) -> Tally:
        """See `Criterion.tally`."""
        return Quantiles(
            self.methods,
            self.name,
            self.of,
            by_control=by_control(plan),
            quantile=self.quantile,
            margin=self.margin,
        )

    def claims(self, plan: Plan) -> tuple[Bets, ...]:
        """See `Criterion.claims`."""
        return (MeanBets(0.0, plan.swing, -1.0, 1.0),)

    def measure(self, plan: Plan, cell: Mapping[str, float], scale: float = 1.0) -> Measurement:
        """See `Criterion.measure`."""
        a, b = _Times(cell, "a", "y", scale), _Times(cell, "b", "z", scale)
        p, ratio = self.quantile, 1 + self.margin
        before, after = quantile_estimate(a.shown, p), quantile_estimate(b.shown, p)
        if before is None or after is None:
            return NOTHING
        return Measurement(
            sum(b.shown.values()),
            math.inf if math.isinf(before) else after / before - 1,
            ratio_evidence(a.least, b.most, p, ratio, Side.PASS),
            ratio_evidence(a.most, b.least, p, ratio, Side.FAIL),
            self._is_near(cell),
        )

    def _is_near(self, cell: Mapping[str, float]) -> bool:
        """Whether the quantile that blocks are about is near the one that was asked for."""
        n, p = cell.get("m", 0.0), self.quantile
        return n <= 0 or abs(cell.get("s", 0.0) / n - (1 - p)) <= OFF * min(p, 1 - p)

    def interval(self, plan: Plan, cell: Mapping[str, float], alpha: float) -> Interval | None:
        """See `Criterion.interval`."""
        return self._interval(cell, alpha, 1.0)

    def interval_by_blocks(
        self, plan: Plan, cell: Mapping[str, float], blocks: Sequence[Blocks], alpha: float
    ) -> Interval | None:
        """See `Criterion.interval_by_blocks`: as of so many calls as they are worth, for people.

        Its ends never contradict the evidence.
        """
        one = blocks[0]
        worth = one.effective_calls / one.calls if one.calls > 0 else 1.0
        found = self._interval(cell, alpha, min(1.0, worth))
        if found is None:
            return None
        (low, high), told, limit = found, one.evidence(), threshold(alpha / 2)
        if told.log_pass >= limit:
            low, high = min(low, self.margin), min(high, self.margin)
        if told.log_fail >= limit:
            low, high = max(low, self.margin), max(high, self.margin)
        return low, high

    def _interval(self, cell: Mapping[str, float], alpha: float, scale: float) -> Interval | None:
        a, b, p = _Times(cell, "a", "y", scale), _Times(cell, "b", "z", scale), self.quantile
        if not a.shown or not b.shown:
            return None
        low_a = quantile_interval(a.least, p, alpha / 2)[0]
        high_a = quantile_interval(a.most, p, alpha / 2)[1]
        low_b = quantile_interval(b.least, p, alpha / 2)[0]
        high_b = quantile_interval(b.most, p, alpha / 2)[1]
        low = low_b / high_a - 1 if math.isfinite(high_a) else -1.0
        return low, high_b / low_a - 1 if low_a > 0 else math.inf

    @property
    def unit(self) -> Unit:
        """See `Criterion.unit`."""
        return Unit.CHANGE

    @property
    def about(self) -> str:
        """See `Criterion.about`."""
        return f"p{number(100 * self.quantile)} {self.noun}"

    def said(self, plan: Plan, figure: str) -> str:
        """See `Criterion.said`."""
        return f"{self.about} is {figure}"


class _Times:
    """One side's times by bucket: at their least, at their most, and as they are shown."""

    def __init__(self, cell: Mapping[str, float], known: str, cut: str, scale: float) -> None:
        measured = _buckets(cell, known, scale)
        longer = _buckets(cell, cut, scale)
        lost = longer.get(0, 0.0)  # that say nothing: they are not shown
        endless = sum(longer.values())
        self.least = dict(measured)
        for i, count in longer.items():
            self.least[i] = self.least.get(i, 0.0) + count
        self.most = measured | ({ENDLESS: endless} if endless else {})
        self.shown = measured | ({ENDLESS: endless - lost} if endless > lost else {})


def _buckets(cell: Mapping[str, float], side: str, scale: float) -> dict[int, float]:
    return {int(k[1:]): v * scale for k, v in cell.items() if k[0] == side and k[1:].isdigit()}
