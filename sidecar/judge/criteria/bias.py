"""bias: the mean signed relative error of numeric outputs, 2(b-a)/(|a|+|b|), in [-2, 2]."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from sidecar.judge.criteria.base import (
    LOST,
    Increments,
    OutputCriterion,
    matched_values,
    names,
)
from sidecar.judge.criteria.mean import MeanPlan
from sidecar.judge.criteria.memory import Memory
from sidecar.judge.criteria.units import Unit, Way, written
from sidecar.judge.evidence.splat import signed_edges
from sidecar.judge.pair import JudgedPair, Value

FIGURE = "signed_relative"  # the comparison's, mean over the output
LIMIT = 2.0
_NONFINITE = "nonfinite"
_WAYS = {"increase": Way.ABOVE, "decrease": Way.BELOW, "both": Way.OUTSIDE}


class Bias(OutputCriterion):
    """`bias`: the mean signed relative error of numeric outputs, in [-2, 2]."""

    kind: Literal["bias"] = "bias"
    margin: Annotated[float, Field(gt=0, lt=LIMIT)]  # relative error
    direction: Literal["increase", "decrease", "both"] = "both"  # which way is bad

    def plan(self, control_fraction: float) -> _Plan:
        return _Plan(self, control_fraction, signed_edges(LIMIT))

    def wanted(self) -> tuple[str, ...]:
        return (self.outputs,)


class _Plan(MeanPlan):
    criterion: Bias
    unit = Unit.CHANGE

    @property
    def way(self) -> Way:  # type: ignore[override]
        return _WAYS[self.criterion.direction]

    def count(self, pair: JudgedPair, memory: Memory) -> Increments:
        glob = self.criterion.outputs
        if pair.failed:
            return LOST
        outputs = [o for o in pair.comparison.outputs if names(glob, o.name)]
        values = matched_values(glob, pair)
        if any(_NONFINITE == str(o.outcome) for o in outputs) or any(
            _spoilt(a, b) for _, a, b in values
        ):
            # Not-a-number where production has one is as far off as can be, in the bad direction.
            return self.scored(-LIMIT if self.way is Way.BELOW else LIMIT)
        found = [o.raw[FIGURE] for o in outputs if FIGURE in o.raw]
        if not found:
            found = [x for _, a, b in values for x in _signed_relative(a, b)]
        if found:
            return self.scored(math.fsum(found) / len(found))
        # Production has such a number, and the shadow nothing to hold against it.
        return LOST if any(a is not None and b is None for _, a, b in values) else []

    def magnitude(self, pair: JudgedPair, counted: Increments) -> float:
        mean = self.mean(counted)
        if self.way is Way.OUTSIDE:
            return abs(mean)
        return -mean if self.way is Way.BELOW else mean

    def said(self, estimate: float) -> str:
        return f"outputs are {written(estimate, self.unit)} off on average"

    def about(self) -> str:
        return "mean signed relative error"


def _spoilt(a: Value | None, b: Value | None) -> bool:
    """Whether the shadow has not-a-number or infinity where production has a number."""
    if a is None or b is None:
        return False
    x, y = np.atleast_1d(np.asarray(a)), np.atleast_1d(np.asarray(b))
    if x.shape != y.shape or x.dtype.kind not in "biuf" or y.dtype.kind != "f":
        return False
    return bool((np.isfinite(x.astype(np.float64)) & ~np.isfinite(y)).any())


def _signed_relative(a: Value | None, b: Value | None) -> Iterator[float]:
    """Mean of 2(b-a)/(|a|+|b|) over the elements that are finite on both sides; 0 for 0 and 0."""
    if a is None or b is None:
        return
    x, y = np.atleast_1d(np.asarray(a)), np.atleast_1d(np.asarray(b))
    if x.shape != y.shape or {x.dtype.kind, y.dtype.kind} - set("biuf"):
        return
    x, y = x.astype(np.float64), y.astype(np.float64)
    both = np.isfinite(x) & np.isfinite(y)
    if both.any():
        x, y = x[both], y[both]
        size = np.abs(x) / 2 + np.abs(y) / 2  # halves, so that the largest floats do not overflow
        # A size of zero means that both are zero; any divisor gives the difference, zero.
        yield float(np.mean((y / 2 - x / 2) / np.where(size > 0, size, 1.0))) * 2
