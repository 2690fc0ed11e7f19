"""Closed blocks of one length: a window of them, and sums over all.

Rule: those in the window are kept one by one, so that a label that comes later counts in the block
of its call, and so that a collector can add the same block of several pods (`merging`). What left
the window is kept as sums only; memory is constant. Sums are made when they are read, over all
blocks since the last time at once. Counterparts: `blocks`, which holds a level for each length;
`bets`, which says what sums there are; `sums`, what is kept of a level and how.

Sums over whole days are kept beside: of the days that are over, counted from the first block, those
that had calls in most of their hours. An hour may be better than its day, and so may a day of which
an hour was seen.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np

from sidecar.judge.evidence.bets import BLOCKS, SIZES, Bets
from sidecar.judge.evidence.mixtures import Floats, Side
from sidecar.judge.evidence.sums import Sums, packed, plain, sums_of, unpacked

DAY, HOUR = 86_400, 3_600
HOURS_OF_DAY = 18  # of 24 must have calls for a day to be a whole one
Row: TypeAlias = list[float]
"""A block: calls, and the sums of its kind."""

_EMPTY = {"first": None, "last": None, "rows": "", "width": 1, "old": None, "sums": None}


class Level:
    """Closed blocks of one length."""

    __slots__ = ("_bets", "_changed", "_keep", "_new", "_packed", "_rows", "_sums", "changes",
                 "first", "last", "old", "seconds")  # fmt: skip

    def __init__(self, bets: Bets, seconds: float, keep: int) -> None:
        """Start without blocks.

        Args:
            bets: what is claimed.
            seconds: the length of a block.
            keep: how many closed blocks are kept one by one, at least.
        """
        self._bets = bets
        self._keep = keep
        self.seconds = seconds
        self.first: int | None = None  # numbers of the first and last block there ever was
        self.last: int | None = None
        self._rows: dict[int, Row] = {}  # the window by number, oldest first; or, as it was read:
        self._packed: Floats | None = None  # number and sums of each: a collector has thousands
        self.old: Sums | None = None  # over the blocks that left it; None while none has
        self._sums: Sums | None = None  # over all, but for:
        self._new = 0  # so many of the window's last, which are not in the sums yet
        self.changes = 0  # how often a block was added or changed
        self._changed = False  # and those that were changed: everything is to be summed again

    @property
    def rows(self) -> dict[int, Row]:
        """The blocks of the window by number, oldest first; for counting in."""
        if self._packed is not None:
            self._rows = {int(row[0]): row[1:] for row in self._packed.tolist()}
            self._packed = None
        return self._rows

    @property
    def table(self) -> Floats:
        """The same as numbers, shape (blocks, 1 + width): number, calls, sums."""
        if self._packed is not None:
            return self._packed
        if not self._rows:
            return np.zeros((0, 1))
        return np.array([[number, *row] for number, row in self._rows.items()])

    @property
    def is_empty(self) -> bool:
        """Whether no block has closed yet: then all sums are zero, and need not be made."""
        return self.last is None

    def close(self, number: int, row: Row) -> None:
        """Count one more block that has calls, or more of one that the clock had closed before."""
        if self.last is not None and number <= self.last:
            self.amend(number, row)
            return
        self.rows[number] = row
        self.changes += 1
        self._new += 1
        self.first = number if self.first is None else self.first
        self.last = number
        if self._is_full:
            self._fold()

    @property
    def _is_full(self) -> bool:
        return len(self.rows) > self._keep + max(2, self._keep // 4)

    def holds(self, number: int) -> bool:
        """Whether a block that is over is in the window, or has room in it.

        While nothing has left the window, that is so of one before its first too.
        """
        if not self.rows or number >= next(iter(self.rows)):
            return True
        return not ((self.old and self.old.vector[BLOCKS]) or self._is_full)

    def amend(self, number: int, row: Sequence[float]) -> bool:
        """Add to a block that has closed; whether it is in the window still."""
        if not self.holds(number):
            return False
        known = self.rows.get(number)
        if known is None and row[0] <= 0:
            return False  # a block without calls has no mean
        if known is None and (self.last is None or number > self.last):
            self.close(number, list(row))
            return True
        if known is None:
            self._rows = dict(sorted([*self.rows.items(), (number, list(row))]))
            self.first = min(number, self.first or 0)
        else:
            for i, x in enumerate(row):
                known[i] += x
        self.changes += 1
        self._changed = True
        if self._is_full:  # labels of a day may come when its last block has closed
            self._fold()
        return True

    def forfeit(self, sides: Collection[Side]) -> None:
        """What told of some claims turns out not to be known: no bet on them has won anything.

        What they have lost stays lost, so it is evidence still, only less of it.
        """
        if self.old is not None:
            self.old = self._forfeited(self.old, sides)
        for row in self.rows.values():
            row[1:] = self._bets.unproven(row[0], row[1:], sides)
        self.changes += 1
        self._changed = True

    def _forfeited(self, sums: Sums, sides: Collection[Side]) -> Sums:
        vector = self._bets.forfeited(sums.vector, sides)
        days = None if sums.days is None else self._bets.forfeited(sums.days, sides)
        before = sums.before
        if before is not None:
            before = vector - self._bets.forfeited(sums.vector - before, sides)
        return replace(sums, vector=vector, days=days, before=before)

    def _fold(self) -> None:
        gone = list(self.rows.items())[: len(self.rows) - self._keep]
        self.sums  # noqa: B018  # before they go
        self.old = self.grown(self.folded, gone, ())
        for number, _ in gone:
            del self.rows[number]

    @property
    def sums(self) -> Sums:
        """Sums over all closed blocks."""
        if self._changed:
            self._sums = self.grown(self.folded, list(self.rows.items()), ())
        elif self._new:
            rows = list(self.rows.items())
            at = len(rows) - self._new
            so_far = self._sums or self._nothing()
            self._sums = self.grown(so_far, rows[at:], rows[max(0, at - 1) : at])
        self._new, self._changed = 0, False
        return self._sums or self._nothing()

    @property
    def folded(self) -> Sums:
        """Sums over the blocks that left the window."""
        return self.old or self._nothing()

    def _nothing(self) -> Sums:
        return Sums(np.zeros(self._bets.width))

    def grown(
        self, sums: Sums, rows: Sequence[tuple[int, Row]], before: Sequence[tuple[int, Row]]
    ) -> Sums:
        """Sums with more rows, of which `before` was the last."""
        cap = max([sums.cap, *(row[0] for _, row in rows)])
        factor = sums.cap / cap if sums.cap > 0 else 1.0
        vector, days, begun = (
            None if x is None else self._bets.grown(x, factor)
            for x in (sums.vector, sums.days, sums.before)
        )
        assert vector is not None
        today, hours = sums.today, sums.hours
        for day, group in groupby(rows, lambda row: self.day(row[0])):
            if day > today:
                if hours.bit_count() >= HOURS_OF_DAY:
                    whole = vector if begun is None else vector - begun
                    days = whole if days is None else days + whole
                begun, hours, today = (vector if vector[BLOCKS] else None), 0, day
            new = list(group)
            for number, _ in new:
                hours |= self._hours(number)
            table = np.array([[number, *row] for number, row in (*before, *new)])
            vector = vector + self._bets.added(table, cap, skip=len(before))
            before = new[-1:]
        return Sums(vector, days, today, begun, hours, cap)

    def day(self, number: int) -> int:
        """The day that a block lies in, from the first block on."""
        return int((number - (self.first or 0)) * self.seconds // DAY)

    def _hours(self, number: int) -> int:
        """Bits: the hours of its day, from the first block on, that a block covers."""
        begin = int((number - (self.first or 0)) * self.seconds) % DAY // HOUR
        return ((1 << max(1, int(self.seconds // HOUR))) - 1) << begin

    @property
    def likeness(self) -> Floats:
        """Sums of `likeness.pair_sums`, shape (series, PAIRS)."""
        return self._bets.likeness(self.sums.vector)

    @property
    def bets(self) -> Bets:
        """What is claimed."""
        return self._bets

    @property
    def keep(self) -> int:
        """How many closed blocks are kept one by one, at least."""
        return self._keep

    @property
    def blocks(self) -> int:
        """How many blocks with calls have closed."""
        return 0 if self.is_empty else round(float(self.sums.vector[BLOCKS]))

    @property
    def days(self) -> int:
        """How many days are over; 0 while none of them was a whole one."""
        return 0 if self.is_empty or self.sums.days is None else max(0, self.sums.today)

    @property
    def sizes(self) -> tuple[float, float, float, float, float]:
        """Blocks, calls, and the sums of n^2, kn and k^2 over blocks."""
        blocks, calls, nn, kn, kk = (float(x) for x in self.sums.vector[:SIZES])
        return blocks, calls, nn, kn, kk

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        if self.is_empty:
            return dict(_EMPTY)
        table = self.table
        return {
            "first": self.first,
            "last": self.last,
            "rows": packed(table),
            "width": table.shape[1],
            "old": plain(self.folded),
            "sums": plain(self.sums),
        }

    @classmethod
    def of(cls, like: Level, first: int, last: int, table: Floats, old: Sums, sums: Sums) -> Level:
        """One with given blocks and sums.

        Args:
            like: has the claim, the length, and how many are kept.
            first: number of the first block there ever was.
            last: and of the last.
            table: the window, as `table` has it.
            old: over the blocks that left it.
            sums: over all.
        """
        level = cls(like._bets, like.seconds, like._keep)
        level.first, level.last, level._packed, level.old = first, last, table, old
        level._sums = sums
        return level

    @classmethod
    def from_dict(cls, bets: Bets, seconds: float, keep: int, data: Mapping[str, Any]) -> Level:
        """From `to_dict`.

        Raises:
            ValueError: for sums of another width, and numbers of blocks that are none.
        """
        level = cls(bets, seconds, keep)
        level.first, level.last = data["first"], data["last"]
        level._packed = unpacked(data["rows"], int(data.get("width", 1)), 2 + bets.sums)
        level.old = sums_of(bets.width, data["old"])
        level._sums = sums_of(bets.width, data["sums"])
        return level
