"""Rule `cosine`: (1 - cosine) / 2; against the zero vector 1, of two zero vectors 0."""

from __future__ import annotations

from typing import Final

import numpy as np

from sidecar.compare.payload import Array
from sidecar.compare.rules.finding import Tuning
from sidecar.compare.rules.vectors import vector_rule


def _distances(x: Array, y: Array, rule: Tuning) -> Array:
    del rule
    x, y = _to_largest(x), _to_largest(y)
    lengths = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
    product = (x * y).sum(axis=-1)
    distance = (1 - np.divide(product, lengths, out=-np.ones_like(product), where=lengths > 0)) / 2
    both_zero = ~(x.any(axis=-1) | y.any(axis=-1))
    same = (x == y).all(axis=-1)  # exactly 0, whatever rounding makes of it
    return np.where(both_zero | same, 0.0, np.clip(distance, 0, 1))


def _to_largest(x: Array) -> Array:
    """Scale vectors by their largest element, so that no square overflows or vanishes."""
    x = x.astype(np.float64)
    largest = np.abs(x).max(axis=-1, keepdims=True)
    scaled: Array = np.divide(x, largest, out=np.zeros_like(x), where=largest > 0)
    return scaled


RULE: Final = vector_rule("cosine", "fiu", _distances)
