"""Evidence from blocks of wall-clock time, for one cell: criterion, slice and versions.

Rule: the unit of evidence is a block of time, not a call, because calls near each other are alike.
Sums are kept for blocks of several lengths at once, and the evidence is that of the shortest
length at which neighbouring blocks are no longer alike. Memory is constant, pods merge, and the
whole goes to JSON and back. Sources and proofs: `betting` (what a block is worth), `likeness` (how
long a block must be), `spread` (the interval), `level` (how pods add).

A score that becomes known after its block has closed (a late label) counts in the block that is
open then: what the evidence was built on never changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.level import Bounded, Level, Row
from sidecar.judge.evidence.likeness import (
    LENGTHS,
    SHARES,
    UNSEEN_SECONDS,
    Alike,
    alike,
    autocorrelation,
    choose,
    state,
)
from sidecar.judge.evidence.mixtures import Side, logmeanexp, threshold
from sidecar.judge.evidence.spread import moment_interval

FORMAT = 1
KEEP = (360, 240, 144, 168)  # closed blocks kept one by one: an hour, 4 hours, a day, a week
_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
_THURSDAY = 3  # 1 January 1970


@dataclass(frozen=True, slots=True)
class Chosen:
    """The block length at which is decided, and why."""

    index: int
    seconds: float
    blocks: int  # closed, with calls
    autocorrelation: float | None  # of neighbouring blocks' means; None where nothing varies
    error: float | None  # its standard error
    reason: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """ln E for both claims, to be compared with ln(1/alpha) each."""

    log_pass: float
    log_fail: float

    def side(self, side: Side) -> float:
        """ln E for one claim."""
        return self.log_pass if side is Side.PASS else self.log_fail


class Blocks:
    """Additive block sums of one cell."""

    __slots__ = (
        "_days",
        "_hours",
        "_keep",
        "_levels",
        "_open",
        "bounded",
        "calls",
        "late",
        "lengths",
        "sum_best",
        "sum_worst",
        "unseen_seconds",
    )

    def __init__(
        self,
        margin: float,
        low: float = 0.0,
        high: float = 1.0,
        *,
        lengths: Sequence[float] = LENGTHS,
        keep: Sequence[int] = KEEP,
        unseen_seconds: float = UNSEEN_SECONDS,
    ) -> None:
        """Start counting.

        Args:
            margin: strictly between low and high.
            low: the smallest score of a call.
            high: the largest.
            lengths: of blocks in seconds, ascending, each a whole multiple of the first.
            keep: closed blocks of each length that are kept one by one, for merging.
            unseen_seconds: how long bursts are assumed to be while none has been seen.

        Raises:
            ValueError: for a margin outside the range, or lengths that do not fit.
        """
        if not low < margin < high:
            raise ValueError(f"the margin must lie between {low} and {high}, not at {margin}")
        steps = [length / lengths[0] for length in lengths]
        if len(lengths) != len(keep) or len(lengths) > len(SHARES):
            raise ValueError(
                f"{len(lengths)} lengths need as many keeps, and {len(SHARES)} at most"
            )
        if any(b <= a for a, b in pairwise(lengths)) or any(step != round(step) for step in steps):
            raise ValueError("lengths must ascend, each a whole multiple of the first")
        self.bounded = Bounded(margin, low, high)
        self.lengths = tuple(float(length) for length in lengths)
        self.unseen_seconds = unseen_seconds
        self.calls = 0.0
        self.sum_worst = 0.0  # of scores, what is missing counted at its worst: for PASS
        self.sum_best = 0.0  # at its best: for FAIL
        self.late = 0.0  # calls counted after their block had closed
        self._keep = tuple(keep)
        self._levels = [Level(self.bounded, k) for k in keep]
        self._open: list[list[float] | None] = [None] * len(lengths)  # number, n, worst, best
        self._hours = 0  # bits: hours of the day, UTC, in which there were calls
        self._days = 0  # bits: days of the week, Monday first

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blocks) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # it changes while it counts

    # Counting

    def add(self, unix_ns: int, n: float, k_for_pass: float, k_for_fail: float) -> None:
        """Count calls.

        Args:
            unix_ns: when, in nanoseconds since 1970.
            n: how many, or the sum of their weights.
            k_for_pass: the sum of their scores, with what was lost at its worst.
            k_for_fail: with what was lost at its best.
        """
        number = int(unix_ns // (self.lengths[0] * _SECOND))
        now = self._open[0]
        if now is None or number > now[0]:
            self.advance(unix_ns)
            last = self._levels[0].last
            if last is not None and number <= last:
                number = last + 1
                self.late += n
            now = self._open[0] = [float(number), 0.0, 0.0, 0.0]
        elif number < now[0]:
            self.late += n
        now[1] += n
        now[2] += k_for_pass
        now[3] += k_for_fail
        self.calls += n
        self.sum_worst += k_for_pass
        self.sum_best += k_for_fail
        self._hours |= 1 << (unix_ns // (3_600 * _SECOND) % 24)
        self._days |= 1 << ((unix_ns // _DAY + _THURSDAY) % 7)

    def advance(self, unix_ns: int) -> None:
        """Close the blocks that are over; call it before evidence is read."""
        for i, length in enumerate(self.lengths):
            block = self._open[i]
            if block is not None and int(unix_ns // (length * _SECOND)) > block[0]:
                self._close(i, block)

    def _close(self, i: int, block: list[float]) -> None:
        self._open[i] = None
        number, n, worst, best = block
        if n > 0:
            self._levels[i].close((int(number), n, worst, best))
            if i + 1 < len(self.lengths):
                self._pass_on(i, block)

    def _pass_on(self, i: int, block: list[float]) -> None:
        """A closed block becomes a part of the next longer one."""
        number = float(int(block[0] * self.lengths[i]) // int(self.lengths[i + 1]))
        longer = self._open[i + 1]
        if longer is not None and number > longer[0]:
            self._close(i + 1, longer)
            longer = None
        if longer is None:
            longer = self._open[i + 1] = [number, 0.0, 0.0, 0.0]
        for j in (1, 2, 3):
            longer[j] += block[j]

    # Reading

    @property
    def levels(self) -> list[Level]:
        """Closed blocks, by length."""
        return self._levels

    def rows(self, seconds: float, since: int = -1) -> list[Row]:
        """Closed blocks of one length that are still kept one by one, after a block's number."""
        level = self._levels[self.lengths.index(seconds)]
        return [row for row in level.rows if row[0] > since]

    def blocks(self, seconds: float) -> int:
        """How many blocks of one length have closed with calls in them."""
        return self._levels[self.lengths.index(seconds)].blocks

    def evidence_for(self, seconds: float) -> Evidence:
        """ln E from blocks of one length, which was fixed beforehand."""
        level = self._levels[self.lengths.index(seconds)]
        return Evidence(*(float(logmeanexp(level.vector(side))) for side in Side))

    def evidence(self) -> Evidence:
        """ln E at the chosen length or any longer one, each charged its share of alpha."""
        first = self.chosen().index
        shares = shares_of(len(self.lengths))
        found = [
            (self.evidence_for(self.lengths[i]), math.log(shares[i]))
            for i in range(first, len(self.lengths))
        ]
        return Evidence(
            max(e.log_pass + share for e, share in found),
            max(e.log_fail + share for e, share in found),
        )

    def chosen(self) -> Chosen:
        """The block length at which is decided, and why."""
        states = np.array([float(state(level.likeness)) for level in self._levels])
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
        """The mean score with what is missing at its best and at its worst; None without calls."""
        if self.calls <= 0:
            return None
        return self.sum_best / self.calls, self.sum_worst / self.calls

    def interval(self, alpha: float) -> Interval:
        """A confidence sequence for the mean over blocks at the chosen length.

        It holds at every look for that length; its ends never contradict the evidence: where the
        evidence reaches ln(2/alpha), the end lies on the margin's right side.
        """
        b, i = self.bounded, self.chosen().index
        level = self._levels[i]
        share = alpha * shares_of(len(self.lengths))[i]
        low, high = moment_interval(
            level.moments(Side.FAIL), level.moments(Side.PASS), b.low, b.high, share
        )
        found, limit = self.evidence(), threshold(alpha / 2)
        if found.log_pass >= limit:
            high = min(high, b.margin)
        if found.log_fail >= limit:
            low = max(low, b.margin)
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
        b = self.bounded
        mean = (self.sum_best + self.sum_worst) / 2 / self.calls
        most = (b.high - mean) * (mean - b.low)
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
        b = self.bounded
        return {
            "format": FORMAT,
            "margin": b.margin,
            "low": b.low,
            "high": b.high,
            "lengths": list(self.lengths),
            "keep": list(self._keep),
            "unseen_seconds": self.unseen_seconds,
            "calls": self.calls,
            "sum_worst": self.sum_worst,
            "sum_best": self.sum_best,
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
            data["margin"],
            data["low"],
            data["high"],
            lengths=data["lengths"],
            keep=data["keep"],
            unseen_seconds=data["unseen_seconds"],
        )
        blocks.calls = float(data["calls"])
        blocks.sum_worst = float(data["sum_worst"])
        blocks.sum_best = float(data["sum_best"])
        blocks.late = float(data["late"])
        blocks._hours, blocks._days = int(data["hours"]), int(data["days"])
        blocks._open = [None if block is None else list(block) for block in data["open"]]
        blocks._levels = [
            Level.from_dict(blocks.bounded, keep, level)
            for keep, level in zip(blocks._keep, data["levels"], strict=True)
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
        if any((p.bounded, p.lengths) != (first.bounded, first.lengths) for p in found):
            raise ValueError("blocks of different margins, ranges or lengths cannot be merged")
        b = first.bounded
        whole = cls(
            b.margin,
            b.low,
            b.high,
            lengths=first.lengths,
            keep=first._keep,
            unseen_seconds=max(p.unseen_seconds for p in found),
        )
        for part in found:
            whole.calls += part.calls
            whole.sum_worst += part.sum_worst
            whole.sum_best += part.sum_best
            whole.late += part.late
            whole._hours |= part._hours
            whole._days |= part._days
        whole._levels = [
            Level.merged(b, keep, [p._levels[i] for p in found])
            for i, keep in enumerate(first._keep)
        ]
        return whole


def shares_of(lengths: int) -> tuple[float, ...]:
    """The share of alpha of each of so many lengths; they add to 1."""
    return tuple(share / sum(SHARES[:lengths]) for share in SHARES[:lengths])


def autocorrelation_of(level: Level) -> tuple[float, float]:
    """Lag-1 autocorrelation of a level's block means, and its standard error."""
    lag, error = autocorrelation(level.likeness)
    return float(lag), float(error)


def duration(seconds: float) -> str:
    """A length of time in words."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"
