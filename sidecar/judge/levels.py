"""The level that a call's latency is held against: the reference's quantile, as known before it.

Rule: a level is fixed by earlier calls alone, so that what is counted against it is evidence; it
follows slowly, for the day and the night differ. Only how close it is to the quantile depends on
how well it was learned, never whether the evidence is valid. Counterpart: `criteria.latency_ratio`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from sidecar.judge.evidence.quantile import bucket, upper_ns
from sidecar.judge.times import Span

WARMUP = 50  # calls before there is a level, at least,
TAIL = 3  # and until so many are expected above it
MEMORY = 200  # expected above it when the older half is forgotten


class _Level:
    __slots__ = ("calls", "counts", "level", "renew_at")

    def __init__(self, first: int) -> None:
        self.counts: dict[int, float] = {}
        self.calls = 0.0
        self.renew_at = float(first)
        self.level: float | None = None


class Levels:
    """Levels by criterion."""

    __slots__ = ("_levels",)

    def __init__(self) -> None:
        self._levels: dict[str, _Level] = {}

    def at(self, criterion: str, p: float, reference: Span) -> float | None:
        """The level for a call, in nanoseconds; then learn from the call.

        Args:
            criterion: its name: each learns its own level.
            p: in (0, 1).
            reference: the call's time at the reference.

        Returns:
            None while too few calls have been seen.
        """
        known = self._levels.get(criterion)
        if known is None:
            first = max(WARMUP, math.ceil(TAIL / min(p, 1 - p)))
            known = self._levels[criterion] = _Level(first)
        level = known.level
        if reference.least > 0:
            i = bucket(reference.least)
            known.counts[i] = known.counts.get(i, 0.0) + 1.0
            known.calls += 1
            if known.calls >= known.renew_at:
                _renew(known, p)
        return level


def _renew(known: _Level, p: float) -> None:
    known.level = _quantile(sorted(known.counts.items()), p * known.calls)
    if known.calls * min(p, 1 - p) >= MEMORY:
        known.counts = {i: c / 2 for i, c in known.counts.items() if c >= 1e-3}
        known.calls = math.fsum(known.counts.values())
    known.renew_at = known.calls * 1.25


def _quantile(counts: Iterable[tuple[int, float]], rank: float) -> float:
    """The level below which so many calls lie, between the ends of its bucket."""
    seen, level = 0.0, 0.0
    for i, count in counts:
        low = upper_ns(i - 1) if i else 0.0
        level = low + (upper_ns(i) - low) * min(1.0, max(0.0, (rank - seen) / count))
        seen += count
        if seen >= rank:
            break
    return level
