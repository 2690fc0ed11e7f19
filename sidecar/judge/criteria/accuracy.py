"""accuracy: how much less often the shadow's decisions are right, by labels."""

from __future__ import annotations

from typing import Literal

from sidecar.judge.criteria.labelled import (
    DecisionCriterion,
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


class Accuracy(DecisionCriterion):
    """`accuracy`: how much less often the shadow's decisions are right."""

    kind: Literal["accuracy"] = "accuracy"
    labels: Literal["disagreements", "sample"] = "disagreements"  # which calls get labels

    def plan(self, control_fraction: float) -> _Plan:
        return _Plan(self, control_fraction, even_edges(-1.0, 1.0))


class _Plan(DifferencePlan):
    criterion: Accuracy

    @property
    def disagreements(self) -> bool:  # type: ignore[override]
        return self.criterion.labels == "disagreements"

    def rows(self, value: Value) -> tuple[Decided, ...]:
        return decided_rows(self.criterion.decision, value)

    def score(self, rows: Decisions, label: Label) -> tuple[bool, float | None]:
        truth = truth_of(label, len(rows.production))
        if not truth:
            return False, None
        return True, sum((a == y) - (b == y) for a, b, y in told(rows, truth)) / len(truth)
