"""Rule `total_variation`: half the sum of |p - q|."""

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
    # Nothing at all is as far from any distribution as can be.
    return np.where(q.any(axis=-1), np.abs(p - q).sum(axis=-1) / 2, 1.0)


RULE: Final = vector_rule("total_variation", "f", _distances)
