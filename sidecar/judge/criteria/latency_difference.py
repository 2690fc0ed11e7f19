"""Mean of the shadow's latency minus the reference's in seconds, within a declared range.

Larger differences count as large as the range. A call that met the shadow's deadline counts as
large as the range for PASS, and as long as it waited for FAIL, so its mean is clipped there.
Counters: n, controls; three splat histograms, of the differences that are known, and (names with w
and g before the edge) of those that met a deadline at their worst and at their best; and l, calls
of which nothing is known, for they were lost or failed otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from sidecar.fields import Seconds
from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.counting import splatted
from sidecar.judge.criteria.mean import Mean
from sidecar.judge.criteria.of_times import OfTimes, by_control
from sidecar.judge.criteria.shapes import NOTHING, Increments, Measurement, Scores, Unit
from sidecar.judge.evidence.bets import Bets
from sidecar.judge.evidence.mean_bets import MeanBets
from sidecar.judge.evidence.mixtures import Floats
from sidecar.judge.evidence.splat import signed_edges
from sidecar.judge.number import number
from sidecar.judge.pair import JudgedPair
from sidecar.judge.ranges import Ranges


class LatencyDifference(OfTimes, Mean):
    """Is the shadow slower, on average."""

    kind: Literal["latency_difference"] = "latency_difference"
    range_seconds: Seconds = 1.0  # larger differences count as this large

    def problems(self) -> list[str]:
        """See `Criterion.problems`."""
        allowed = -self.range_seconds < self.margin < self.range_seconds
        return [] if allowed else ["margin must lie within range_seconds"]

    def plan(self, control_fraction: float = 0.0) -> Plan:
        """See `Criterion.plan`."""
        edges = signed_edges(self.range_seconds)
        return Plan(self, control_fraction, net=control_fraction > 0, edges=edges)

    def count(self, plan: Plan, pair: JudgedPair, ranges: Ranges) -> Increments:
        """See `Criterion.count`."""
        found = self.times(plan, pair)
        if found is None:
            return [("n", 1.0)] if by_control(plan) else []
        a, a_most, b, b_most = found
        counted = [("n", 1.0)]
        if a == a_most:
            counted.append(("controls", 1.0))
        most, least = (b_most - a) / 1e9, (b - a_most) / 1e9
        if a == a_most and b == b_most:
            return counted + splatted(most, plan.edges)
        if min(a, b) <= 0:
            return [*counted, ("l", 1.0)]
        counted += [(f"w{name}", weight) for name, weight in splatted(most, plan.edges)]
        return counted + [(f"g{name}", weight) for name, weight in splatted(least, plan.edges)]

    def claims(self, plan: Plan) -> tuple[Bets, ...]:
        """See `Criterion.claims`."""
        limit = self.range_seconds
        return (MeanBets(self.margin, plan.swing, -limit, limit),)

    def scored(self, plan: Plan, counted: Increments) -> Scores:
        """See `Criterion.scored`."""
        n = least = most = 0.0
        for name, weight in counted:
            if name == "l":
                return weight, ((weight * plan.edges[-1], weight * plan.edges[0]),)
            if name.isdigit():
                n += weight
                least += weight * plan.edges[int(name)]
                most += weight * plan.edges[int(name)]
            elif name[0] == "w" and name[1:].isdigit():
                n += weight
                most += weight * plan.edges[int(name[1:])]
            elif name[0] == "g" and name[1:].isdigit():
                least += weight * plan.edges[int(name[1:])]
        return n, ((most, least),)

    def ends(self, plan: Plan, cell: Mapping[str, float]) -> tuple[Floats, Floats]:
        """See `Mean.ends`."""
        known, worst, best = (_counts(plan, cell, prefix) for prefix in ("", "w", "g"))
        lost = cell.get("l", 0.0)
        best[0] += lost
        worst[-1] += lost
        return known + best, known + worst

    def measure(self, plan: Plan, cell: Mapping[str, float], scale: float = 1.0) -> Measurement:
        """See `Criterion.measure`: the mean is of what was measured, clipped at the deadline."""
        measured = _counts(plan, cell, "") + _counts(plan, cell, "g")
        n = float(measured.sum())
        if n <= 0:
            return NOTHING
        found = Mean.measure(self, plan, cell, scale)
        return replace(found, n=n * scale, estimate=float(measured @ np.asarray(plan.edges)) / n)

    @property
    def unit(self) -> Unit:
        """See `Criterion.unit`."""
        return Unit.SECONDS

    @property
    def about(self) -> str:
        """See `Criterion.about`."""
        most = number(self.range_seconds)
        return f"mean latency, each difference clipped at {most} s and at the deadline,"

    def said(self, plan: Plan, figure: str) -> str:
        """See `Criterion.said`."""
        return f"mean latency is {figure}"


def _counts(plan: Plan, cell: Mapping[str, float], prefix: str) -> Floats:
    return np.array([cell.get(f"{prefix}{i}", 0.0) for i in range(len(plan.edges))])
