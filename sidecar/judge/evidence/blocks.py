"""Evidence from blocks of wall-clock time, for one cell: criterion, slice and versions.

Rule: the unit of evidence is a block of time, not a call, because calls near each other are alike.
Sums are kept for blocks of several lengths at once, and the evidence is that of the shortest
length at which neighbouring blocks are no longer alike. Memory is constant, pods merge, and the
whole goes to JSON and back. Sources and proofs: `betting` (what a block is worth), `likeness` (how
long a block must be), `bets` (kinds of claims), `level` (how pods add, and what a whole day is).

A call counts in the block in which it arrived, also when what is known of it comes later, as long
as that block is in the window of its level; what comes later still counts in the block that is
open then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from sidecar.judge.evidence.bets import Bets, Evidence
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.level import Level, Row
from sidecar.judge.evidence.likeness import (
    LENGTHS,
    SHARES,
    UNSEEN_SECONDS,
    Alike,
    alike,
    autocorrelation,
    choose,
    of_series,
    state,
)
from sidecar.judge.evidence.mean_bets import MeanBets
from sidecar.judge.evidence.mixtures import threshold
from sidecar.judge.evidence.ratio_bets import RatioBets

FORMAT = 3
KEEP = (300, 360, 240, 144, 168)  # closed blocks kept one by one: 5 min, 1 h, 4 h, a day, a week
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


class Blocks:
    """Additive block sums of one cell."""

    __slots__ = (
        "_base_ns",
        "_closed",
        "_days",
        "_hours",
        "_keep",
        "_levels",
        "_open",
        "bets",
        "late",
        "lengths",
        "unseen_seconds",
    )

    def __init__(
        self,
        bets: Bets,
        *,
        lengths: Sequence[float] = LENGTHS,
        keep: Sequence[int] = KEEP,
        unseen_seconds: float = UNSEEN_SECONDS,
    ) -> None:
        """Start counting.

        Args:
            bets: what is claimed.
            lengths: of blocks in seconds, ascending, each a whole multiple of the first.
            keep: closed blocks of each length that are kept one by one, for merging.
            unseen_seconds: how long bursts are assumed to be while none has been seen.

        Raises:
            ValueError: for lengths that do not fit.
        """
        check_lengths(lengths)
        if len(lengths) != len(keep):
            raise ValueError(f"{len(lengths)} lengths need as many keeps")
        self.bets = bets
        self.lengths = tuple(float(length) for length in lengths)
        self.unseen_seconds = unseen_seconds
        self.late = 0.0  # calls counted after their block had left the window
        self._base_ns = round(lengths[0] * _SECOND)
        self._keep = tuple(keep)
        self._levels = [Level(bets, s, k) for s, k in zip(self.lengths, keep, strict=True)]
        self._open: list[Row | None] = [None] * len(lengths)  # number, calls, sums
        self._closed = [0.0] * (1 + bets.sums)  # calls and sums of what is not in the open one
        self._hours = 0  # bits: hours of the day, UTC, in which there were calls
        self._days = 0  # bits: days of the week, Monday first

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blocks) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # it changes while it counts

    # Counting

    def add(self, unix_ns: int, n: float, sums: Sequence[float]) -> None:
        """Count calls.

        Args:
            unix_ns: when they arrived, in nanoseconds since 1970.
            n: how many, or the sum of their weights; 0 for what becomes known of counted ones.
            sums: of their kind; of scores, with what was lost at its worst and at its best.
        """
        number = unix_ns // self._base_ns
        now = self._open[0]
        if now is None or number != now[0]:
            found = self._turn(number, unix_ns, n, sums)
            if found is None:
                return
            now = found
        now[1] += n
        j = 2
        for x in sums:
            now[j] += x
            j += 1

    def _turn(self, number: int, unix_ns: int, n: float, sums: Sequence[float]) -> Row | None:
        """The block to count in, when it is not the open one; None when that is done."""
        now, last = self._open[0], self._levels[0].last
        if now is not None and number > now[0]:
            self.advance(unix_ns)
            now, last = None, self._levels[0].last
        if now is None and (last is None or number > last):
            if n <= 0:
                return None  # of calls that were never counted: a block without calls has no mean
            self._open[0] = now = [float(number), *[0.0] * len(self._closed)]
            return now
        if self._amend(unix_ns, n, sums) or not n:
            return None  # what becomes known too late stays unknown
        self.late += n
        if now is None:
            self._open[0] = now = [float((last or 0) + 1), *[0.0] * len(self._closed)]
        return now

    def _amend(self, unix_ns: int, n: float, sums: Sequence[float]) -> bool:
        """Count in blocks that have closed; whether any of them is in its window still."""
        row = [n, *sums]
        done = False
        for i, level in enumerate(self._levels):
            number = int(unix_ns // (self.lengths[i] * _SECOND))
            block = self._open[i]
            if block is not None and number == block[0]:
                for j, x in enumerate(row):
                    block[1 + j] += x
                done = True
                break  # it passes them on when it closes
            done = level.amend(number, row) or done
        if done:
            for j, x in enumerate(row):
                self._closed[j] += x
        return done

    def advance(self, unix_ns: int) -> None:
        """Close the blocks that are over; call it before evidence is read."""
        for i, length in enumerate(self.lengths):
            block = self._open[i]
            if block is not None and int(unix_ns // (length * _SECOND)) > block[0]:
                self._close(i, block)

    def _close(self, i: int, block: Row) -> None:
        self._open[i] = None
        if i == 0:
            for j, x in enumerate(block[1:]):
                self._closed[j] += x
            unix_ns = int(block[0]) * self._base_ns
            self._hours |= 1 << (unix_ns // (3_600 * _SECOND) % 24)
            self._days |= 1 << ((unix_ns // _DAY + _THURSDAY) % 7)
        if block[1] > 0:
            self._levels[i].close(int(block[0]), block[1:])
            if i + 1 < len(self.lengths):
                self._pass_on(i, block)

    def _pass_on(self, i: int, block: Row) -> None:
        """A closed block becomes a part of the next longer one."""
        # In whole steps of the shortest: a product of fractions may fall just short.
        step = round(self.lengths[i + 1] / self.lengths[i])
        number = float(int(block[0]) // step)
        longer = self._open[i + 1]
        if longer is not None and number > longer[0]:
            self._close(i + 1, longer)
            longer = None
        if longer is None:
            longer = self._open[i + 1] = [number, *[0.0] * len(self._closed)]
        for j in range(1, len(longer)):
            longer[j] += block[j]

    # Reading

    @property
    def levels(self) -> list[Level]:
        """Closed blocks, by length."""
        return self._levels

    @property
    def total(self) -> list[float]:
        """Calls and sums of everything."""
        now = self._open[0]
        return self._closed if now is None else [a + b for a, b in zip(self._closed, now[1:],
                                                                       strict=True)]  # fmt: skip

    @property
    def calls(self) -> float:
        """How many, or the sum of their weights."""
        return self.total[0]

    def level(self, seconds: float) -> Level:
        """Closed blocks of one length."""
        return self._levels[self.lengths.index(seconds)]

    def rows(self, seconds: float, since: int = -1) -> list[tuple[int, Row]]:
        """Closed blocks of one length that are still kept one by one, after a block's number."""
        level = self._levels[self.lengths.index(seconds)]
        return [(number, row) for number, row in level.rows.items() if number > since]

    def blocks(self, seconds: float) -> int:
        """How many blocks of one length have closed with calls in them."""
        return self._levels[self.lengths.index(seconds)].blocks

    @property
    def days_over(self) -> int:
        """How many days are over since the first block; 0 while none of them was a whole one."""
        return max(level.days for level in self._levels)

    def evidence_for(self, seconds: float) -> Evidence:
        """ln E from blocks of one length, which was fixed beforehand."""
        sums = self._levels[self.lengths.index(seconds)].sums
        return self.bets.evidence(sums.vector, sums.days)

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
        i = self.chosen().index
        share = alpha * shares_of(len(self.lengths))[i]
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
        whole._levels = [
            Level.merged([p._levels[i] for p in found]) for i in range(len(first.lengths))
        ]
        return whole


def check_lengths(lengths: Sequence[float]) -> None:
    """Whether blocks can be of these lengths.

    Raises:
        ValueError: they cannot.
    """
    if not 0 < len(lengths) <= len(SHARES):
        raise ValueError(f"there are between 1 and {len(SHARES)} lengths")
    ratios = [b / a for a, b in pairwise(lengths)]
    if any(r <= 1 or not math.isclose(r, round(r)) for r in ratios):
        raise ValueError("lengths must ascend, each a whole multiple of the one before")


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
    """The share of alpha of each of so many lengths; they add to 1."""
    return tuple(share / sum(SHARES[:lengths]) for share in SHARES[:lengths])


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
