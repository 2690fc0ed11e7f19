"""What rules for distributions share: vectors as probabilities.

They are read as probabilities if production's vector sums to one without negative terms, else as
logits. Counterparts: `total_variation`, `jensen_shannon`.
"""

from __future__ import annotations

import numpy as np

from sidecar.compare.payload import Array
from sidecar.compare.rules import classes


def distributions(x: Array, y: Array) -> tuple[Array, Array]:
    """Read production's vectors and the shadow's: rows that sum to one, or to 0."""
    probable = classes.are_distributions(x)
    p = np.where(probable[:, None], x, _softmax(x))
    q = np.where(probable[:, None], np.maximum(y, 0), _softmax(y))
    return _to_one(p), _to_one(q)


def _softmax(logits: Array) -> Array:
    powers: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _to_one(weights: Array) -> Array:
    sums = weights.sum(axis=-1, keepdims=True)
    shares: Array = np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)
    return shares
