"""Share of decisions that change downstream, or their mean cost.

Counters: n, k; with costs n and a splat histogram of the cost.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from sidecar.fields import Glob
from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.counting import UNREADABLE, matched_values, splat_mean, splatted
from sidecar.judge.criteria.rate_or_mean import RateOrMean
from sidecar.judge.criteria.shapes import Increments, Unit
from sidecar.judge.decision import RULES, Decision, decisions, flips, mean_cost
from sidecar.judge.evidence.splat import even_edges
from sidecar.judge.pair import JudgedPair
from sidecar.judge.ranges import Ranges


class DecisionFlips(RateOrMean):
    """Would something else be done."""

    kind: Literal["decision_flips"] = "decision_flips"
    outputs: Glob = "*"  # glob over the names of the outputs that it is about
    decision: Decision | None = None  # what is done with an output; must be given
    needs_values: ClassVar[bool] = True

    def problems(self) -> list[str]:
        """See `Criterion.problems`."""
        needs = f"decision_flips needs a decision: one of {RULES}"
        missing = [] if self.decision is not None else [needs]
        if not self._has_costs:
            return super().problems() + missing
        low, high = self._rule.cost_range
        inside = low < self.margin < high
        return [] if inside else [f"margin must lie between the costs {low} and {high}"]

    @property
    def _rule(self) -> Decision:
        assert self.decision is not None
        return self.decision

    @property
    def _has_costs(self) -> bool:
        return self.decision is not None and self.decision.cost is not None

    def plan(self, control_fraction: float = 0.0) -> Plan:
        """See `Criterion.plan`."""
        return Plan(self, control_fraction, edges=even_edges(*self._rule.cost_range))

    def count(self, plan: Plan, pair: JudgedPair, ranges: Ranges) -> Increments:
        """See `Criterion.count`."""
        rule = self._rule
        found = [
            (
                a is None,
                [] if a is None else decisions(rule, a),
                [] if b is None else decisions(rule, b),
            )
            for _, a, b in matched_values(self.outputs, pair)
        ]
        # Where one side decides about nothing and the other about something, they differ; an
        # output that only the shadow has matters where there is no other.
        decided = [(a, b) for new, a, b in found if (a or b) and not new]
        decided = decided or [(a, b) for _, a, b in found if a or b]
        if found and self.outputs != "*":
            ranges.has_outputs(self.name, pair.method)
        unread = pair.comparison.outcome in UNREADABLE
        unread = unread and bool(ranges.is_about(self.name, self.outputs, pair.method))
        if not decided and not pair.failed and not unread:
            return []
        if not self._has_costs:
            share = math.fsum(flips(a, b) for a, b in decided) / len(decided) if decided else 1.0
            return [("n", 1.0), ("k", share)] if share else [("n", 1.0)]
        if not decided:
            cost = rule.cost_range[1]
        else:
            cost = math.fsum(mean_cost(rule, a, b) for a, b in decided) / len(decided)
        return [("n", 1.0), *splatted(cost, plan.edges)]

    def magnitude(self, plan: Plan, pair: JudgedPair, counted: Increments) -> float:
        """See `Criterion.magnitude`."""
        if self._has_costs:
            return splat_mean(plan.edges, counted) - plan.edges[0]
        return super().magnitude(plan, pair, counted)

    def is_mean(self, plan: Plan) -> bool:
        """See `RateOrMean.is_mean`."""
        return self._has_costs

    @property
    def unit(self) -> Unit:
        """See `Criterion.unit`."""
        return Unit.PLAIN if self._has_costs else Unit.SHARE

    @property
    def about(self) -> str:
        """See `Criterion.about`."""
        return (
            "mean cost of changed decisions" if self._has_costs else "calls whose decision changes"
        )

    def said(self, plan: Plan, figure: str) -> str:
        """See `Criterion.said`."""
        if self._has_costs:
            return f"decisions cost {figure} on average"
        return f"{figure} of decisions change"
