"""recall_at_k: how many fewer relevant items the shadow has among its first k, by labels."""

from __future__ import annotations

from typing import Literal

from sidecar.judge.criteria.at_k import AtKCriterion, AtKPlan
from sidecar.judge.evidence.splat import even_edges


class RecallAtK(AtKCriterion):
    """`recall_at_k`: how many fewer relevant items the shadow has among its first k."""

    kind: Literal["recall_at_k"] = "recall_at_k"

    def plan(self, control_fraction: float) -> _Plan:
        return _Plan(self, control_fraction, even_edges(-1.0, 1.0))


class _Plan(AtKPlan):
    def divisor(self, relevant: frozenset[int]) -> int:
        return len(relevant)
