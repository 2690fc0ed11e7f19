"""A quantile of the shadow's latency over the reference's, call by call; a margin of 0.1 is +10 %.

R = B / A of one call; the claim is Q_R(p) <= 1 + d, which is P(R > 1 + d) <= 1 - p: a rate, with
X = 1{R > 1 + d} and the margin 1 - p. Where calls differ hugely in size the size is in both and
divides out, so it decides sooner than two quantiles of all calls.

Only the median can be required: R and 1 / R of two identical servers have the same distribution, so
their median is 1, but above it lies whatever varies from call to call.

Counters: n, controls; k and k0, calls with R > 1 + d, what is not known at its worst and at its
best; r<i>, R by bucket; s, calls whose R is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.of_times import OfTimes, by_control
from sidecar.judge.criteria.shapes import NOTHING, Increments, Measurement, Scores, Unit
from sidecar.judge.evidence.bets import Bets
from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.evidence.histogram import ENDLESS, bucket
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.mean_bets import MeanBets
from sidecar.judge.evidence.mixtures import Side, rate_evidence, threshold
from sidecar.judge.evidence.quantile import quantile_estimate, quantile_interval
from sidecar.judge.number import number
from sidecar.judge.pair import JudgedPair
from sidecar.judge.ranges import Ranges

MEDIAN = 0.5
ONE = 1e6  # a ratio of 1 goes into the buckets of latencies as a millisecond


class LatencyPerCall(OfTimes):
    """Is the shadow slower, call by call."""

    kind: Literal["latency_per_call"] = "latency_per_call"
    quantile: Annotated[float, Field(gt=0, lt=1)] = (
        MEDIAN  # which one; only the median can be required
    )
    figure_is_mean: ClassVar[bool] = False

    def problems(self) -> list[str]:
        """See `Criterion.problems`."""
        found = [] if 0 < self.margin <= 100 else ["margin must be above 0, at most 100"]
        if self.required and self.quantile != MEDIAN:
            found.append("only the median (quantile: 0.5) can be required: above it lies noise")
        return found

    def plan(self, control_fraction: float = 0.0) -> Plan:
        """See `Criterion.plan`."""
        return Plan(self, control_fraction, net=control_fraction > 0)

    def count(self, plan: Plan, pair: JudgedPair, ranges: Ranges) -> Increments:
        """See `Criterion.count`."""
        found = self.times(plan, pair)
        if found is None:
            return [("n", 1.0)] if by_control(plan) else []
        a, a_most, b, b_most = found
        counted = [("n", 1.0), ("m", 1.0)]
        if a == a_most:
            counted.append(("controls", 1.0))
        slow = 1 + self.margin
        if b_most > slow * a:
            counted.append(("k", 1.0))
        if b > slow * a_most:
            counted.append(("k0", 1.0))
        if a == a_most and b == b_most:
            counted.append((f"r{bucket(ONE * b / max(a, 1.0))}", 1.0))
        elif a == a_most and b > 0:
            counted.append((f"r{ENDLESS}", 1.0))
        return counted

    def claims(self, plan: Plan) -> tuple[Bets, ...]:
        """See `Criterion.claims`."""
        return (MeanBets(1 - self.quantile, plan.swing, 0.0, 1.0),)

    def scored(self, plan: Plan, counted: Increments) -> Scores:
        """See `Criterion.scored`."""
        found = dict(counted)
        return found.get("m", 0.0), ((found.get("k", 0.0), found.get("k0", 0.0)),)

    def measure(self, plan: Plan, cell: Mapping[str, float], scale: float = 1.0) -> Measurement:
        """See `Criterion.measure`."""
        ratio = quantile_estimate(_ratios(cell, 1.0), self.quantile)
        if ratio is None:
            return NOTHING
        n, share = cell.get("m", 0.0) * scale, 1 - self.quantile
        most, least = cell.get("k", 0.0) * scale, cell.get("k0", 0.0) * scale
        return Measurement(
            n,
            ratio / ONE - 1,
            float(rate_evidence(n, most, share, Side.PASS)),
            float(rate_evidence(n, least, share, Side.FAIL)),
        )

    def interval(self, plan: Plan, cell: Mapping[str, float], alpha: float) -> Interval | None:
        """See `Criterion.interval`."""
        found = self.measure(plan, cell)
        return self._interval(cell, alpha, 1.0, found.log_pass, found.log_fail)

    def interval_by_blocks(
        self, plan: Plan, cell: Mapping[str, float], blocks: Sequence[Blocks], alpha: float
    ) -> Interval | None:
        """See `Criterion.interval_by_blocks`: as of so many calls as they are worth, for people."""
        one = blocks[0]
        worth = min(1.0, one.effective_calls / one.calls) if one.calls > 0 else 1.0
        told = one.evidence()
        return self._interval(cell, alpha, worth, told.log_pass, told.log_fail)

    def _interval(
        self,
        cell: Mapping[str, float],
        alpha: float,
        scale: float,
        log_pass: float,
        log_fail: float,
    ) -> Interval | None:
        ratios = _ratios(cell, scale)
        if not ratios:
            return None
        low, high = quantile_interval(ratios, self.quantile, alpha)
        low, high, limit = low / ONE - 1, high / ONE - 1, threshold(alpha / 2)
        # Its ends never contradict the evidence.
        if log_pass >= limit:
            low, high = min(low, self.margin), min(high, self.margin)
        if log_fail >= limit:
            low, high = max(low, self.margin), max(high, self.margin)
        return low, high

    @property
    def unit(self) -> Unit:
        """See `Criterion.unit`."""
        return Unit.CHANGE

    @property
    def about(self) -> str:
        """See `Criterion.about`."""
        which = "median" if self.quantile == MEDIAN else f"p{number(100 * self.quantile)}"
        return f"{which} latency ratio of single calls"

    def said(self, plan: Plan, figure: str) -> str:
        """See `Criterion.said`."""
        return f"{self.about} is {figure}"


def _ratios(cell: Mapping[str, float], scale: float) -> dict[int, float]:
    return {int(k[1:]): v * scale for k, v in cell.items() if k[0] == "r"}
