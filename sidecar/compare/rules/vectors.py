"""What rules share that look along the last axis: rankings, distributions, embeddings.

Each gives every vector of the last axis a distance in [0, 1]; a call's is their mean, and it agrees
up to `max_score`. A vector in which NaN or an infinity stands against something else has distance
1 and makes the outcome NONFINITE.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from sidecar.compare.payload import Array, Output
from sidecar.compare.result import Outcome
from sidecar.compare.rules.finding import Compare, Finding, Rule, Tuning, graded

Rows: TypeAlias = Callable[[Array, Array, Tuning], Array]
"""Distances of the vectors of two arrays [rows, places]."""


def vector_rule(name: str, kinds: str, rows: Rows, *settings: str) -> Rule:
    """Make a rule of the distances of vectors; `settings` are the keys it uses itself."""
    used = frozenset({"max_score", *settings})
    return Rule(name, kinds, used, _comparing(name, rows), vectors=True)


def _comparing(name: str, rows: Rows) -> Compare:
    def distances_of(x: Array, y: Array, rule: Tuning) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            return rows(x, y, rule)

    def compare(a: Output, b: Output, rule: Tuning) -> Finding:
        if a.array.size == 0:
            return graded(name, 0.0, rule)
        places = a.array.shape[-1]
        x, y = a.array.reshape(-1, places), b.array.reshape(-1, places)
        if x.dtype.kind != "f":
            return graded(name, float(distances_of(x, y, rule).mean()), rule)
        x, y = x.astype(np.float64), y.astype(np.float64)
        odd = ~(np.isfinite(x) & np.isfinite(y))
        if not odd.any():
            return graded(name, float(distances_of(x, y, rule).mean()), rule)
        strange = (odd & (x != y) & ~(np.isnan(x) & np.isnan(y))).any(axis=-1)
        # The same NaN or infinity on both sides tells nothing; zeroes in their places do neither.
        distances = distances_of(np.where(odd, 0.0, x), np.where(odd, 0.0, y), rule)
        found = graded(name, float(np.where(strange, 1.0, distances).mean()), rule)
        if not strange.any():
            return found
        score = max(found.score, float(strange.mean()))
        return Finding(Outcome.NONFINITE, score, found.raw)

    return compare
