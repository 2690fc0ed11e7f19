"""precision_at_k: how many fewer of the shadow's first k items are relevant, by labels."""

from __future__ import annotations

from typing import Literal

from sidecar.judge.criteria.at_k import AtKCriterion, AtKPlan
from sidecar.judge.evidence.splat import even_edges


class PrecisionAtK(AtKCriterion):
    """`precision_at_k`: how many fewer of the shadow's first k items are relevant."""

    kind: Literal["precision_at_k"] = "precision_at_k"

    def plan(self, control_fraction: float) -> _Plan:
        return _Plan(self, control_fraction, even_edges(-1.0, 1.0))


class _Plan(AtKPlan):
    def divisor(self, relevant: frozenset[int]) -> int:
        return self.criterion.k
