"""How much larger the shadow's root mean squared error is, by labels; a margin of 0.1 is +10 %.

RMSE_b <= (1 + d) RMSE_a exactly where E[e_b^2 - (1 + d)^2 e_a^2] <= 0, the mean of a bounded score
of one call; so the margin is relative. Counters: as `labelled`, and sa and sb, the sums of squared
errors of both sides, in squares of the largest error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.labelled import Decisions, Labelled
from sidecar.judge.criteria.of_errors import OfErrors
from sidecar.judge.criteria.shapes import NOTHING, Increments, Measurement, Scores, Unit
from sidecar.judge.evidence.bets import Bets
from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.mean_bets import MeanBets
from sidecar.judge.evidence.mixtures import Side, mean_evidence
from sidecar.judge.evidence.splat import even_edges
from sidecar.judge.labels import Label
from sidecar.judge.number import number


class RMSE(OfErrors):
    """Are the shadow's errors larger, above all the large ones."""

    kind: Literal["rmse"] = "rmse"
    labels: Literal["disagreements", "sample"] = "sample"  # an agreement's error counts too
    figure_is_mean: ClassVar[bool] = False

    def problems(self) -> list[str]:
        """See `Criterion.problems`."""
        found = [] if 0 < self.margin <= 10 else ["margin must be above 0, at most 10"]
        if self.labels != "sample":
            found.append("rmse needs labels: sample, since it also depends on agreements")
        return found

    @property
    def _scale(self) -> float:
        return (1 + self.margin) ** 2

    def plan(self, control_fraction: float = 0.0) -> Plan:
        """See `Criterion.plan`."""
        return Plan(self, control_fraction, edges=even_edges(-self._scale, 1.0, also=(0.0,)))

    def claims(self, plan: Plan) -> tuple[Bets, ...]:
        """See `Criterion.claims`."""
        return (MeanBets(0.0, plan.swing, plan.edges[0], plan.edges[-1]),)

    def by_label(self, plan: Plan, rows: Decisions, label: Label) -> Increments | None:
        """See `Labelled.by_label`."""
        counted = super().by_label(plan, rows, label)
        found = self.errors(rows, label)
        if counted is None or not found:
            return counted
        share = label.weight / len(found)
        ours, theirs = (share * math.fsum(e[i] ** 2 for e in found) for i in (0, 1))
        return [*counted, ("sa", ours), ("sb", theirs)]

    def scored(self, plan: Plan, counted: Increments) -> Scores:
        """See `Criterion.scored`."""
        return super().scored(plan, [one for one in counted if one[0] not in {"sa", "sb"}])

    def lead(self, rows: Decisions, label: Label) -> float | None:
        """See `Labelled.lead`: the score whose mean must not be above zero."""
        found = self.errors(rows, label)
        if not found:
            return None
        return math.fsum(b * b - self._scale * a * a for a, b in found) / len(found)

    def measure(self, plan: Plan, cell: Mapping[str, float], scale: float = 1.0) -> Measurement:
        """See `Criterion.measure`."""
        good, bad = self.ends(plan, cell)
        n = float(good.sum())
        if n <= 0:
            return NOTHING
        low, high = plan.edges[0], plan.edges[-1]
        logs = [
            float(mean_evidence(plan.edges, counts * scale, 0.0, low, high, side))
            for side, counts in ((Side.PASS, bad), (Side.FAIL, good))
        ]
        return replace(NOTHING, n=n * scale, estimate=_ratio(cell), log_pass=logs[0],
                       log_fail=logs[1])  # fmt: skip

    def interval(self, plan: Plan, cell: Mapping[str, float], alpha: float) -> Interval | None:
        """See `Criterion.interval`: that of the score, at production's error as measured."""
        found = Labelled.interval(self, plan, cell, alpha)
        return None if found is None else self._of_scores(cell, found)

    def interval_by_blocks(
        self, plan: Plan, cell: Mapping[str, float], blocks: Sequence[Blocks], alpha: float
    ) -> Interval | None:
        """See `Criterion.interval_by_blocks`."""
        return self._of_scores(cell, blocks[0].interval(alpha))

    def _of_scores(self, cell: Mapping[str, float], found: Interval) -> Interval:
        n, ours = cell.get("n", 0.0), cell.get("sa", 0.0)
        if ours <= 0 or n <= 0:
            return -1.0, math.inf
        low, high = (math.sqrt(max(0.0, s * n / ours + self._scale)) - 1 for s in found)
        return low, high

    @property
    def unit(self) -> Unit:
        """See `Criterion.unit`."""
        return Unit.CHANGE

    @property
    def about(self) -> str:
        """See `Criterion.about`."""
        most = number(self.largest_error)
        return f"root mean squared error, by labels, each error at most {most}, against production"

    def said(self, plan: Plan, figure: str) -> str:
        """See `Criterion.said`."""
        return (
            f"the root mean squared error (each at most {number(self.largest_error)}) is {figure}"
        )


def _ratio(cell: Mapping[str, float]) -> float:
    ours, theirs = cell.get("sa", 0.0), cell.get("sb", 0.0)
    if ours <= 0:
        return math.inf if theirs > 0 else 0.0
    return math.sqrt(theirs / ours) - 1
