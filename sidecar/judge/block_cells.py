"""Sums of blocks of wall-clock time beside the counters of each cell.

Rule: what a call adds to a cell it adds to the cell's blocks, at the time when it arrived; a call
that was lost, and not by a draw, counts at its worst for PASS and at its best for FAIL, in every
slice that there is then, for nobody knows in which it was. Blocks of slices keep few blocks one by
one, and none of the shortest, for there may be many slices. Counterparts: `judge`, which counts;
`verdict`, which reads; `evidence.blocks`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from sidecar.judge.counts import ALL, CellKey
from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.shapes import Scores
from sidecar.judge.evidence.bets import Bets
from sidecar.judge.evidence.block_sums import KEEP
from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.evidence.likeness import LENGTHS, UNSEEN_SECONDS
from sidecar.judge.evidence.mixtures import Side

KEEP_OF_LABELS = (300, 300, 2160, 1440, 1008, 168)  # 30 s, 5 min, 6 h, a day, a week and a week
KEEP_OF_SLICES = (30, 30, 30, 30, 36, 48)
KEEP_OF_LABELLED_SLICES = (*KEEP_OF_SLICES[:-1], KEEP_OF_LABELS[-1])
LENGTHS_OF_SLICES = 4  # the longest ones

CellBlocks: TypeAlias = tuple[Blocks, ...]
"""One for each claim of the cell's criterion."""


class BlockCells:
    """The blocks of every cell of one judge."""

    def __init__(
        self,
        plans: Sequence[Plan],
        lengths: Sequence[float] = LENGTHS,
        unseen_seconds: float = UNSEEN_SECONDS,
    ) -> None:
        """Begin; every claim about all traffic has its blocks from the start.

        Args:
            plans: the criteria.
            lengths: of blocks, in seconds.
            unseen_seconds: how long bursts may be while none has been seen.
        """
        self._plans = {plan.criterion.name: plan for plan in plans}
        self._claims = {name: p.criterion.claims(p) for name, p in self._plans.items()}
        self._lengths = tuple(lengths)
        self._unseen_seconds = unseen_seconds
        self._cells: dict[CellKey, CellBlocks] = {}
        self._lost = 0.0
        self._lost_counted = dict.fromkeys(self._claims, 0.0)
        for name in self._claims:
            self.of(CellKey(name, ALL))

    def of(self, key: CellKey) -> CellBlocks:
        """The blocks of one cell, made if there are none."""
        found = self._cells.get(key)
        if found is None:
            found = self._cells[key] = self.fresh(key)
        return found

    def fresh(self, key: CellKey) -> CellBlocks:
        """What a cell begins with."""
        return tuple(self._blocks(claim, key) for claim in self._claims.get(key.criterion, ()))

    def _blocks(self, claim: Bets, key: CellKey) -> Blocks:
        labels = self._plans[key.criterion].criterion.needs_labels
        keep: tuple[int, ...] = KEEP
        if key.slice != ALL:
            keep = KEEP_OF_LABELLED_SLICES if labels else KEEP_OF_SLICES
        elif labels:
            keep = KEEP_OF_LABELS
        lengths = self._lengths
        keep = keep[-len(lengths) :]
        if key.slice != ALL and len(lengths) > 2:
            most = min(LENGTHS_OF_SLICES, len(lengths) - 1)
            lengths, keep = lengths[-most:], keep[-most:]
        return Blocks(
            claim,
            lengths=lengths,
            keep=keep,
            unseen_seconds=self._unseen_seconds,
        )

    def add(self, key: CellKey, unix_ns: int, scores: Scores) -> None:
        """Count what one call added to a cell."""
        n, sums = scores
        cell = self._cells.get(key)
        if cell is None:
            cell = self.of(key)
        for blocks, one in zip(cell, sums, strict=False):
            blocks.add(unix_ns, n, one)

    def add_one(self, key: CellKey, unix_ns: int, n: float, worst: float, best: float) -> None:
        """Count what one call added to a cell whose criterion has one claim about a mean.

        Done for each call and criterion, so what `BlockSums.add` does first is done here: most
        calls come in the block that is open.
        """
        cell = self._cells.get(key)
        if cell is None:
            cell = self.of(key)
        if not cell:
            return
        blocks = cell[0]
        now = blocks._open[0]
        if now is None or unix_ns // blocks._base_ns != now[0]:
            blocks.add(unix_ns, n, (worst, best))
        else:
            now[1] += n
            now[2] += worst
            now[3] += best

    def lose(self, calls: float, unix_ns: int, judged: int) -> None:
        """Count calls that should have been compared and were not.

        Args:
            calls: how many more.
            unix_ns: the present.
            judged: how many calls were compared so far.
        """
        self._lost += calls
        grown: dict[str, float] = {}
        for name in self._claims:
            cell = self.of(CellKey(name, ALL))
            counted = min(1.0, cell[0].calls / judged) if cell and judged else 0.0
            plan = self._plans[name]
            due = self._lost * plan.criterion.share_of_lost(plan, counted)
            more = due - self._lost_counted[name]
            if more > 0:
                self._lost_counted[name] = due
                grown[name] = more
        if not grown:
            return
        for key, cell in self._cells.items():
            more = grown.get(key.criterion, 0.0)
            if more > 0:
                for claim, blocks in zip(self._claims[key.criterion], cell, strict=True):
                    blocks.add(unix_ns, more, claim.lost(more))

    def lose_in(self, key: CellKey, unix_ns: int, calls: float) -> None:
        """Count calls of one cell of which nothing will be known: worst for PASS, best for FAIL."""
        for claim, blocks in zip(self._claims[key.criterion], self.of(key), strict=True):
            blocks.add(unix_ns, calls, claim.lost(calls))

    def forfeit(self, key: CellKey, sides: Collection[Side], scores: Scores) -> None:
        """Calls of a cell that were counted turn out to be unknown.

        Args:
            key: of the cell.
            sides: the claims that they told of.
            scores: what is to be added to its sums.
        """
        n, sums = scores
        for blocks, more in zip(self._cells.get(key, ()), sums, strict=False):
            blocks.forfeit(sides, (n, *more))

    def advance(self, unix_ns: int) -> None:
        """Close the blocks that are over."""
        for cell in self._cells.values():
            for blocks in cell:
                blocks.advance(unix_ns)

    def drop(self, slice_: str) -> None:
        """Forget a slice: its evidence cannot become another's."""
        for key in [key for key in self._cells if key.slice == slice_]:
            del self._cells[key]

    @property
    def cells(self) -> Mapping[CellKey, CellBlocks]:
        """All of them; criteria without claims have none."""
        return {key: cell for key, cell in self._cells.items() if cell}


def plain_of(cells: Mapping[CellKey, CellBlocks]) -> list[dict[str, Any]]:
    """As JSON."""
    return [
        {"criterion": key.criterion, "slice": key.slice, "claims": [b.to_dict() for b in cell]}
        for key, cell in sorted(cells.items())
    ]


def cells_of(plain: Iterable[Mapping[str, Any]]) -> dict[CellKey, CellBlocks]:
    """From `plain_of`.

    Raises:
        ValueError, KeyError: for anything else.
    """
    return {
        CellKey(one["criterion"], one["slice"]): tuple(map(Blocks.from_dict, one["claims"]))
        for one in plain
    }
