"""decision_flips: the share of calls whose decision changes, or what the changes cost on average."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import model_validator

from sidecar.judge.criteria.base import Increments, OutputCriterion, Plan, matched_values
from sidecar.judge.criteria.mean import MeanPlan
from sidecar.judge.criteria.memory import Memory
from sidecar.judge.criteria.rate import RatePlan, scored
from sidecar.judge.criteria.units import Unit, written
from sidecar.judge.decision import Decided, Decision, decisions, flips, mean_cost
from sidecar.judge.evidence.splat import even_edges
from sidecar.judge.pair import JudgedPair


class DecisionFlips(OutputCriterion):
    """`decision_flips`: the share of calls whose decision changes, or its mean cost."""

    kind: Literal["decision_flips"] = "decision_flips"
    decision: Decision  # what is done with an output downstream

    @model_validator(mode="after")
    def _within(self) -> DecisionFlips:
        low, high = self.decision.cost_range
        if self.decision.cost is None and not 0 < self.margin < 1:
            raise ValueError("margin must be between 0 and 1")
        if not low < self.margin < high:
            raise ValueError(f"margin must lie between the costs {low} and {high}")
        return self

    def plan(self, control_fraction: float) -> Plan:
        if self.decision.cost is None:
            return _Share(self, control_fraction)
        return _Cost(self, control_fraction, even_edges(*self.decision.cost_range))

    def wanted(self) -> tuple[str, ...]:
        return (self.outputs,)


def _decided(
    criterion: DecisionFlips, pair: JudgedPair
) -> list[tuple[list[Decided], list[Decided]]] | None:
    """Both sides' decisions by output; none for a shadow that failed; None: it is not about it."""
    rule = criterion.decision
    found = [
        (decisions(rule, a), decisions(rule, b) if b is not None else [])
        for _, a, b in matched_values(criterion.outputs, pair)
        if a is not None
    ]
    found = [(a, b) for a, b in found if a]
    return found if found or pair.failed else None


class _Share(RatePlan):
    criterion: DecisionFlips

    def count(self, pair: JudgedPair, memory: Memory) -> Increments:
        found = _decided(self.criterion, pair)
        if found is None:
            return []
        return scored(math.fsum(flips(a, b) for a, b in found) / len(found) if found else 1.0)

    def said(self, estimate: float) -> str:
        return f"{written(estimate, self.unit)} of decisions change"

    def about(self) -> str:
        return "calls whose decision changes"


class _Cost(MeanPlan):
    criterion: DecisionFlips
    unit = Unit.PLAIN

    def count(self, pair: JudgedPair, memory: Memory) -> Increments:
        found, rule = _decided(self.criterion, pair), self.criterion.decision
        if found is None:
            return []
        if not found:
            return self.scored(self.high)
        return self.scored(math.fsum(mean_cost(rule, a, b) for a, b in found) / len(found))

    def magnitude(self, pair: JudgedPair, counted: Increments) -> float:
        return self.mean(counted) - self.low

    def said(self, estimate: float) -> str:
        return f"decisions cost {written(estimate, self.unit)} on average"

    def about(self) -> str:
        return "mean cost of changed decisions"
