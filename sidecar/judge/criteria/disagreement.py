"""disagreement: the share or mean score of calls whose outputs differ, net of a control's.

Counters: "controls" counts the calls to which the control gave an answer.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from sidecar.compare.result import Comparison, Outcome
from sidecar.judge.criteria.base import Increments, OutputCriterion, Plan, Share, names
from sidecar.judge.criteria.mean import MeanPlan
from sidecar.judge.criteria.memory import Memory
from sidecar.judge.criteria.rate import RatePlan, scored
from sidecar.judge.criteria.units import written
from sidecar.judge.evidence.splat import even_edges
from sidecar.judge.pair import JudgedPair

_UNREADABLE = frozenset({Outcome.SHADOW_ERROR, Outcome.UNDECODABLE, Outcome.MESSAGE_COUNT})


class Disagreement(OutputCriterion):
    """`disagreement`: the share or mean score of calls whose outputs differ."""

    kind: Literal["disagreement"] = "disagreement"
    margin: Share  # share of calls, or mean score
    score: Literal["any", "mean"] = "any"  # does any output differ, or how much
    net: bool = True  # net of the control's, where there is a control
    alike: ClassVar[bool] = True

    def plan(self, control_fraction: float) -> Plan:
        if self.net and control_fraction > 0:
            return _Net(self, control_fraction)
        return _Gross(self, control_fraction)


def score_of(criterion: Disagreement, comparison: Comparison) -> float | None:
    """A comparison's score in [0, 1] under a criterion; None when no output concerns it."""
    if comparison.outcome in _UNREADABLE:
        return 1.0
    if not comparison.outputs:
        return 0.0 if comparison.agrees else 1.0
    outputs = [o for o in comparison.outputs if names(criterion.outputs, o.name)]
    if not outputs:
        return None
    if criterion.score == "any":
        return 1.0 if any(o.outcome is not Outcome.EQUAL for o in outputs) else 0.0
    return min(1.0, max(0.0, math.fsum(o.score for o in outputs) / len(outputs)))


def _magnitude(criterion: Disagreement, pair: JudgedPair) -> float:
    """Among calls that disagree alike, those whose outputs are further apart come first."""
    share = score_of(criterion, pair.comparison)
    if not share:
        return 0.0
    scores = [o.score for o in pair.comparison.outputs]
    return share + (math.fsum(scores) / len(scores) if scores else 1.0)


def _said(criterion: Disagreement, figure: str) -> str:
    return f"{figure} {'of calls disagree' if criterion.score == 'any' else 'apart on average'}"


class _Gross(RatePlan):
    criterion: Disagreement

    def count(self, pair: JudgedPair, memory: Memory) -> Increments:
        score = score_of(self.criterion, pair.comparison)
        return [] if score is None else scored(score)

    def magnitude(self, pair: JudgedPair, counted: Increments) -> float:
        return _magnitude(self.criterion, pair)

    def said(self, estimate: float) -> str:
        return _said(self.criterion, written(estimate, self.unit))

    def about(self) -> str:
        return "calls whose answers disagree"


class _Net(MeanPlan):
    criterion: Disagreement
    net = True

    def __init__(self, criterion: Disagreement, control_fraction: float) -> None:
        heaviest = 1 / control_fraction  # weight of a controlled call, so that means agree
        edges = even_edges(-heaviest, 1.0, also=(0.0, 1.0 - heaviest))
        super().__init__(criterion, control_fraction, edges)

    def count(self, pair: JudgedPair, memory: Memory) -> Increments:
        score = score_of(self.criterion, pair.comparison)
        if score is None:
            return []
        control = pair.control
        if control is None or control.outcome is Outcome.SHADOW_ERROR:
            return self.scored(score)  # a control that gave no answer excuses nothing
        floor = score_of(self.criterion, control) or 0.0
        return [("controls", 1.0), *self.scored(score - floor / self.control_fraction)]

    def magnitude(self, pair: JudgedPair, counted: Increments) -> float:
        return _magnitude(self.criterion, pair)

    def said(self, estimate: float) -> str:
        return f"{_said(self.criterion, written(estimate, self.unit))}, net of the control"

    def about(self) -> str:
        return "calls whose answers disagree, net of the control's"
