"""precision: how many fewer of the shadow's positives are right, by labels."""

from __future__ import annotations

from typing import Literal

from sidecar.judge.criteria.labelled import ClassCriterion
from sidecar.judge.criteria.paired_ratio import RatioPlan


class Precision(ClassCriterion):
    """`precision`: how many fewer of the shadow's positives are right."""

    kind: Literal["precision"] = "precision"

    def plan(self, control_fraction: float) -> _Plan:
        return _Plan(self, control_fraction)


class _Plan(RatioPlan):
    def parts(self, says: int, so: int) -> tuple[float, float]:
        return float(says and so), float(says)
