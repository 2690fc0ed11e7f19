"""recall: how much less often the shadow says yes where the label does.

A paired mean among the calls whose label is positive: both sides are asked of the same calls.
"""

from __future__ import annotations

from typing import Literal

from sidecar.judge.criteria.labelled import (
    ClassCriterion,
    Decisions,
    DifferencePlan,
    decided_rows,
    told,
    truth_of,
)
from sidecar.judge.decision import Decided
from sidecar.judge.evidence.splat import even_edges
from sidecar.judge.labels import Label
from sidecar.judge.pair import Value


class Recall(ClassCriterion):
    """`recall`: how much less often the shadow says yes where the label does."""

    kind: Literal["recall"] = "recall"

    def plan(self, control_fraction: float) -> _Plan:
        return _Plan(self, control_fraction, even_edges(-1.0, 1.0))


class _Plan(DifferencePlan):
    criterion: Recall

    def rows(self, value: Value) -> tuple[Decided, ...]:
        return decided_rows(self.criterion.decision, value)

    def score(self, rows: Decisions, label: Label) -> tuple[bool, float | None]:
        truth = truth_of(label, len(rows.production))
        if truth is None:
            return False, None
        positive = [row for row in told(rows, truth) if row[2] == self.criterion.positive]
        if not positive:
            return True, None
        return True, sum((a == y) - (b == y) for a, b, y in positive) / len(positive)
