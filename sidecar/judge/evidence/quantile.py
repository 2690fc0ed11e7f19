"""Bounds on latency quantiles, and evidence about their ratio, from logarithmic buckets.

Rule: only ranks at bucket bounds are used, which the buckets know exactly; between bounds every
rounding goes against the claim. Counterpart: `mixtures.rate_evidence`, applied to the share of
calls that took longer than a bound.

Why one may look over all bounds x at once: the evidence that the p-quantile is at most x grows
with x, so that if any x below the true quantile ever crossed, the largest would have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from sidecar.judge.evidence.histogram import EDGES_NS, LAST
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.mixtures import Floats, Side, rate_evidence, threshold


def upper_ns(index: int) -> float:
    """The largest latency that a bucket holds, in nanoseconds; infinity for `ENDLESS`."""
    return float(EDGES_NS[index]) if index <= LAST else math.inf


def quantile_interval(
    counts: Mapping[int, float],
    p: float,
    alpha: float,
    upper: Callable[[int], float] = upper_ns,
) -> Interval:
    """Lower and upper bound of the p-quantile that hold at every look.

    Args:
        counts: calls by bucket.
        p: in (0, 1).
        alpha: the chance that the bounds ever miss the quantile; half on each side.
        upper: the largest latency that a bucket holds.

    Returns:
        The bounds in the unit of `upper`; 0 and infinity where nothing is known.
    """
    bounds, n, above = _tail(counts, upper)
    limit = threshold(alpha / 2)
    below = bounds[rate_evidence(n, above, 1 - p, Side.FAIL) >= limit]
    beyond = bounds[rate_evidence(n, above, 1 - p, Side.PASS) >= limit]
    return (
        float(below[-1]) if below.size else 0.0,
        float(beyond[0]) if beyond.size else math.inf,
    )


def quantile_estimate(
    counts: Mapping[int, float], p: float, upper: Callable[[int], float] = upper_ns
) -> float | None:
    """The p-quantile as the upper bound of the bucket it falls into; None without calls."""
    if not any(count > 0 for count in counts.values()):
        return None
    bounds, n, above = _tail(counts, upper)
    reached = bounds[n - above >= p * n * (1 - 1e-12)]
    return float(reached[0]) if n and reached.size else None


def ratio_evidence(
    production: Mapping[int, float],
    shadow: Mapping[int, float],
    p: float,
    ratio: float,
    side: Side,
    upper: Callable[[int], float] = upper_ns,
) -> float:
    """ln E that the shadow's p-quantile is below (PASS) or above (FAIL) ratio * production's.

    Either claim follows from two bounds that share some latency x: for FAIL, production's
    quantile is at most x and the shadow's is above ratio * x. E is the best x's smaller evidence
    of the two, halved. Under the null, at every x at least one of the two claims is false, and
    its evidence is at most what it is at production's true quantile; so the best x's is at most
    the sum of two e-values, and its half at most their mean, an e-value. Reaching 1/alpha is the
    same as both bounds, each at alpha/2, being apart.

    Args:
        production: calls by bucket.
        shadow: calls by bucket.
        p: in (0, 1).
        ratio: 1 + delta, positive.
        side: the claim.
        upper: the largest latency that a bucket holds.
    """
    a_bounds, a_n, a_above = _tail(production, upper)
    b_bounds, b_n, b_above = _tail(shadow, upper)
    if not a_bounds.size or not b_bounds.size:
        return 0.0
    other = Side.FAIL if side is Side.PASS else Side.PASS
    slack = 1 + 1e-12  # a bound that is ratio * x but for rounding is the same bound
    if side is Side.PASS:  # the shadow's bound may lie below ratio * x, never above
        at = np.searchsorted(b_bounds, ratio * a_bounds * slack, side="right") - 1
    else:  # the shadow's bound may lie above ratio * x, never below
        at = np.searchsorted(b_bounds, ratio * a_bounds / slack, side="left")
    usable = np.flatnonzero((at >= 0) & (at < b_bounds.size))
    if not usable.size:
        return -math.inf

    def both(x: int) -> tuple[float, float]:
        """About production's quantile and about the shadow's; one grows with x, one falls."""
        here, there = usable[x], at[usable[x]]
        return (
            float(rate_evidence(a_n, a_above[here], 1 - p, other)),
            float(rate_evidence(b_n, b_above[there], 1 - p, side)),
        )

    near, far = 0, usable.size - 1  # between them the two curves cross
    best = max(min(both(near)), min(both(far)))
    while far - near > 1:
        middle = (near + far) // 2
        a, b = both(middle)
        best = max(best, min(a, b))
        if (a < b) == (side is Side.FAIL):
            near = middle
        else:
            far = middle
    return best - math.log(2)


def _tail(
    counts: Mapping[int, float], upper: Callable[[int], float]
) -> tuple[Floats, float, Floats]:
    """Every bound of the occupied range with the number of calls above it, and all calls.

    The bound below the fastest call is included, because nothing lies below it.
    """
    used = sorted(index for index, count in counts.items() if count > 0)
    if not used:
        return np.empty(0), 0.0, np.empty(0)
    occupied = np.zeros(used[-1] - used[0] + 2)
    for index in used:
        occupied[index - used[0] + 1] = counts[index]
    first = upper(used[0] - 1) if used[0] > 0 else 0.0
    bounds = np.array([first, *(upper(i) for i in range(used[0], used[-1] + 1))])
    n = float(occupied.sum())
    return bounds, n, n - np.cumsum(occupied)
