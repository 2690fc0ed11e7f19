"""Betting on the sums of blocks: what one block of time is worth as evidence.

Rule: nothing is assumed of the calls inside a block. A block b of n_b calls whose bounded scores
add up to k_b gives z_b = (k_b - m n_b) / max(c_b, n_b), which lies in [low - m, high - m] like the
score of one call; so bets that are fair for one call are fair for a block. Every function works
on arrays of any shape, so that the simulation and the running judge share it. Counterparts:
`blocks`, which closes blocks, and `likeness`, which says how long a block must be.

Why it holds. The null for PASS is that a block's expected mean is at least m whatever was seen
before it and however many calls it has; for FAIL that it is at most m. The cap c_b depends on
earlier blocks alone, so given the past and n_b the expectation of 1 + L (m - k_b/n_b) w_b, with
w_b = n_b / max(c_b, n_b) in [0, 1], is at most 1 for every fixed bet L that keeps it positive. The
product over blocks is a non-negative supermartingale, so is the mean over a fixed grid of bets,
and by Ville's inequality it ever reaches 1/alpha with a chance of at most alpha.

Sources: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting"
(JRSS B, 2024); Ville (1939).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from sidecar.judge.evidence.mixtures import Floats, Side

# Shares of the largest bet that could not be lost. A mean over hundreds of calls hardly varies, so
# the best bet is nearly always the largest; the small ones are for blocks that are all or nothing.
SHARES = (*np.geomspace(0.005, 0.6, 6).tolist(), 0.75, 0.87, *np.linspace(0.94, 0.99, 12).tolist())
BETS = len(SHARES)


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
    shares = np.array(SHARES)
    if side is Side.PASS:
        return -shares / (high - margin)
    return shares / (margin - low)


def caps(n: ArrayLike, blocks: ArrayLike = 0.0, calls: ArrayLike = 0.0) -> Floats:
    """The declared cap on calls of each block: the mean size of the blocks before it.

    Args:
        n: calls in each block, time along the last axis; empty blocks count for nothing.
        blocks: how many blocks that were not empty came before, of the shape without time.
        calls: how many calls they had.

    Returns:
        Caps, of n's shape. The first block's is its own size, which the null is conditional on.
    """
    sizes = np.asarray(n, dtype=np.float64)
    full = (sizes > 0).astype(np.float64)
    before = np.cumsum(full, axis=-1) - full + np.asarray(blocks, dtype=np.float64)[..., None]
    sums = np.cumsum(sizes, axis=-1) - sizes + np.asarray(calls, dtype=np.float64)[..., None]
    return np.where(before > 0, sums / np.maximum(before, 1.0), sizes)


def weights(n: ArrayLike, cap: ArrayLike) -> Floats:
    """How much of a full block each block is, in [0, 1]: n / max(cap, n); 0 without calls."""
    sizes = np.asarray(n, dtype=np.float64)
    return sizes / np.maximum(np.maximum(np.asarray(cap, dtype=np.float64), sizes), 1e-300)


def excess(
    n: ArrayLike, k: ArrayLike, cap: ArrayLike, margin: float, low: float, high: float
) -> Floats:
    """z of each block: by how much its weighted mean exceeds the margin.

    Args:
        n: calls.
        k: sum of their scores, each in [low, high].
        cap: from `caps`.
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
