"""What rules for rankings share: the first k places of each vector.

A float vector's places are ordered by their score; integers and BYTES are items that are in order
already. Counterparts: `topk`, `rbo`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from sidecar.compare.payload import Array
from sidecar.compare.rules.finding import Tuning


def ranked(
    x: Array,
    y: Array,
    rule: Tuning,
    distance: Callable[[Sequence[Hashable], Sequence[Hashable]], float],
) -> Array:
    """Give each pair of vectors the distance of their first `k` places."""
    pairs = zip(x, y, strict=True)
    return np.array([distance(_ranking(p, rule.k), _ranking(q, rule.k)) for p, q in pairs])


def _ranking(row: Array, k: int) -> Sequence[Hashable]:
    if row.dtype.kind == "f":
        return list(np.argsort(-row, kind="stable")[:k])
    return list(dict.fromkeys(row[:k].tolist()))  # an item that comes again has its first place
