"""Closed blocks of one length: a window of them, and sums over all.

Rule: those in the window are kept one by one, so that a label that comes later counts in the block
of its call, and so that a collector can add the same block of several pods before it bets on the
sum. What left the window is kept as sums only; memory is constant. Sums are made when they are
read, over all blocks since the last time at once. Counterparts: `blocks`, which holds a level for
each length; `bets`, which says what sums there are.

Sums over whole days are kept beside: of the days that are over, counted from the first block, those
that had calls in most of their hours. An hour may be better than its day, and so may a day of which
an hour was seen.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np

from sidecar.judge.evidence.bets import BLOCKS, CALLS, SIZES, Bets
from sidecar.judge.evidence.mixtures import Floats

DAY, HOUR = 86_400, 3_600
HOURS_OF_DAY = 18  # of 24 must have calls for a day to be a whole one
Row: TypeAlias = list[float]
"""A block: calls, and the sums of its kind."""


@dataclass(slots=True)
class Sums:
    """Sums up to some block."""

    vector: Floats
    days: Floats | None = None  # the same, over whole days only
    today: int = -1  # the day that the last block lies in, from the first block on
    before: Floats | None = None  # the sums when that day began
    hours: int = 0  # bits: hours of that day in which there were calls
    cap: float = 0.0  # the most calls that a block has had


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
        self.old = Sums(np.zeros(bets.width))  # over the blocks that left it
        self._sums = Sums(np.zeros(bets.width))  # over all, but for:
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

    def close(self, number: int, row: Row) -> None:
        """Count one more block that has calls; later than every one before."""
        self.rows[number] = row
        self.changes += 1
        self._new += 1
        self.first = number if self.first is None else self.first
        self.last = number
        if len(self.rows) > self._keep + max(2, self._keep // 4):
            self._fold()

    def amend(self, number: int, row: Sequence[float]) -> bool:
        """Add to a block that has closed; whether it is in the window still."""
        if not self.rows or not next(iter(self.rows)) <= number <= (self.last or 0):
            return False
        known = self.rows.get(number)
        if known is None and row[0] <= 0:
            return False  # a block without calls has no mean
        if known is None:
            self._rows = dict(sorted([*self.rows.items(), (number, list(row))]))
        else:
            for i, x in enumerate(row):
                known[i] += x
        self.changes += 1
        self._changed = True
        return True

    def _fold(self) -> None:
        gone = list(self.rows.items())[: len(self.rows) - self._keep]
        self.sums  # noqa: B018  # before they go
        self.old = self._grown(self.old, gone, ())
        for number, _ in gone:
            del self.rows[number]

    @property
    def sums(self) -> Sums:
        """Sums over all closed blocks."""
        if self._changed:
            self._sums = self._grown(self.old, list(self.rows.items()), ())
        elif self._new:
            rows = list(self.rows.items())
            at = len(rows) - self._new
            self._sums = self._grown(self._sums, rows[at:], rows[max(0, at - 1) : at])
        self._new, self._changed = 0, False
        return self._sums

    def _grown(
        self, sums: Sums, rows: Sequence[tuple[int, Row]], before: Sequence[tuple[int, Row]]
    ) -> Sums:
        """The sums with more rows, of which `before` was the last."""
        cap = max([sums.cap, *(row[0] for _, row in rows)])
        factor = sums.cap / cap if sums.cap > 0 else 1.0
        vector, days, begun = (
            None if x is None else self._bets.grown(x, factor)
            for x in (sums.vector, sums.days, sums.before)
        )
        assert vector is not None
        today, hours = sums.today, sums.hours
        for day, group in groupby(rows, lambda row: self._day(row[0])):
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

    def _day(self, number: int) -> int:
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
    def keep(self) -> int:
        """How many closed blocks are kept one by one, at least."""
        return self._keep

    @property
    def blocks(self) -> int:
        """How many blocks with calls have closed."""
        return round(float(self.sums.vector[BLOCKS]))

    @property
    def days(self) -> int:
        """How many days are over; 0 while none of them was a whole one."""
        return 0 if self.sums.days is None else max(0, self.sums.today)

    @property
    def sizes(self) -> tuple[float, float, float, float, float]:
        """Blocks, calls, and the sums of n^2, kn and k^2 over blocks."""
        blocks, calls, nn, kn, kk = (float(x) for x in self.sums.vector[:SIZES])
        return blocks, calls, nn, kn, kk

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        table = self.table
        return {
            "first": self.first,
            "last": self.last,
            "rows": _packed(table),
            "width": table.shape[1],
            "old": _plain(self.old),
            "sums": _plain(self.sums),
        }

    @classmethod
    def from_dict(cls, bets: Bets, seconds: float, keep: int, data: Mapping[str, Any]) -> Level:
        """From `to_dict`.

        Raises:
            ValueError: for sums of another width, and numbers of blocks that are none.
        """
        level = cls(bets, seconds, keep)
        level.first, level.last = data["first"], data["last"]
        level._packed = _unpacked(data["rows"], int(data.get("width", 1)), 2 + bets.sums)
        level.old = _sums_of(bets.width, data["old"])
        level._sums = _sums_of(bets.width, data["sums"])
        return level

    @classmethod
    def merged(cls, levels: Sequence[Level]) -> Level:
        """One level from those of several pods; see `Blocks.merged`."""
        like = levels[0]
        whole = cls(like._bets, like.seconds, like._keep)
        parts = [level for level in levels if level.last is not None]
        if not parts:
            return whole
        if len(parts) == 1:
            return cls.from_dict(like._bets, like.seconds, like._keep, parts[0].to_dict())
        whole.first = min(part.first for part in parts if part.first is not None)
        whole.last = max(part.last for part in parts if part.last is not None)
        # Blocks are added where every pod that lived then still has them one by one.
        since = max(_oldest_kept(part) for part in parts)
        folded = [_folded(part, since) for part in parts]
        old, cap = _joined([f for f in folded if f is not None], like._bets)
        whole._packed = _added(parts, since)
        whole.old = Sums(old, None, whole._day(since - 1) if since else -1, cap=cap)
        found = whole._grown(whole.old, list(whole.rows.items()), ())
        ended = [
            _Folded(part.first or 0, part.last or 0, part.sums.days, part.sums.cap)
            for part in parts
            if part.sums.days is not None
        ]
        days = found.days if not since else None
        if days is None and ended:
            days = _joined(ended, like._bets)[0]
        today = max(found.today, *(p.sums.today for p in parts))
        whole._sums = Sums(found.vector, days, today, cap=found.cap)
        return whole


def _added(parts: Sequence[Level], since: int) -> Floats:
    """The parts' blocks from a number on, added by number, in order."""
    table = np.concatenate([part.table for part in parts if len(part.table)] or [np.zeros((0, 1))])
    table = table[table[:, 0] >= since]
    numbers, at = np.unique(table[:, 0], return_inverse=True)
    added = np.zeros((len(numbers), table.shape[1]))
    np.add.at(added, at, table)  # one after the other, as a loop would
    added[:, 0] = numbers
    return added


def _packed(table: Floats) -> str:
    """Number and sums of each block, as base64 of little-endian doubles: digits take ten times as
    long to read."""
    return base64.b64encode(table.astype("<f8").tobytes()).decode()


def _unpacked(packed: str | Sequence[Sequence[float]], width: int, wanted: int) -> Floats:
    """From `_packed`, or from the numbers themselves, as they were kept before.

    Raises:
        ValueError: it is neither, rows are not as wide as `wanted`, or a block has no number.
    """
    if isinstance(packed, str):
        flat = np.frombuffer(base64.b64decode(packed, validate=True), dtype="<f8")
        if len(flat) % width:
            raise ValueError(f"blocks: {len(flat)} numbers in rows of {width}")
        table = flat.reshape(-1, width)
    else:
        table = np.array([[float(x) for x in row] for row in packed] or np.zeros((0, 1)))
    if len(table) and table.shape[1] != wanted:
        raise ValueError(f"blocks: rows of {table.shape[1]} numbers, not {wanted}")
    if not (table[:, 0] == np.floor(table[:, 0])).all() or not np.isfinite(table[:, 0]).all():
        raise ValueError("blocks: numbers that are not whole")
    return table


def _plain(sums: Sums) -> dict[str, Any] | None:
    if not sums.vector[BLOCKS]:
        return None
    days = None if sums.days is None else sums.days.tolist()
    before = None if sums.before is None else sums.before.tolist()
    return {
        "vector": sums.vector.tolist(),
        "days": days,
        "today": sums.today,
        "before": before,
        "hours": sums.hours,
        "cap": sums.cap,
    }


def _sums_of(width: int, data: Mapping[str, Any] | None) -> Sums:
    if data is None:
        return Sums(np.zeros(width))
    for name in ("vector", "days", "before"):
        if data[name] is not None and len(data[name]) != width:
            raise ValueError(f"blocks: {name} has {len(data[name])} sums, not {width}")
    vector, days, before = (
        None if data[name] is None else np.array(data[name], dtype=np.float64)
        for name in ("vector", "days", "before")
    )
    assert vector is not None
    return Sums(vector, days, int(data["today"]), before, int(data["hours"]), float(data["cap"]))


@dataclass(frozen=True, slots=True)
class _Folded:
    """A pod's sums over some time, and when they were counted."""

    first: int
    last: int
    vector: Floats
    cap: float


def _oldest_kept(part: Level) -> int:
    """The first number from which on nothing of a pod has been folded away."""
    if not part.old.vector[BLOCKS]:
        return 0
    return int(part.table[0, 0]) if len(part.table) else (part.last or 0) + 1


def _folded(part: Level, since: int) -> _Folded | None:
    table = part.table
    early = table[table[:, 0] < since].tolist()
    before = [(int(row[0]), row[1:]) for row in early]
    sums = part._grown(part.old, before, ())
    vector = sums.vector
    if not vector[BLOCKS] or part.first is None:
        return None
    last = before[-1][0] if before else min(since - 1, part.last or 0)
    return _Folded(part.first, last, vector, sums.cap)


def _joined(parts: Iterable[_Folded], bets: Bets) -> tuple[Floats, float]:
    """Add what was counted one after the other; average what was counted at the same time.

    Pods fail together, so their bets on the same blocks do not multiply. But ln is concave: the
    mean of ln(1 + L z_p), weighted by the pods' caps, is at most ln(1 + L z) of the added block
    (Jensen). So the average is evidence too, only less of it.

    Returns:
        The sums, and the most calls that a block of all pods may have had.
    """
    groups: list[list[_Folded]] = []
    end = -1
    for part in sorted(parts, key=lambda f: f.first):
        if not groups or part.first > end:
            groups.append([])
        groups[-1].append(part)
        end = max(end, part.last)
    sizes = [sum(part.cap for part in group) for group in groups]
    cap = max(sizes, default=0.0)
    total = np.zeros(bets.width)
    for group, size in zip(groups, sizes, strict=True):
        total += bets.grown(_average(group), size / cap)
    return total, cap


def _average(parts: list[_Folded]) -> Floats:
    sizes = np.array([p.cap for p in parts])
    share = sizes / sizes.sum()
    mean = np.sum([s * p.vector for s, p in zip(share, parts, strict=True)], axis=0)
    calls = sum(float(p.vector[CALLS]) for p in parts)
    scale = calls / max(float(mean[CALLS]), 1e-300)
    mean[CALLS] = calls
    mean[CALLS + 1 : SIZES] *= scale**2  # as if the pods' blocks were one
    return np.asarray(mean)
