"""Rule `jensen_shannon`: the Jensen-Shannon divergence / ln 2."""

from __future__ import annotations

from typing import Final

import numpy as np

from sidecar.compare.payload import Array
from sidecar.compare.rules.distributions import distributions
from sidecar.compare.rules.finding import Tuning
from sidecar.compare.rules.vectors import vector_rule


def _distances(x: Array, y: Array, rule: Tuning) -> Array:
    del rule
    p, q = distributions(x, y)
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return np.where(q.any(axis=-1), divergence, 1.0)


def _relative_entropy(p: Array, q: Array) -> Array:
    """Bits; q is positive where p is."""
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return np.asarray((p * np.log2(ratio)).sum(axis=-1))


RULE: Final = vector_rule("jensen_shannon", "f", _distances)
