"""How long a block must be: until neighbouring blocks are no longer alike.

Rule: calls come in bursts of unknown length, and evidence counts blocks as if each were new. So
the length is the shortest at which the lag-1 autocorrelation of block means lies within its own
error of zero. While nothing varies nothing can be measured, and no method could: a burst that has
not come yet looks like none. Then bursts of up to `UNSEEN_SECONDS` are assumed, and it is said.
Counterpart: `blocks`, which decides on the length chosen here.

Choosing costs error unless it is paid for. Each length L has a share s_L of alpha, the shares add
to 1, and the evidence told is the largest of ln E_L + ln s_L over the lengths from the chosen one
upwards. As long as the chosen length is never below the true one, a false verdict needs one of
the true lengths to cross its own threshold 1/(s_L alpha): at most sum s_L alpha = alpha by the
union bound, however often the choice changes. That the choice is not too short is not proven but
measured, by `benchmarks/simulation.md`.

Pure functions of additive sums, on arrays of any shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from sidecar.judge.evidence.mixtures import Floats, Side

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

LENGTHS = (0.1, 1.0, 10.0, 60.0, 600.0, 3600.0)
SHARES = (0.15, 0.15, 0.2, 0.3, 0.1, 0.1)  # of alpha, for each length
UNSEEN_SECONDS = 60.0
QUICK = 100.0  # a length of which so many make less than that tells of harm, never of health
SHORT = 6.0  # a length of which so many make less than what is assumed unseen must be confirmed
PAIRS = 7  # sums of `pair_sums`
MIN_PAIRS = 20  # neighbours before likeness is measured
MIN_CHANGES = 6  # neighbours that differ: three spikes among zeros
ERRORS = 1.64  # standard errors, one side
HARMLESS = 0.1  # bursts of two fifths of a block that lie across its ends give 0.08


def first_for(side: Side, lengths: Sequence[float], unseen: float = UNSEEN_SECONDS) -> int:
    """Index of the shortest length that may tell of a side's claim.

    The shorter a block, the sooner much of a claim is shown; and health must not be shown sooner
    than bursts have had time to come. Harm that is seen is there.
    """
    if side is Side.FAIL:
        return 0
    fitting = (i for i, length in enumerate(lengths) if QUICK * length >= unseen)
    return next(fitting, len(lengths) - 1)


class Alike(StrEnum):
    """What is known of neighbouring blocks of one length."""

    YES = "alike"
    NO = "not alike"
    UNKNOWN = "too few to tell"


def pair_sums(means: ArrayLike, present: ArrayLike) -> Floats:
    """What two neighbouring blocks add, for time along the last axis; shape (..., T - 1, 7).

    The columns: pairs, sum x, sum y, sum x^2, sum y^2, sum xy, and pairs that differ.

    Args:
        means: block means.
        present: whether a block had calls.
    """
    values = np.asarray(means, dtype=np.float64)
    x, y = values[..., :-1], values[..., 1:]
    there = np.asarray(present, dtype=bool)
    both = (there[..., :-1] & there[..., 1:]).astype(np.float64)
    columns = (np.ones_like(x), x, y, x * x, y * y, x * y, (x != y).astype(np.float64))
    return np.stack([column * both for column in columns], axis=-1)


def autocorrelation(sums: ArrayLike) -> tuple[Floats, Floats]:
    """Lag-1 autocorrelation and its standard error 1/sqrt(pairs); NaN where nothing varies.

    Args:
        sums: of `pair_sums`, shape (..., 7).
    """
    n, x, y, xx, yy, xy, _ = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (xx - x * x / n) * (yy - y * y / n)
        lag = np.where(spread > 1e-30, (xy - x * y / n) / np.sqrt(spread), np.nan)
        return np.asarray(lag), np.asarray(1 / np.sqrt(n))


def state(sums: ArrayLike) -> Floats:
    """1 where neighbours are alike, 0 where not, NaN where there are too few to tell."""
    lag, error = autocorrelation(sums)
    pairs, changes = np.asarray(sums)[..., 0], np.asarray(sums)[..., 6]
    known = np.isfinite(lag) & (pairs >= MIN_PAIRS) & (changes >= MIN_CHANGES)
    with np.errstate(invalid="ignore"):
        alike = lag > np.maximum(ERRORS * error, HARMLESS)
    return np.where(known, alike.astype(np.float64), np.nan)


def choose(states: ArrayLike, lengths: Sequence[float], unseen: float = UNSEEN_SECONDS) -> Floats:
    """Index of the length to decide at, from `state` of each length along the last axis.

    The shortest whose neighbours are not alike, nor those of any longer one. Where that cannot be
    told: the longer one; but without any sign of likeness no longer than `unseen` seconds. A length
    far below `unseen` is chosen only once those above it, up to the first that is not, are known
    not to be alike either: over so short a time a burst shows no change, and calls within it look
    independent.
    """
    found = np.asarray(states, dtype=np.float64)
    chosen = np.full(found.shape[:-1], len(lengths) - 1)
    for i in reversed(range(len(lengths))):
        apart = (found[..., i] == 0) & ~np.any(found[..., i:] == 1, axis=-1)
        above = i + 1
        while above < len(lengths) and SHORT * lengths[above - 1] < unseen:
            apart &= found[..., above] == 0
            above += 1
        quiet = ~np.any(found == 1, axis=-1) & (lengths[i] >= unseen)
        chosen = np.where(apart | quiet, i, chosen)
    return chosen


def of_series(states: ArrayLike) -> Floats:
    """One `state` of several series, which lie along the first axis.

    Alike where any is; not alike where none is and all are known.
    """
    found = np.asarray(states, dtype=np.float64)
    return np.where(np.any(found == 1, axis=0), 1.0, np.max(found, axis=0))


def alike(value: float) -> Alike:
    """The word for one `state`."""
    if math.isnan(value):
        return Alike.UNKNOWN
    return Alike.YES if value else Alike.NO
