"""out_of_range: how many more of the shadow's outputs lie outside a range than of production's.

The score of a call is the shadow's share of numbers outside the range minus production's, so that
equal outputs score 0 whatever the range. Not-a-number and infinities are outside every range.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator

from sidecar.fields import Count
from sidecar.judge.criteria.base import (
    LOST,
    Finite,
    Increments,
    OutputCriterion,
    Share,
    matched_values,
)
from sidecar.judge.criteria.mean import MeanPlan
from sidecar.judge.criteria.memory import Memory, numbers_of
from sidecar.judge.criteria.units import Unit, written
from sidecar.judge.evidence.splat import even_edges
from sidecar.judge.pair import JudgedPair, Value


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] >= pair[1]:
        raise ValueError("range must ascend")
    return pair


class OutOfRange(OutputCriterion):
    """`out_of_range`: the share of outputs outside a range, less production's own."""

    kind: Literal["out_of_range"] = "out_of_range"
    margin: Share  # share of outputs, beyond production's own
    # The range; without one it is learned from production's first calls.
    range: Annotated[tuple[Finite, Finite], AfterValidator(_ascending)] | None = None
    warmup_calls: Count = 1000  # calls from which a range is learned

    def plan(self, control_fraction: float) -> _Plan:
        return _Plan(self, control_fraction, even_edges(-1.0, 1.0))

    def wanted(self) -> tuple[str, ...]:
        return (self.outputs,)


class _Plan(MeanPlan):
    criterion: OutOfRange
    unit = Unit.POINTS

    def count(self, pair: JudgedPair, memory: Memory) -> Increments:
        criterion, scores, lost = self.criterion, [], False
        for name, a, b in matched_values(criterion.outputs, pair):
            known = criterion.range or memory.range_of(
                criterion.name, name, criterion.warmup_calls, a
            )
            ours, theirs = (_outside(value, known) for value in (a, b))
            if ours is None:
                continue
            if theirs is None:
                lost = True
            else:
                scores.append(theirs - ours)
        if scores:
            return self.scored(math.fsum(scores) / len(scores))
        return LOST if lost else []

    def said(self, estimate: float) -> str:
        more, figure = "less" if estimate < 0 else "more", written(abs(estimate), self.unit)
        return f"{figure} {more} outputs are out of range"

    def about(self) -> str:
        return "outputs out of range, beyond production's own"


def _outside(value: Value | None, known: tuple[float, float] | None) -> float | None:
    """The share of an output's numbers outside a range; None where one of them is not known."""
    if known is None or value is None:
        return None
    numbers = numbers_of(value)
    if not numbers.size:
        return None
    inside = (numbers >= known[0]) & (numbers <= known[1]) & np.isfinite(numbers)
    return 1.0 - float(np.mean(inside))
