"""An interval from sums over blocks: the betting evidence, bounded from below by two moments.

Rule: the evidence at the margin is exact, but a confidence sequence asks it of every value m' of
the mean. For x >= -1 and a bet l in [0, 1), ln(1 + l x) >= l x - x^2 (-ln(1 - l) - l) (Fan, Grama
and Liu, "Exponential inequalities for martingales", 2015; used so by Howard, Ramdas, McAuliffe and
Sekhon, 2021). So sums of w, wy and their squares bound the evidence against any m' from below;
they add, and the interval holds at every look, a little wider than the best one.
Counterpart: `blocks`, which keeps the sums, and narrows the interval by the exact evidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from sidecar.judge.evidence.betting import losses, shares_bet
from sidecar.judge.evidence.interval import STEPS, Interval
from sidecar.judge.evidence.mixtures import Floats, Side, logmeanexp, threshold

MOMENTS = 5  # sums of `moment_columns`
DEGREES = (1.0, 1.0, 2.0, 2.0, 2.0)  # of the weight in each


def moment_columns(w: Floats, mean: Floats) -> Floats:
    """What a block of weight w and mean y adds: w, wy, w^2, w^2 y, w^2 y^2; shape (..., 5)."""
    return np.stack([w, w * mean, w * w, w * w * mean, (w * mean) ** 2], axis=-1)


def log_evidence(
    moments: Sequence[float], mean: float, low: float, high: float, side: Side
) -> float:
    """A lower bound of ln E against one value of the mean, from sums of `moment_columns`."""
    w, wy, ww, wwy, wwyy = moments
    above = wy - mean * w
    squared = max(0.0, wwyy - 2 * mean * wwy + mean * mean * ww)
    scale = high - mean if side is Side.PASS else mean - low
    if scale <= 0:
        return 0.0
    linear = (-above if side is Side.PASS else above) / scale
    bounds = shares_bet() * linear - losses() * squared / scale**2
    return float(logmeanexp(bounds))


def moment_interval(
    best: Sequence[float], worst: Sequence[float], low: float, high: float, alpha: float
) -> Interval:
    """A two-sided confidence sequence for the mean.

    Args:
        best: sums of moments with what is missing at its best: the lower end.
        worst: at its worst: the upper end.
        low: the smallest score.
        high: the largest.
        alpha: the chance that it ever misses; half on each side.
    """
    limit = threshold(alpha / 2)

    def edge(moments: Sequence[float], side: Side, end: float) -> float:
        if moments[0] <= 0:
            return end
        near = min(high, max(low, moments[1] / moments[0]))
        return _last(lambda m: log_evidence(moments, m, low, high, side) < limit, near, end)

    return edge(best, Side.FAIL, low), edge(worst, Side.PASS, high)


def _last(inside: Callable[[float], bool], near: float, far: float) -> float:
    """Where `inside` ends between a value that is inside and the end of the range."""
    tiny = 1e-12 * max(1.0, abs(far))
    for _ in range(STEPS):
        if math.isclose(near, far, abs_tol=tiny):
            break
        middle = (near + far) / 2
        if inside(middle):
            near = middle
        else:
            far = middle
    return far
