"""Splat histograms: bounded scores of any precision, kept as counts on fixed edges.

Rule: a score between two edges is shared between them so that the mean stays exact. Evidence
computed from the edges never exceeds that of the scores themselves, because the logarithm of a
bet's payoff is concave (Jensen). Counterpart: `mixtures.mean_evidence`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

HALF = 32  # edges on each side of zero


def signed_edges(limit: float, finest: float = 1e-4) -> tuple[float, ...]:
    """65 edges from -limit to limit, logarithmic on both sides of zero.

    Args:
        limit: the largest absolute score.
        finest: the smallest edge above zero, as a share of the limit.
    """
    up = [float(edge) for edge in np.geomspace(finest * limit, limit, HALF)]
    up[-1] = limit
    return (*(-edge for edge in reversed(up)), 0.0, *up)


def even_edges(low: float, high: float, also: Sequence[float] = ()) -> tuple[float, ...]:
    """65 even edges from low to high, and those values that must be exact."""
    even = {low, high, *(float(edge) for edge in np.linspace(low, high, 2 * HALF + 1)[1:-1])}
    return tuple(sorted(even | {value for value in also if low <= value <= high}))


def splat(x: float, edges: Sequence[float]) -> list[tuple[int, float]]:
    """Share one score between its neighbours: (edge index, weight), weights adding to 1.

    A score beyond the edges counts as the last one; not-a-number is the caller's mistake.
    """
    if x <= edges[0]:
        return [(0, 1.0)]
    i = bisect_right(edges, x) - 1
    if i >= len(edges) - 1:
        return [(len(edges) - 1, 1.0)]
    share = (x - edges[i]) / (edges[i + 1] - edges[i])
    return [(i, 1.0 - share), (i + 1, share)] if share else [(i, 1.0 - share)]
