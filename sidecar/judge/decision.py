"""Decisions: what is done with an output downstream, as a function declared beforehand.

Rule: a call is one observation however many rows its batch has; scores are means over its rows.
Counterpart: `settings.Decision`, which declares, and `tally`, which counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sidecar.judge.pair import Value
from sidecar.judge.settings import Decision

Decided: TypeAlias = int | frozenset[int]
UNDECIDED = -1  # not a number: no decision can be made


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
    if isinstance(a, frozenset) or isinstance(b, frozenset):
        return worst
    inside = 0 <= a < len(costs) and 0 <= b < len(costs)
    return costs[a][b] if inside else worst
