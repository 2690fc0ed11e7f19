"""Evidence that may be looked at after every call: betting mixtures over additive counts.

Rule: evidence is a function of counts and of constants fixed beforehand, so that it does not
depend on the order of the calls and pods merge by adding. Every function returns ln E, where E is
at most 1 on average for as long as the null hypothesis holds; by Ville's inequality the chance
that E ever reaches 1/alpha is then at most alpha. Counterparts: the criteria, which choose the
hypothesis for their kind.

Sources: betting on the mean of bounded observations, Waudby-Smith and Ramdas, "Estimating means
of bounded random variables by betting" (JRSS B, 2024), here with a fixed grid of bets instead of
adaptive ones; mixture of sequential probability ratio tests, Robbins (1970); averages of e-values
and e-BH, Vovk and Wang (2021), Wang and Ramdas (2022).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = "NDArray[np.float64]"

BETS = 24  # grid points of a bet on a mean
RATES = 32  # grid points of a likelihood ratio for a rate
SMALLEST_BET = 1e-4  # as a share of the largest admissible bet
LARGEST_PASS_BET = 0.98
LARGEST_FAIL_BET = 0.5
COMMON_RATE = 0.25  # from this margin on, alternatives are spread over the complement's scale


class Side(StrEnum):
    """Which claim evidence is gathered for."""

    PASS = "pass"  # the mean is below the margin; the null is: mean >= margin
    FAIL = "fail"  # the mean is above the margin; the null is: mean <= margin


def logmeanexp(x: Floats) -> Floats:
    """ln of the mean of exp(x) over the last axis, without overflow; -inf and +inf allowed."""
    top = np.max(x, axis=-1, keepdims=True)
    finite = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(over="ignore", divide="ignore"):
        mean = np.mean(np.exp(x - finite), axis=-1)
        return np.asarray(np.log(mean) + finite[..., 0], dtype=np.float64)


def rate_evidence(n: ArrayLike, k: ArrayLike, margin: float, side: Side) -> Floats:
    """ln E about the mean of scores in [0, 1] from their number and their sum.

    Args:
        n: number of calls, any shape.
        k: sum of their scores, 0 <= k <= n; whole for events, fractional for scores (the ratio
            is convex in the score, so that evidence only becomes smaller).
        margin: in [0, 1].
        side: the claim.

    Returns:
        ln E, of the shape that n and k broadcast to.
    """
    ones = np.asarray(k, dtype=np.float64)
    zeros = np.asarray(n, dtype=np.float64) - ones
    if margin <= 0 or margin >= 1:
        return _certain(zeros, ones, margin, side)
    log_one, log_zero = _rate_grid(margin, side)
    return logmeanexp(ones[..., None] * log_one + zeros[..., None] * log_zero)


def _certain(zeros: Floats, ones: Floats, margin: float, side: Side) -> Floats:
    """At the ends of the range one claim cannot be made, and one call decides the other."""
    if not 0 <= margin <= 1:
        raise ValueError(f"a rate's margin lies in [0, 1], not {margin}")
    if (margin == 0) == (side is Side.PASS):
        return np.where(zeros + ones > 0, -np.inf, 0.0)
    return np.where((ones if margin == 0 else zeros) > 0, np.inf, 0.0)


@lru_cache(maxsize=256)
def _rate_grid(margin: float, side: Side) -> tuple[Floats, Floats]:
    """ln(q/m) and ln((1-q)/(1-m)) of the alternatives q, spread in proportion to the margin."""
    if side is Side.PASS:
        q = margin * np.geomspace(0.05, 0.95, RATES)
    elif margin < COMMON_RATE:
        q = np.geomspace(1.05 * margin, min(30 * margin, 0.5), RATES)
    else:
        q = 1 - (1 - margin) * np.geomspace(0.05, 0.95, RATES)
    return np.log(q / margin), np.log((1 - q) / (1 - margin))


def mean_evidence(
    values: Sequence[float], counts: ArrayLike, margin: float, low: float, high: float, side: Side
) -> Floats:
    """ln E about the mean of scores in [low, high] from how often each value was taken.

    Args:
        values: the S support values, within [low, high].
        counts: how often each was taken, shape (..., S); fractional weights come from a splat.
        margin: strictly between low and high.
        low: the smallest value a score can take.
        high: the largest.
        side: the claim.

    Returns:
        ln E, shape (...).
    """
    table = _cached_payoffs(tuple(values), margin, low, high, side)
    return logmeanexp(np.asarray(counts, dtype=np.float64) @ table)


def payoffs(
    values: tuple[float, ...], margin: float, low: float, high: float, side: Side
) -> Floats:
    """The log of each bet's payoff at each value, shape (S, BETS); arguments as above."""
    if not low < margin < high:
        raise ValueError(f"the margin must lie between {low} and {high}, not at {margin}")
    x = np.asarray(values, dtype=np.float64)
    if x.size and (x.min() < low or x.max() > high):
        raise ValueError(f"values must lie in [{low}, {high}]")
    if side is Side.PASS:
        bets = -np.geomspace(SMALLEST_BET, LARGEST_PASS_BET, BETS) / (high - margin)
    else:
        bets = np.geomspace(SMALLEST_BET, LARGEST_FAIL_BET, BETS) / (margin - low)
    return np.log1p(np.outer(x - margin, bets))


_cached_payoffs = lru_cache(maxsize=512)(payoffs)


def threshold(alpha: float) -> float:
    """The ln E at which a claim may be made with error alpha."""
    return math.log(1 / alpha)


def average(logs: Sequence[float], weights: Sequence[float]) -> float:
    """ln of the weighted mean of e-values; valid however they depend on each other.

    Weights are taken relative to their sum. Without any, -inf: no evidence at all.
    """
    total = math.fsum(weights)
    terms = [
        log + math.log(w / total) for log, w in zip(logs, weights, strict=True) if total and w > 0
    ]
    top = max(terms, default=-math.inf)
    if math.isinf(top):
        return top
    return top + math.log(math.fsum(math.exp(t - top) for t in terms))


def discoveries(logs: Sequence[float], alpha: float) -> list[int]:
    """e-BH: which of K hypotheses to flag, false discovery rate at most alpha, any dependence.

    Returns:
        Indices into logs, most evidence first: the k largest, where k is the largest for which
        the k-th largest E is at least K / (alpha k).
    """
    order = sorted(range(len(logs)), key=lambda i: -logs[i])
    found = 0
    for k, i in enumerate(order, start=1):
        if logs[i] >= math.log(len(logs) / (alpha * k)):
            found = k
    return order[:found]
