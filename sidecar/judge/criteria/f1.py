"""f1: how much lower the shadow's F1 is, by labels: 2 tp / (said yes + are yes)."""

from __future__ import annotations

from typing import Literal

from sidecar.judge.criteria.labelled import ClassCriterion
from sidecar.judge.criteria.paired_ratio import RatioPlan


class F1(ClassCriterion):
    """`f1`: how much lower the shadow's F1 is."""

    kind: Literal["f1"] = "f1"

    def plan(self, control_fraction: float) -> _Plan:
        return _Plan(self, control_fraction)


class _Plan(RatioPlan):
    def parts(self, says: int, so: int) -> tuple[float, float]:
        return float(says and so), (says + so) / 2  # halves, so that both lie in [0, 1]

    def figure(self) -> str:
        return "F1"
