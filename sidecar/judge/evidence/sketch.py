"""How values are distributed, in constant memory, so that it adds; and how far two such are apart.

Rule: a bucket is an eighth of an octave (9 % wide), the same for every process, so that pods merge
by adding; what lies within 2^-40 of zero is zero. At most `BUCKETS` of them. For people: nothing is
decided by it, and there is no error bound. Counterpart: `judge.distributions`, which says of what.

Sources: the population stability index is the symmetric Kullback-Leibler divergence (Jeffreys,
1946) over bins of the reference, here its tenths; by custom below 0.1 is alike and above 0.25 is
not. Wasserstein's distance is the area between both distribution functions (Vallender, 1974).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PER_OCTAVE = 8
LEAST, MOST = -40, 64  # octaves: smaller is zero, larger counts as the last
BUCKETS = 2 * (MOST - LEAST) * PER_OCTAVE + 1
TENTHS = 10  # bins of the reference that PSI is over
BINS = 20  # that are shown
WIDE = 1000.0  # positive values that span so many times are shown in steps of equal ratio

Bin = tuple[float, float, float, float]
"""From, to, and the share of both sides in it."""


class Sketch:
    """Counts of values by bucket."""

    __slots__ = ("broken", "counts")

    def __init__(self, counts: Mapping[int, int] | None = None, broken: int = 0) -> None:
        self.counts: dict[int, int] = dict(counts or {})  # by bucket, negative ones below zero
        self.broken = broken  # values that are not finite

    def add(self, values: NDArray[np.float64]) -> None:
        """Count values, shape (n,)."""
        whole = np.isfinite(values)
        if not whole.all():
            self.broken += int(values.size - np.count_nonzero(whole))
            values = values[whole]
        size = np.abs(values)
        with np.errstate(divide="ignore"):
            octaves = np.clip(np.log2(size), LEAST - 1, MOST - 1 / PER_OCTAVE / 2)
        places = np.floor((octaves - LEAST) * PER_OCTAVE).astype(np.int64) + 1
        places = np.where(octaves < LEAST, 0, np.sign(values).astype(np.int64) * places)
        counts = self.counts
        for place in places.tolist():
            counts[place] = counts.get(place, 0) + 1

    def plus(self, other: Sketch) -> Sketch:
        """Both together."""
        whole = Sketch(self.counts, self.broken + other.broken)
        for place, n in other.counts.items():
            whole.counts[place] = whole.counts.get(place, 0) + n
        return whole

    @property
    def n(self) -> int:
        """Finite values."""
        return sum(self.counts.values())

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, Sketch) and self.broken == other.broken
        return same and isinstance(other, Sketch) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]  # it changes while it counts


def middle(place: int) -> float:
    """A bucket's middle, by ratio."""
    if not place:
        return 0.0
    return math.copysign(2.0 ** (LEAST + (abs(place) - 0.5) / PER_OCTAVE), place)


def psi(reference: Sketch, other: Sketch) -> float | None:
    """Population stability index over the tenths of the reference; None without values."""
    n, m = reference.n, other.n
    if not n or not m:
        return None
    bins: list[list[int]] = [[0, 0]]
    for place in sorted({*reference.counts, *other.counts}):
        if bins[-1][0] >= n / TENTHS:
            bins.append([0, 0])
        bins[-1][0] += reference.counts.get(place, 0)
        bins[-1][1] += other.counts.get(place, 0)
    half = 0.5  # so that a bin that one of them has not is far off, and not infinitely
    total = 0.0
    for a, b in bins:
        p = (a + half) / (n + half * len(bins))
        q = (b + half) / (m + half * len(bins))
        total += (p - q) * math.log(p / q)
    return total


def wasserstein(one: Sketch, other: Sketch) -> float | None:
    """Mean distance that values would have to be moved, in their unit; None without values."""
    n, m = one.n, other.n
    if not n or not m:
        return None
    distance = below = above = 0.0
    for place, following in pairwise(sorted({*one.counts, *other.counts})):
        below += one.counts.get(place, 0) / n
        above += other.counts.get(place, 0) / m
        distance += abs(below - above) * (middle(following) - middle(place))
    return distance


def bins_of(one: Sketch, other: Sketch) -> tuple[Bin, ...]:
    """Both distributions over the same bins, to be drawn; none without values on both sides."""
    n, m = one.n, other.n
    places = sorted({*one.counts, *other.counts})
    if not n or not m:
        return ()
    values = np.array([middle(place) for place in places])
    if len(places) <= BINS:
        edges = np.concatenate([values[:1], (values[1:] + values[:-1]) / 2, values[-1:]])
        at = np.arange(len(places))
    else:
        wide = values[0] > 0 and values[-1] > WIDE * values[0]
        edges = (np.geomspace if wide else np.linspace)(values[0], values[-1], BINS + 1)
        at = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, BINS - 1)
    shares = [
        np.bincount(at, [s.counts.get(p, 0) / total for p in places], minlength=len(edges) - 1)
        for s, total in ((one, n), (other, m))
    ]
    rows = zip(edges[:-1].tolist(), edges[1:].tolist(), *(s.tolist() for s in shares), strict=True)
    return tuple(rows)
