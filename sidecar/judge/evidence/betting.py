"""Betting on the sums of blocks: what one block of time is worth as evidence.

Rule: nothing is assumed of the calls inside a block. A block b of n_b calls whose bounded scores
add up to k_b gives z_b = (k_b - m n_b) / c, c the most calls that a block has had, which lies in
[low - m, high - m] like the score of one call; so bets that are fair for one call are fair for a
block. Every function works on arrays of any shape, so that the simulation and the running judge
share it. Counterparts: `blocks`, which closes blocks, and `likeness`, which says how long a block
must be.

Why it holds. The null for PASS is that k_b - m n_b is at least 0 in expectation, whatever was seen
before the block; for FAIL that it is at most 0. It speaks of calls, not of blocks: busy blocks
weigh as many times more as they have calls, so that a model which errs only under load is judged
by the calls that it serves then. Let C be the most calls that a block will ever have. For every
fixed bet L that keeps it positive the expectation of 1 - L z_b at c = C, given the past, is at most
1; the product over blocks is a non-negative supermartingale, so is the mean over a fixed grid of
bets, and by Ville's inequality it ever reaches 1/alpha with a chance of at most alpha. C is not
known before it was seen, so c is the largest until now, and a block that is larger than all before
it makes less of what was won before (`rescaled`): from then on all is as if c had been known. Until
the busiest time has been seen, the claim is of the calls of times that were seen. With blocks that
weigh no more than an average one, a rate that goes with the load passed and failed wrongly.

Sources: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting"
(JRSS B, 2024); Ville (1939).
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sidecar.judge.evidence.mixtures import Floats, Side

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# Shares of the largest bet that could not be lost. A mean over hundreds of calls hardly varies, so
# the best bet is nearly always the largest; the small ones are for blocks that are all or nothing.
BETS = 20


@cache
def shares_bet() -> Floats:
    """Which shares of it are bet, shape (BETS,)."""
    shares = np.array([*np.geomspace(0.005, 0.6, 6), 0.75, 0.87, *np.linspace(0.94, 0.99, 12)])
    shares.setflags(write=False)
    return shares


@cache
def losses() -> Floats:
    """-ln(1 - s) - s of each share s: what a square of a payoff can cost; shape (BETS,)."""
    found: Floats = -np.log1p(-shares_bet()) - shares_bet()
    found.setflags(write=False)
    return found


@lru_cache(maxsize=1024)
def bets(margin: float, low: float, high: float, side: Side) -> Floats:
    """The grid of bets against a null, shape (BETS,), fixed beforehand.

    Args:
        margin: strictly between low and high.
        low: the smallest score of a call.
        high: the largest.
        side: the claim that evidence is gathered for.

    Raises:
        ValueError: when the margin is not strictly inside the range.
    """
    if not low < margin < high:
        raise ValueError(f"the margin must lie between {low} and {high}, not at {margin}")
    shares = shares_bet()
    if side is Side.PASS:
        return -shares / (high - margin)
    return shares / (margin - low)


def rescaled(logs: ArrayLike, factor: ArrayLike) -> Floats:
    """What bets have won once the cap has grown, from below.

    With c' in place of c every z becomes z c / c', and a bet L on it is a bet L c / c' on what it
    was. ln of the wealth is concave in the bet and 0 at a bet of 0, so between two bets of the grid
    it is at least what lies on the line.

    Args:
        logs: ln of the wealth of each bet, shape (..., BETS).
        factor: c / c', in (0, 1], of logs' shape without the last axis.
    """
    known = np.asarray(logs, dtype=np.float64)
    ends = np.concatenate([[0.0], shares_bet()])
    values = np.concatenate([np.zeros((*known.shape[:-1], 1)), known], axis=-1)
    at = np.asarray(factor, dtype=np.float64)[..., None] * ends[1:]
    i = np.clip(np.searchsorted(ends, at, side="right") - 1, 0, BETS - 1)
    low = np.take_along_axis(values, i, axis=-1)
    high = np.take_along_axis(values, i + 1, axis=-1)
    return np.asarray(low + (high - low) * (at - ends[i]) / (ends[i + 1] - ends[i]))


def weights(n: ArrayLike, cap: ArrayLike) -> Floats:
    """How much of a full block each block is, in [0, 1]: n / max(cap, n); 0 without calls.

    Args:
        n: calls in each block.
        cap: the most that a block has had.
    """
    sizes = np.asarray(n, dtype=np.float64)
    return sizes / np.maximum(np.maximum(np.asarray(cap, dtype=np.float64), sizes), 1e-300)


def excess(
    n: ArrayLike, k: ArrayLike, cap: ArrayLike, margin: float, low: float, high: float
) -> Floats:
    """z of each block: by how much its weighted mean exceeds the margin.

    Args:
        n: calls.
        k: sum of their scores, each in [low, high].
        cap: the most calls that a block has had.
        margin: between low and high.
        low: the smallest score of a call.
        high: the largest.
    """
    sizes, sums = np.asarray(n, dtype=np.float64), np.asarray(k, dtype=np.float64)
    mean = np.clip(sums / np.maximum(sizes, 1e-300), low, high)  # rounding, or a caller's mistake
    return np.where(sizes > 0, weights(sizes, cap) * (mean - margin), 0.0)


def log_payoffs(z: ArrayLike, grid: Floats) -> Floats:
    """The log of what each bet pays for each block, shape (..., BETS)."""
    return np.log1p(np.asarray(z, dtype=np.float64)[..., None] * grid)
