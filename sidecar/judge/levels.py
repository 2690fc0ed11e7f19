"""The level that a call's latency is held against: the reference's quantile, as known before it.

Rule: a level is fixed by earlier calls alone, so that what is counted against it is evidence. It is
the quantile of all earlier calls, and never forgets: one that followed the reference through its
good and bad minutes would hold every bad minute of the shadow against it. Counterpart:
`criteria.latency_ratio`.

A quantile is known to a bucket of the histogram. So that the share above the level is what it is
to be even where every call lies in one bucket, a call within the level's own bucket counts as
above it in part, by the same part for everybody.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from sidecar.judge.evidence.quantile import upper_ns

WARMUP = 50  # calls before there is a level, at least,
TAIL = 3  # and until so many are expected above it
GROWTH = 1.25  # it is found anew when there are so many times the calls


class Level(NamedTuple):
    """Where a quantile lies: within a bucket, so much of which is above it."""

    low_ns: float
    high_ns: float
    part: float


def part_above(ns: float, low_ns: float, high_ns: float, part: float) -> float:
    """How much of a call that took so long is above a `Level`: 0, 1, or the part."""
    if ns > high_ns:
        return 1.0
    return part if ns > low_ns else 0.0


class _Learning:
    __slots__ = ("calls", "counts", "level", "renew_at")

    def __init__(self, first: int) -> None:
        self.counts: dict[int, int] = {}
        self.calls = 0
        self.renew_at = float(first)
        self.level: Level | None = None

    @classmethod
    def blank(cls) -> _Learning:
        """See `codec`."""
        return cls(0)


class Levels:
    """Levels by criterion."""

    __slots__ = ("_learning",)

    def __init__(self) -> None:
        self._learning: dict[str, _Learning] = {}

    @classmethod
    def blank(cls) -> Levels:
        """See `codec`."""
        return cls()

    def at(self, criterion: str, p: float, reference: int | None) -> Level | None:
        """The level for a call; then learn from the call.

        Args:
            criterion: its name: each learns its own level.
            p: in (0, 1).
            reference: the bucket of the call's time at the reference; None: it is not known.

        Returns:
            None while too few calls have been seen.
        """
        known = self._learning.get(criterion)
        if known is None:
            first = max(WARMUP, math.ceil(TAIL / min(p, 1 - p)))
            known = self._learning[criterion] = _Learning(first)
        level = known.level
        if reference is not None:
            known.counts[reference] = known.counts.get(reference, 0) + 1
            known.calls += 1
            if known.calls >= known.renew_at:
                known.level = level_of(known.counts, p)
                known.renew_at = known.calls * GROWTH
        return level


def level_of(counts: dict[int, int], p: float) -> Level:
    """The level above which is a share of exactly 1 - p; there must be calls.

    Args:
        counts: calls by bucket.
        p: in (0, 1).
    """
    wanted = (1 - p) * sum(counts.values())
    above = 0
    for i in sorted(counts, reverse=True):
        if above + counts[i] >= wanted:
            break
        above += counts[i]
    low = upper_ns(i - 1) if i else 0.0
    return Level(low, upper_ns(i), (wanted - above) / counts[i])
