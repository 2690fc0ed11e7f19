"""shadow_error_rate: the share of calls that production answered and the shadow did not."""

from __future__ import annotations

from typing import ClassVar, Literal

from sidecar.judge.criteria.base import Criterion, Increments, Share
from sidecar.judge.criteria.memory import Memory
from sidecar.judge.criteria.rate import RatePlan, scored
from sidecar.judge.criteria.units import written
from sidecar.judge.pair import JudgedPair


class ShadowErrorRate(Criterion):
    """`shadow_error_rate`: the share of calls that production answered and the shadow did not."""

    kind: Literal["shadow_error_rate"] = "shadow_error_rate"
    margin: Share  # share of calls
    despite_coverage: ClassVar[bool] = True

    def plan(self, control_fraction: float) -> _Plan:
        return _Plan(self, control_fraction)


class _Plan(RatePlan):
    def count(self, pair: JudgedPair, memory: Memory) -> Increments:
        return scored(1.0 if pair.failed else 0.0)

    def said(self, estimate: float) -> str:
        return f"{written(estimate, self.unit)} of calls fail"

    def about(self) -> str:
        return "calls that only the shadow failed"
