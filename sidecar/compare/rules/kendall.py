"""Rule `kendall`: (1 - tau-b) / 2, over as many of production's best places as MAX_PAIRS allows."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from sidecar.compare.payload import Array
from sidecar.compare.rules.finding import Tuning
from sidecar.compare.rules.vectors import vector_rule

MAX_PAIRS: Final = 4_000_000  # of places, in all vectors of an output


def _distances(x: Array, y: Array, rule: Tuning) -> Array:
    del rule
    places = max(2, math.isqrt(MAX_PAIRS // len(x)))
    return np.array([_tau_distance(p, q, places) for p, q in zip(x, y, strict=True)])


def _tau_distance(x: Array, y: Array, places: int) -> float:
    """(1 - tau-b) / 2; where tau-b is not defined, 0 if both are all ties, else 1/2."""
    if x.size > places:
        best = np.argsort(x, kind="stable")[-places:]
        x, y = x[best], y[best]
    concordant = discordant = only_x = only_y = 0
    for i in range(1, x.size):
        p = (x[i] > x[:i]).astype(np.int8) - (x[i] < x[:i])
        q = (y[i] > y[:i]).astype(np.int8) - (y[i] < y[:i])
        product = p * q
        concordant += int(np.count_nonzero(product > 0))
        discordant += int(np.count_nonzero(product < 0))
        only_x += int(np.count_nonzero((p != 0) & (q == 0)))
        only_y += int(np.count_nonzero((p == 0) & (q != 0)))
    ordered = concordant + discordant
    if not ordered and not only_x and not only_y:
        return 0.0
    below = ((ordered + only_x) * (ordered + only_y)) ** 0.5
    return (1 - (concordant - discordant) / below) / 2 if below else 0.5


RULE: Final = vector_rule("kendall", "fiu", _distances)
