"""Kinds whose score is a function of one rate on each side: precision and F1.

The two sides' calls that count differ, so their rates are bounded one by one. Counters: an, ak,
bn, bk, each side's calls that count and those of them that were right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sidecar.judge.criteria.base import NOTHING, Increments, Measurement, Plan
from sidecar.judge.criteria.labelled import Decisions, OfOneClass, told
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.mixtures import Side
from sidecar.judge.evidence.ratio import score_difference_evidence, score_difference_interval
from sidecar.judge.labels import Label


class OfSides(OfOneClass):
    """Judged by `evidence.ratio`."""

    is_f1: ClassVar[bool] = False

    def by_label(self, plan: Plan, rows: Decisions, label: Label) -> Increments | None:
        """See `Labelled.by_label`."""
        found = told(rows, label)
        if not found:
            return None
        counts = dict.fromkeys(("an", "ak", "bn", "bk"), 0.0)
        share = label.weight / len(found)
        for a, b, y in found:
            for side, answer in (("a", a), ("b", b)):
                says, so = answer == self.positive, y == self.positive
                if says or (so and self.is_f1):
                    counts[f"{side}n"] += share
                    counts[f"{side}k"] += share if says and so else 0.0
        return [(name, count) for name, count in counts.items() if count]

    def lead(self, rows: Decisions, label: Label) -> float | None:
        """See `Labelled.lead`: one call has no score of its own."""
        return None

    def measure(self, plan: Plan, cell: Mapping[str, float], scale: float = 1.0) -> Measurement:
        """See `Criterion.measure`."""
        an, ak, bn, bk = sides = _sides(cell, scale)
        if an <= 0 or bn <= 0:
            return NOTHING
        a, b = self._score(ak / an), self._score(bk / bn)
        return Measurement(
            bn,
            a - b,
            score_difference_evidence(sides, self.margin, self.is_f1, Side.PASS),
            score_difference_evidence(sides, self.margin, self.is_f1, Side.FAIL),
        )

    def interval(self, plan: Plan, cell: Mapping[str, float], alpha: float) -> Interval | None:
        """See `Criterion.interval`."""
        return score_difference_interval(_sides(cell), self.is_f1, alpha)

    def _score(self, rate: float) -> float:
        return 2 * rate / (1 + rate) if self.is_f1 else rate


def _sides(cell: Mapping[str, float], scale: float = 1.0) -> tuple[float, float, float, float]:
    an, ak, bn, bk = (cell.get(name, 0.0) * scale for name in ("an", "ak", "bn", "bk"))
    return an, ak, bn, bk
