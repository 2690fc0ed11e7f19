"""Intervals for people: confidence sequences, which hold at every look at once.

Rule: an interval only shows; verdicts come from `evidence`, whose grids are scaled to the margin.
An interval is never intersected with an earlier one: that would depend on the order of looks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from sidecar.judge.evidence.mixtures import Side, logmeanexp, payoffs, threshold

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Interval: TypeAlias = tuple[float, float]

STEPS = 40  # halvings: 1e-12 of the range


def beta_evidence(n: float, k: float, rate: float, a: float, b: float) -> float:
    """ln E against one value of a rate: the beta-binomial mixture, Robbins (1970).

    Args:
        n: number of calls.
        k: sum of their scores in [0, 1].
        rate: the value, strictly between 0 and 1.
        a: prior weight of ones.
        b: prior weight of zeros.
    """
    return beta_marginal(n, k, a, b) - k * math.log(rate) - (n - k) * math.log1p(-rate)


def beta_marginal(n: float, k: float, a: float, b: float) -> float:
    """ln of how likely k of n was before any call was seen; arguments as above."""
    return _log_beta(a + k, b + n - k) - _log_beta(a, b)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def rate_interval(n: float, k: float, margin: float, alpha: float) -> Interval:
    """Two-sided confidence sequence for a rate, two bisections.

    Args:
        n: number of calls.
        k: sum of their scores in [0, 1].
        margin: strictly between 0 and 1; the prior's mean, so the interval is narrowest near it.
        alpha: the chance that the interval ever misses the true rate.
    """
    if n <= 0:
        return 0.0, 1.0
    a, b = 0.5, (1 - margin) / (2 * margin)
    limit = threshold(alpha)

    def inside(rate: float) -> bool:
        return beta_evidence(n, k, rate, a, b) < limit

    estimate = k / n
    low = 0.0 if k <= 0 else _edge(inside, estimate, 0.0)
    high = 1.0 if k >= n else _edge(inside, estimate, 1.0)
    return low, high


def mean_interval(
    values: Sequence[float], counts: ArrayLike, low: float, high: float, alpha: float
) -> Interval:
    """Two-sided confidence sequence for a mean in [low, high], by inverting the evidence.

    Args:
        values: the S support values.
        counts: how often each was taken, shape (S,).
        low: the smallest value a score can take.
        high: the largest.
        alpha: the chance that the interval ever misses the true mean; half on each side.
    """
    weights = np.asarray(counts, dtype=np.float64)
    n = float(weights.sum())
    if n <= 0:
        return low, high
    x = np.asarray(values, dtype=np.float64)
    estimate = float(weights @ x) / n
    limit = threshold(alpha / 2)

    def inside(side: Side) -> Callable[[float], bool]:
        def test(mean: float) -> bool:
            bets = payoffs(tuple(values), mean, low, high, side)
            return float(logmeanexp(weights @ bets)) < limit

        return test

    tiny = 1e-9 * (high - low)
    return (
        low if estimate <= low + tiny else _edge(inside(Side.FAIL), estimate, low),
        high if estimate >= high - tiny else _edge(inside(Side.PASS), estimate, high),
    )


def _edge(inside: Callable[[float], bool], start: float, end: float) -> float:
    """Where the interval ends between an estimate inside it and the end of the range."""
    near, far = start, end
    for _ in range(STEPS):
        middle = (near + far) / 2
        if inside(middle):
            near = middle
        else:
            far = middle
    return far
