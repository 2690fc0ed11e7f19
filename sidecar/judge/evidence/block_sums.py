"""Counting in blocks of wall-clock time of several lengths at once.

Rule: a call counts in the block in which it arrived, also when what is known of it comes later, as
long as that block is in the window of its level. What comes later still is lost, for nobody can say
in which block it was: worst for PASS and best for FAIL, in the block that is open then. Memory is
constant. Counterparts: `blocks`, which says what the sums are evidence for;
`level`, which holds closed blocks.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import pairwise

from sidecar.judge.evidence.bets import Bets
from sidecar.judge.evidence.level import Level, Row
from sidecar.judge.evidence.likeness import LENGTHS, SHARES, UNSEEN_SECONDS
from sidecar.judge.evidence.mixtures import Side

# Closed blocks kept one by one: 15 s, 5 min, 1 h, 4 h, a day, a week.
KEEP = (150, 300, 360, 240, 144, 168)
_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
_THURSDAY = 3  # 1 January 1970


class BlockSums:
    """Block sums of one cell."""

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
        self.late = 0.0  # calls of which something was told when their block had left the window
        self._base_ns = round(lengths[0] * _SECOND)
        self._keep = tuple(keep)
        self._levels = [Level(bets, s, k) for s, k in zip(self.lengths, keep, strict=True)]
        self._open: list[Row | None] = [None] * len(lengths)  # number, calls, sums
        self._closed = [0.0] * (1 + bets.sums)  # calls and sums of what is not in the open one
        self._hours = 0  # bits: hours of the day, UTC, in which there were calls
        self._days = 0  # bits: days of the week, Monday first

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
        if self._amend(unix_ns, n, sums):
            return None
        self.late += n or 1.0
        if n:  # else it was counted when it came, as unknown, and stays so
            if now is None:
                self._open[0] = now = [float((last or 0) + 1), *[0.0] * len(self._closed)]
            for j, x in enumerate((n, *self.bets.lost(n))):
                now[1 + j] += x
        return None

    def _amend(self, unix_ns: int, n: float, sums: Sequence[float]) -> bool:
        """Count in blocks that have closed; whether the longest is in its window still.

        Where it is not, shorter ones of scattered calls may be: they alone are not decided by.
        """
        at = [int(unix_ns // (length * _SECOND)) for length in self.lengths]
        first = self._open[0]
        latest = (self._levels[0].last or 0) if first is None else int(first[0])
        open_ = [
            i
            for i, (number, block, level) in enumerate(
                zip(at, self._open, self._levels, strict=True)
            )
            if (block is not None and block[0] == number)
            or (block is None and i and level.last != number == self._number(latest, i))
        ]
        if not open_ and not self._levels[-1].holds(at[-1]):
            return False
        row, done = [n, *sums], False
        for i, level in enumerate(self._levels):
            if i in open_:
                block = self._open[i]
                if block is None and n > 0:
                    block = self._open[i] = [float(at[i]), *[0.0] * len(row)]
                if block is not None:
                    for j, x in enumerate(row):
                        block[1 + j] += x
                    done = True
                break  # it passes them on when it closes
            done = level.amend(at[i], row) or done
        if done:
            for j, x in enumerate(row):
                self._closed[j] += x
        return done

    def _number(self, base: int, i: int) -> int:
        """Of the block of a longer level that one of the shortest lies in."""
        return base // round(self.lengths[i] / self.lengths[0])

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

    def forfeit(self, sides: Collection[Side], more: Sequence[float]) -> None:
        """Calls that were counted turn out to be unknown; see `Level.forfeit`.

        Args:
            sides: the claims that they told of.
            more: what is to be added to calls and sums over everything.
        """
        before = self.total
        for level in self._levels:
            level.forfeit(sides)
        for block in self._open:
            if block is not None:
                block[2:] = self.bets.unproven(block[1], block[2:], sides)
        after = self.total
        for j, x in enumerate(more):
            self._closed[j] += before[j] + x - after[j]

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
