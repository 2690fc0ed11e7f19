"""Blocks of one length: those still open, a window of closed ones, and sums over all.

Rule: a block that has closed never changes, so everything is a sum over closed blocks. Those in
the window are kept one by one, so that a collector can add the same block of several pods before
it bets on the sum; what left the window is kept as sums only. Memory is constant. Counterpart:
`blocks`, which holds a level for each length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from sidecar.judge.evidence.betting import BETS, bets, caps, excess, log_payoffs, weights
from sidecar.judge.evidence.likeness import pair_sums
from sidecar.judge.evidence.mixtures import Floats, Side
from sidecar.judge.evidence.spread import moment_columns

Row: TypeAlias = tuple[int, float, float, float]
"""A block: its number since 1970, calls, sum of scores at worst (for PASS), at best (for FAIL)."""

_MOMENTS = 5
_PAIRS = 7
# One vector of sums: bets for PASS, for FAIL, moments at worst, at best, neighbours, sizes.
_PASS = slice(0, BETS)
_FAIL = slice(BETS, 2 * BETS)
_WORST = slice(2 * BETS, 2 * BETS + _MOMENTS)
_BEST = slice(_WORST.stop, _WORST.stop + _MOMENTS)
_LIKE = slice(_BEST.stop, _BEST.stop + _PAIRS)
_SIZE = slice(_LIKE.stop, _LIKE.stop + 5)  # blocks, calls, sum n^2, sum kn, sum k^2
WIDTH = _SIZE.stop


@dataclass(frozen=True, slots=True)
class Bounded:
    """What is known of the scores beforehand."""

    margin: float
    low: float
    high: float


class Level:
    """Closed blocks of one length."""

    __slots__ = ("_bounded", "_keep", "first", "last", "old", "rows", "sums")

    def __init__(self, bounded: Bounded, keep: int) -> None:
        """Start without blocks.

        Args:
            bounded: margin and range.
            keep: how many closed blocks are kept one by one.
        """
        self._bounded = bounded
        self._keep = keep
        self.first: int | None = None  # numbers of the first and last block there ever was
        self.last: int | None = None
        self.rows: list[Row] = []  # the window, oldest first
        self.old = np.zeros(WIDTH)  # over the blocks that left it
        self.sums = np.zeros(WIDTH)  # over all

    def close(self, row: Row) -> None:
        """Count one more block that has calls; later than every one before."""
        before = self.rows[-1:]
        self.sums = self.sums + self._added([*before, row], self.sums, skip=len(before))
        self.rows.append(row)
        self.first = row[0] if self.first is None else self.first
        self.last = row[0]
        if len(self.rows) > self._keep:
            half = max(1, self._keep // 4)
            gone, self.rows = self.rows[:half], self.rows[half:]
            self._fold(gone)

    def _fold(self, gone: list[Row]) -> None:
        # What leaves is what the whole is without the window, replayed from its own beginning.
        self.old = self.old + self._added(gone, self.old, skip=0)

    def _added(self, rows: Sequence[Row], before: Floats, skip: int) -> Floats:
        """The sums that rows add; the first `skip` only stand as neighbours."""
        table = np.array(rows, dtype=np.float64)
        index, n, worst, best = table.T
        m, low, high = self._bounded.margin, self._bounded.low, self._bounded.high
        size = before[_SIZE]
        cap = caps(n[skip:], size[0], size[1])
        added = np.zeros(WIDTH)
        new = slice(skip, None)
        for sums, side, where, moments in (
            (worst, Side.PASS, _PASS, _WORST),
            (best, Side.FAIL, _FAIL, _BEST),
        ):
            z = excess(n[new], sums[new], cap, m, low, high)
            added[where] = log_payoffs(z, bets(m, low, high, side)).sum(axis=0)
            mean = np.clip(sums[new] / n[new], low, high)
            added[moments] = moment_columns(weights(n[new], cap), mean).sum(axis=0)
        middle = (worst + best) / 2
        means = middle / n
        neighbours = np.flatnonzero(np.diff(index) == 1)
        if neighbours.size:
            pairs = pair_sums(means, np.ones(len(rows)))[neighbours]
            added[_LIKE] = pairs.sum(axis=0)
        k, calls = middle[new], n[new]
        added[_SIZE] = [
            len(calls),
            calls.sum(),
            (calls**2).sum(),
            (k * calls).sum(),
            (k**2).sum(),
        ]
        return added

    def vector(self, side: Side) -> Floats:
        """ln of what each bet has become, shape (BETS,)."""
        return self.sums[_PASS if side is Side.PASS else _FAIL]

    def moments(self, side: Side) -> list[float]:
        """Sums of `spread.moment_columns`, at worst for PASS, at best for FAIL."""
        return [float(x) for x in self.sums[_WORST if side is Side.PASS else _BEST]]

    @property
    def likeness(self) -> Floats:
        """Sums of `likeness.pair_sums`."""
        return self.sums[_LIKE]

    @property
    def mark(self) -> object:
        """Another one whenever something here has changed."""
        return self.last

    @property
    def blocks(self) -> int:
        """How many blocks with calls have closed."""
        return round(float(self.sums[_SIZE.start]))

    @property
    def sizes(self) -> tuple[float, float, float, float, float]:
        """Blocks, calls, and the sums of n^2, kn and k^2 over blocks."""
        blocks, calls, nn, kn, kk = (float(x) for x in self.sums[_SIZE])
        return blocks, calls, nn, kn, kk

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "first": self.first,
            "last": self.last,
            "rows": [list(row) for row in self.rows],
            "old": self.old.tolist() if self.old.any() else [],
            "sums": self.sums.tolist() if self.sums.any() else [],
        }

    @classmethod
    def from_dict(cls, bounded: Bounded, keep: int, data: Mapping[str, Any]) -> Level:
        """From `to_dict`.

        Raises:
            ValueError: for sums of another width.
        """
        level = cls(bounded, keep)
        level.first, level.last = data["first"], data["last"]
        level.rows = [(int(i), float(n), float(a), float(b)) for i, n, a, b in data["rows"]]
        for name in ("old", "sums"):
            if data[name]:
                if len(data[name]) != WIDTH:
                    raise ValueError(f"blocks: {name} has {len(data[name])} sums, not {WIDTH}")
                setattr(level, name, np.array(data[name], dtype=np.float64))
        return level

    @classmethod
    def merged(cls, bounded: Bounded, keep: int, levels: Iterable[Level]) -> Level:
        """One level from those of several pods; see `Blocks.merged`."""
        parts = [level for level in levels if level.last is not None]
        if len(parts) == 1:
            return cls.from_dict(bounded, keep, parts[0].to_dict())
        whole = cls(bounded, keep)
        if not parts:
            return whole
        whole.first = min(part.first for part in parts if part.first is not None)
        whole.last = max(part.last for part in parts if part.last is not None)
        # Blocks are added where every pod that lived then still has them one by one.
        since = max((_oldest_kept(part) for part in parts), default=0)
        folded = [_folded(part, since) for part in parts]
        whole.old = _joined([f for f in folded if f is not None])
        by_number: dict[int, list[float]] = {}
        for part in parts:
            for number, *sums in part.rows:
                if number >= since:
                    block = by_number.setdefault(number, [0.0, 0.0, 0.0])
                    for i, x in enumerate(sums):
                        block[i] += x
        whole.rows = [(i, *by_number[i]) for i in sorted(by_number)]  # type: ignore[misc]
        whole.sums = whole.old.copy()
        if whole.rows:
            whole.sums += whole._added(whole.rows, whole.old, skip=0)
        return whole


@dataclass(frozen=True, slots=True)
class _Folded:
    """A pod's sums before the joint window, and when they were counted."""

    first: int
    last: int
    sums: Floats


def _oldest_kept(part: Level) -> int:
    """The first number from which on nothing of a pod has been folded away."""
    if not part.old.any():
        return 0
    return part.rows[0][0] if part.rows else (part.last or 0) + 1


def _folded(part: Level, since: int) -> _Folded | None:
    before = [row for row in part.rows if row[0] < since]
    sums = part.old
    if before:
        sums = sums + part._added(before, part.old, skip=0)
    if not sums.any() or part.first is None:
        return None
    last = before[-1][0] if before else min(since - 1, part.last or 0)
    return _Folded(part.first, last, sums)


def _joined(parts: list[_Folded]) -> Floats:
    """Add what was counted one after the other; average what was counted at the same time.

    Pods fail together, so their bets on the same blocks do not multiply. But ln is concave: the
    mean of ln(1 + L z_p), weighted by the pods' caps, is at most ln(1 + L z) of the added block
    (Jensen). So the average is evidence too, only less of it.
    """
    total = np.zeros(WIDTH)
    together: list[_Folded] = []
    end = -1
    for part in sorted(parts, key=lambda f: f.first):
        if together and part.first > end:
            total += _average(together)
            together, end = [], -1
        together.append(part)
        end = max(end, part.last)
    if together:
        total += _average(together)
    return total


def _average(parts: list[_Folded]) -> Floats:
    sizes = np.array([p.sums[_SIZE.start + 1] / max(p.sums[_SIZE.start], 1.0) for p in parts])
    share = sizes / sizes.sum() if sizes.sum() > 0 else np.full(len(parts), 1 / len(parts))
    mean = np.sum([s * p.sums for s, p in zip(share, parts, strict=True)], axis=0)
    calls = sum(float(p.sums[_SIZE.start + 1]) for p in parts)
    scale = calls / max(float(mean[_SIZE.start + 1]), 1e-300)
    mean[_SIZE.start + 1] = calls
    mean[_SIZE.start + 2 : _SIZE.stop] *= scale**2  # as if the pods' blocks were one
    return np.asarray(mean)
