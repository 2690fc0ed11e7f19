"""Evidence from blocks of wall-clock time, for one cell: criterion, slice and versions.

Rule: the unit of evidence is a block of time, not a call, because calls near each other are alike.
Sums are kept for blocks of several lengths at once, and the evidence is that of the shortest
length at which neighbouring blocks are no longer alike. Memory is constant, pods merge, and the
whole goes to JSON and back. Sources and proofs: `betting` (what a block is worth), `likeness` (how
long a block must be), `bets` (kinds of claims), `level` (what a whole
day is), `merging` (how pods add). Counterpart: `block_sums`, which counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sidecar.judge.evidence.bets import Bets, Evidence
from sidecar.judge.evidence.block_sums import BlockSums
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.level import Level
from sidecar.judge.evidence.likeness import (
    SHARES,
    Alike,
    alike,
    autocorrelation,
    choose,
    first_for,
    of_series,
    state,
)
from sidecar.judge.evidence.mean_bets import MeanBets
from sidecar.judge.evidence.merging import merged
from sidecar.judge.evidence.mixtures import Side, threshold
from sidecar.judge.evidence.ratio_bets import RatioBets

FORMAT = 4


@dataclass(frozen=True, slots=True)
class Chosen:
    """The block length at which is decided, and why."""

    index: int
    seconds: float
    blocks: int  # closed, with calls
    autocorrelation: float | None  # of neighbouring blocks' means; None where nothing varies
    error: float | None  # its standard error
    reason: str


class Blocks(BlockSums):
    """Additive block sums of one cell, as evidence."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blocks) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # it changes while it counts

    @property
    def days_over(self) -> int:
        """How many days are over since the first block; 0 while none of them was a whole one."""
        return max(level.days for level in self._levels)

    def evidence_for(self, seconds: float) -> Evidence:
        """ln E from blocks of one length, which was fixed beforehand."""
        level = self._levels[self.lengths.index(seconds)]
        if level.is_empty:
            return self.bets.nothing
        sums = level.sums
        return self.bets.evidence(sums.vector, sums.days)

    def evidence(self) -> Evidence:
        """ln E at the chosen length or any longer one, each charged its share of alpha."""
        chosen = self.chosen().index
        found = {i: self.evidence_for(s) for i, s in enumerate(self.lengths) if i >= chosen}
        logs = []
        for side in Side:
            first = first_for(side, self.lengths, self.unseen_seconds)
            shares = [0.0] * first + list(shares_of(len(self.lengths) - first))
            logs.append(max(e.side(side) + math.log(shares[i]) for i, e in found.items()
                            if i >= first))  # fmt: skip
        return Evidence(*logs)

    def chosen(self) -> Chosen:
        """The block length at which is decided, and why."""
        if self._levels[0].is_empty and all(level.is_empty for level in self._levels):
            return self._chosen_unseen()
        states = np.array([float(of_series(state(level.likeness))) for level in self._levels])
        i = int(choose(states, self.lengths, self.unseen_seconds))
        lag, error = (float(x) for x in autocorrelation_of(self._levels[i]))
        measured = math.isfinite(lag)
        return Chosen(
            index=i,
            seconds=self.lengths[i],
            blocks=self._levels[i].blocks,
            autocorrelation=lag if measured else None,
            error=error if measured and math.isfinite(error) else None,
            reason=self._reason(i, [alike(s) for s in states]),
        )

    def _chosen_unseen(self) -> Chosen:
        """The same before any block has closed, as `choose` would have it."""
        long = (i for i, s in enumerate(self.lengths) if s >= self.unseen_seconds)
        i = next(long, len(self.lengths) - 1)
        unknown = [Alike.UNKNOWN] * len(self.lengths)
        return Chosen(i, self.lengths[i], 0, None, None, self._reason(i, unknown))

    @property
    def expected(self) -> int:
        """Index of the length to come: the shortest that is not known to be alike, or has to be.

        While nothing varies it stays the one that is chosen now.
        """
        states = np.array([float(of_series(state(level.likeness))) for level in self._levels])
        if math.isnan(float(autocorrelation_of(self._levels[0])[0])):
            return int(choose(states, self.lengths, self.unseen_seconds))
        return int(choose(np.nan_to_num(states), self.lengths, self.unseen_seconds))

    def _reason(self, i: int, states: Sequence[Alike]) -> str:
        here = f"blocks of {duration(self.lengths[i])}"
        like = [duration(s) for s, a in zip(self.lengths, states, strict=True) if a is Alike.YES]
        if states[i] is Alike.NO:
            shorter = f", those of {like[-1]} are" if like else ""
            return f"{here}: neighbours are not alike{shorter}"
        if states[i] is Alike.YES:
            return f"{here}: neighbours are alike even there, and there is no longer block"
        if like:
            return f"{here}: those of {like[-1]} are alike, longer ones too few to tell"
        return (
            f"{here}: too few blocks differ to tell whether neighbours are alike; "
            f"bursts of up to {duration(self.unseen_seconds)} are assumed"
        )

    @property
    def estimates(self) -> tuple[float, float] | None:
        """The estimate with what is missing at its best and at its worst; None without calls."""
        total = self.total
        return self.bets.estimates(total) if total[0] > 0 else None

    def interval(self, alpha: float) -> Interval:
        """A confidence sequence for the mean over blocks at the chosen length.

        It holds at every look for that length; its ends never contradict the evidence: where the
        evidence reaches ln(2/alpha), the end lies on the margin's right side.
        """
        first = first_for(Side.PASS, self.lengths, self.unseen_seconds)
        i = max(first, self.chosen().index)
        share = alpha * shares_of(len(self.lengths) - first)[i - first]
        low, high = self.bets.interval(self._levels[i].sums.vector, share)
        found, limit = self.evidence(), threshold(alpha / 2)
        if found.log_pass >= limit:
            high = min(high, self.bets.margin)
        if found.log_fail >= limit:
            low = max(low, self.bets.margin)
        return low, high

    @property
    def design_effect(self) -> float | None:
        """How many calls are worth one independent call; None while no score differs.

        The variance of the mean from block sums over what independent scores would have, for
        scores that are events; scores between the ends of the range make it an upper bound's
        inverse, so it is told only as at least 1.
        """
        _, n, nn, kn, kk = self._levels[self.chosen().index].sizes
        if n <= 0:
            return None
        low, high = self.bets.range
        mean = kn / nn  # of the block means, weighted as they are below
        most = (high - mean) * (mean - low)
        squares = kk - 2 * mean * kn + mean * mean * nn
        if most <= 1e-12 or squares <= 1e-12:
            return None
        return max(1.0, squares / (n * most))

    @property
    def effective_calls(self) -> float:
        """How many independent calls the calls are worth."""
        return self.calls / (self.design_effect or 1.0)

    @property
    def hours_of_day(self) -> int:
        """In how many of the 24 hours of a day (UTC) there were calls."""
        return self._hours.bit_count()

    @property
    def days_of_week(self) -> int:
        """On how many of the 7 days of a week (UTC) there were calls."""
        return self._days.bit_count()

    # Keeping and merging

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "format": FORMAT,
            "bets": self.bets.to_dict(),
            "lengths": list(self.lengths),
            "keep": list(self._keep),
            "unseen_seconds": self.unseen_seconds,
            "closed": list(self._closed),
            "late": self.late,
            "hours": self._hours,
            "days": self._days,
            "open": [None if block is None else list(block) for block in self._open],
            "levels": [level.to_dict() for level in self._levels],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Blocks:
        """From `to_dict`.

        Raises:
            ValueError: for another format, or values that do not fit; KeyError when one is missing.
        """
        if data["format"] != FORMAT:
            raise ValueError(f"blocks are kept in format {data['format']}, not {FORMAT}")
        blocks = cls(
            bets_of(data["bets"]),
            lengths=data["lengths"],
            keep=data["keep"],
            unseen_seconds=data["unseen_seconds"],
        )
        blocks._closed = [float(x) for x in data["closed"]]
        blocks.late = float(data["late"])
        blocks._hours, blocks._days = int(data["hours"]), int(data["days"])
        blocks._open = [None if block is None else list(block) for block in data["open"]]
        blocks._levels = [
            Level.from_dict(blocks.bets, seconds, keep, level)
            for seconds, keep, level in zip(
                blocks.lengths, blocks._keep, data["levels"], strict=True
            )
        ]
        return blocks

    @classmethod
    def merged(cls, parts: Iterable[Blocks]) -> Blocks:
        """What several pods counted, as one: to read, not to count on.

        Blocks that every pod still keeps one by one are added by wall-clock number first. What is
        older is kept as sums: of pods that lived one after the other they add, of pods that lived
        together they are averaged, because pods fail together. Open blocks are left out.

        Raises:
            ValueError: without parts, or when their margin, range or lengths differ.
        """
        found = list(parts)
        if not found:
            raise ValueError("there is nothing to merge")
        first = found[0]
        if any((p.bets, p.lengths) != (first.bets, first.lengths) for p in found):
            raise ValueError("blocks of different margins, ranges or lengths cannot be merged")
        whole = cls(
            first.bets,
            lengths=first.lengths,
            keep=first._keep,
            unseen_seconds=max(p.unseen_seconds for p in found),
        )
        for part in found:
            whole._closed = [a + b for a, b in zip(whole._closed, part.total, strict=True)]
            whole.late += part.late
            whole._hours |= part._hours
            whole._days |= part._days
        whole._levels = [merged([p._levels[i] for p in found]) for i in range(len(first.lengths))]
        return whole


def bets_of(data: Mapping[str, Any]) -> Bets:
    """From `Bets.to_dict`.

    Raises:
        ValueError: for another kind, or values that do not fit; KeyError when one is missing.
    """
    match data["kind"]:
        case "mean":
            return MeanBets(data["margin"], data["swing"], data["low"], data["high"])
        case "ratio":
            parts = tuple((row[0], row[1], row[2], row[3]) for row in data["parts"])
            return RatioBets(data["margin"], data["swing"], parts)
        case other:
            raise ValueError(f"no kind of claim is called {other!r}")


def shares_of(lengths: int) -> tuple[float, ...]:
    """The share of alpha of each of so many lengths, the longest there are; they add to 1."""
    return tuple(share / sum(SHARES[-lengths:]) for share in SHARES[-lengths:])


def autocorrelation_of(level: Level) -> tuple[float, float]:
    """Lag-1 autocorrelation of a level's block means, and its standard error."""
    lag, error = autocorrelation(level.likeness[0])
    return float(lag), float(error)


def duration(seconds: float) -> str:
    """A length of time in words."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"
