"""Decisions: what is done with an output downstream, as a function declared beforehand.

Rule: a call is one observation however many rows its batch has; scores are means over its rows.
Counterpart: the criteria that are about decisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, TypeAlias

import numpy as np
from pydantic import Field, model_validator

from sidecar.fields import Count, Finite, Section
from sidecar.judge.pair import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

Decided: TypeAlias = int | frozenset[int] | tuple[int, ...]
Edges = Annotated[tuple[Finite, ...], Field(min_length=1, max_length=100)]
UNDECIDED = -(1 << 62)  # not a number: no decision can be made; no label is that


RULES = "{threshold: NUMBER}, {argmax: true}, {bands: [EDGES]}, {top_k: NUMBER}"


class Decision(Section):
    """What is done with an output downstream; exactly one of the first four."""

    threshold: Finite | None = None  # decision 1 above it, else 0
    argmax: bool = False  # the index of the largest along the last axis
    top_k: Count | None = None  # the set of the k largest along the last axis
    bands: Edges | None = None  # the number of edges at or below the value
    cost: tuple[tuple[Finite, ...], ...] | None = None  # [production's decision][shadow's]

    @model_validator(mode="after")
    def _one_rule(self) -> Decision:
        given = [self.threshold is not None, self.argmax, self.top_k is not None, bool(self.bands)]
        if sum(given) != 1:
            raise ValueError("give exactly one of threshold, argmax, top_k, bands")
        if self.bands is not None and list(self.bands) != sorted(set(self.bands)):
            raise ValueError("bands must ascend")
        if self.cost is None:
            return self
        size = len(self.cost)
        if any(len(row) != size for row in self.cost):
            raise ValueError("cost must be square: a row for each of production's decisions")
        if self.top_k is not None:
            raise ValueError("cost does not go with top_k")
        needed = 2 if self.threshold is not None else len(self.bands) + 1 if self.bands else 2
        if size < needed or (size > needed and not self.argmax):
            raise ValueError(f"cost needs {needed} rows, one for each decision")
        if len({value for row in self.cost for value in row}) == 1:
            raise ValueError("cost must distinguish at least two outcomes")
        return self

    @property
    def cost_range(self) -> tuple[float, float]:
        """The smallest and the largest cost; (0, 1) without costs."""
        flat = [value for row in self.cost or ((0.0, 1.0),) for value in row]
        return min(flat), max(flat)


def decisions(rule: Decision, value: Value) -> list[Decided]:
    """Decide for every row of an output.

    Args:
        rule: the declared function.
        value: numbers; every element is a row for threshold and bands, the last axis holds the
            classes or items for argmax and top_k.

    Returns:
        One decision a row; none for a value that is not numeric.
    """
    array = np.atleast_1d(np.asarray(value))
    if array.dtype.kind not in "biuf" or array.size == 0:
        return []
    numbers = array.astype(np.float64)
    if rule.argmax or rule.top_k is not None:
        rows = numbers.reshape(-1, numbers.shape[-1])
        broken: NDArray[np.bool_] = np.asarray(np.isnan(rows).any(axis=1))
        if rule.argmax:
            return _marked(rows.argmax(axis=1), broken)
        order = np.argsort(-rows, axis=1, kind="stable")[:, : rule.top_k]
        return [
            UNDECIDED if bad else frozenset(int(i) for i in row)
            for row, bad in zip(order, broken, strict=True)
        ]
    flat = numbers.ravel()
    if rule.threshold is not None:
        return _marked(flat > rule.threshold, np.isnan(flat))
    return _marked(np.searchsorted(rule.bands or (), flat, side="right"), np.isnan(flat))


def _marked(decided: NDArray[np.generic], broken: NDArray[np.bool_]) -> list[Decided]:
    return [int(d) for d in np.where(broken, UNDECIDED, decided)]


def flips(production: Sequence[Decided], shadow: Sequence[Decided]) -> float:
    """Share of rows whose decision differs; 1 when the numbers of rows do."""
    if len(production) != len(shadow) or not production:
        return 1.0
    return sum(a != b for a, b in zip(production, shadow, strict=True)) / len(production)


def mean_cost(rule: Decision, production: Sequence[Decided], shadow: Sequence[Decided]) -> float:
    """Mean cost over the rows; what the matrix has no place for costs as much as anything does."""
    worst = rule.cost_range[1]
    if len(production) != len(shadow) or not production:
        return worst
    pairs = zip(production, shadow, strict=True)
    return sum(_cost(rule.cost or (), a, b, worst) for a, b in pairs) / len(production)


def _cost(costs: Sequence[Sequence[float]], a: Decided, b: Decided, worst: float) -> float:
    if not isinstance(a, int) or not isinstance(b, int):
        return worst
    inside = 0 <= a < len(costs) and 0 <= b < len(costs)
    return costs[a][b] if inside else worst
