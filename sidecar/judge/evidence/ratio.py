"""Precision and F1 of two models: evidence about the difference of two rates.

Precision is a rate among the calls that a model calls positive. F1 is a function of one too:
with J the rate of true positives among the calls where model or label say positive,
F1 = 2J / (1 + J). The two models' calls differ, so the rates are bounded one by one and the
bounds must share a point, as for latency quantiles. Recall needs none of this: it is a paired
mean among the calls whose label is positive. Counterpart: `measure`.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np

from sidecar.judge.evidence.interval import Interval, beta_marginal, rate_interval
from sidecar.judge.evidence.mixtures import Floats, Side

Sides: TypeAlias = tuple[float, float, float, float]
"""(an, ak, bn, bk): production's calls that count and how many were right, then the shadow's."""

GRID = 512
PRIOR = 0.5  # Jeffreys' prior weights for a rate of which nothing is known


def score_difference_evidence(sides: Sides, margin: float, f1: bool, side: Side) -> float:
    """ln E that the shadow's score is less (PASS) or more (FAIL) than margin below production's.

    Under the null, at every point t of the score's scale at least one of the two claims whose
    smaller evidence is taken is false, and a claim's evidence grows towards the true score; so
    the best t's is at most the sum of two e-values, and its half an e-value.

    Args:
        sides: the counts.
        margin: in [0, 1).
        f1: whether the score is F1; else the rate itself.
        side: the claim.
    """
    an, ak, bn, bk = sides
    if an <= 0 or bn <= 0:
        return 0.0
    t = np.linspace(0, 1, GRID + 2)[1:-1]  # production's score
    t = t[t > margin]
    below = _one_sided(an, ak, _rate(t, f1), upper=side is Side.PASS)
    other = _one_sided(bn, bk, _rate(t - margin, f1), upper=side is Side.FAIL)
    if not t.size:
        return -math.inf
    return float(np.max(np.minimum(below, other))) - math.log(2)


def score_difference_interval(sides: Sides, f1: bool, alpha: float) -> Interval | None:
    """Bounds on production's score minus the shadow's, for people; None without calls."""
    an, ak, bn, bk = sides
    if an <= 0 or bn <= 0:
        return None
    a = [_score(x, f1) for x in rate_interval(an, ak, 0.5, alpha / 2)]
    b = [_score(x, f1) for x in rate_interval(bn, bk, 0.5, alpha / 2)]
    return a[0] - b[1], a[1] - b[0]


def _rate(score: Floats, f1: bool) -> Floats:
    return score / (2 - score) if f1 else score


def _score(rate: float, f1: bool) -> float:
    return 2 * rate / (1 + rate) if f1 else rate


def _one_sided(n: float, k: float, rates: Floats, upper: bool) -> Floats:
    """ln E that the rate is below (upper) or above each of the rates; convex, least at k/n."""
    estimate = k / n
    seen = beta_marginal(n, k, PRIOR, PRIOR)
    against = seen - k * np.log(rates) - (n - k) * np.log1p(-rates)
    right = rates > estimate if upper else rates < estimate
    return np.where(right, against, -np.inf)
