"""Class scores: which outputs are, and where the predicted class flips.

Rule: production alone decides whether an output is class scores, so that both sides are seen the
same way. Counterpart: `rules`.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from sidecar.compare.payload import Array

_NAME: Final = re.compile(r"prob|score|logit|softmax|confidence", re.IGNORECASE)
FEW: Final = 64  # elements that Python has looked at before numpy has begun
_SUM_TOLERANCE: Final = 2e-2  # what bfloat16 rounding leaves of a sum of one


def are_class_scores(name: str, array: Array) -> bool:
    """Whether a float output holds scores of classes on its last axis.

    It does when that axis has two places or more and either each row is a probability
    distribution or, for two dimensions or more, the name says so (probabilities, scores, logits).
    A single dimension needs the distribution: it may as well be a batch of scores.
    """
    if array.dtype.kind != "f" or array.ndim == 0 or array.shape[-1] < 2 or array.size == 0:
        return False
    if array.ndim >= 2 and _NAME.search(name):
        return True
    if array.size <= FEW and array.ndim <= 2:
        rows: list[list[float]] = [array.tolist()] if array.ndim == 1 else array.tolist()
        for row in rows:
            for score in row:
                if not 0 <= score <= 1:  # nor is NaN
                    return False
            if abs(sum(row) - 1) > _SUM_TOLERANCE:
                return False
        return True
    if array.ndim == 1:  # the same as below for one row, without arrays of one
        if not (np.minimum.reduce(array) >= 0 and np.maximum.reduce(array) <= 1):  # nor for NaN
            return False
        return bool(abs(np.add.reduce(array, dtype=np.float64) - 1) <= _SUM_TOLERANCE)
    return bool(are_distributions(array).all())


def are_distributions(array: Array) -> Array:
    """Tell which vectors of the last axis are probability distributions: bools, one a vector."""
    inside = (array.min(axis=-1) >= 0) & (array.max(axis=-1) <= 1)  # false for NaN
    if not inside.any():
        return np.asarray(inside)
    sums = array.sum(axis=-1, dtype=np.float64)
    return np.asarray(inside & (np.abs(sums - 1) <= _SUM_TOLERANCE))


def flips(a: Array, b: Array, atol: float, rtol: float) -> Array:
    """Find the predictions whose class differs: bools, of a's shape without its last axis.

    Where production scores the shadow's class within the tolerance of its own top, the two are
    tied and there is no flip. A NaN is never the top, unless there is nothing else.
    """
    x, y = _comparable(a), _comparable(b)
    top, other = x.argmax(axis=-1), y.argmax(axis=-1)
    differs = np.asarray(top != other)
    if not differs.any():
        return differs
    best = np.take_along_axis(x, top[..., None], axis=-1)[..., 0]
    chosen = np.take_along_axis(x, other[..., None], axis=-1)[..., 0]
    with np.errstate(over="ignore", invalid="ignore"):
        tied = np.isfinite(best) & (best - chosen <= atol + rtol * np.abs(best))
    return np.asarray(differs & ~(tied | (best == chosen)))


def _comparable(array: Array) -> Array:
    wide = array.astype(np.float64)
    return np.where(np.isnan(wide), -np.inf, wide) if np.isnan(wide.min()) else wide
