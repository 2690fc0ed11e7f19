"""Sums of blocks of wall-clock time beside the counters of each cell.

Rule: what a call adds to a cell it adds to the cell's blocks, at the time when it arrived; a call
that was lost, and not by a draw, counts at its worst for PASS and at its best for FAIL. Blocks of
slices keep few blocks one by one, for there may be many slices. Counterparts: `judge`, which
counts; `verdict`, which reads; `evidence.blocks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from sidecar.judge.counts import ALL, CellKey
from sidecar.judge.criteria.base import Claim, Increments, Plan
from sidecar.judge.evidence.blocks import KEEP, Blocks

KEEP_OF_SLICES = (4, 4, 4, 4)

CellBlocks: TypeAlias = tuple[Blocks, ...]
"""One for each claim of the cell's criterion."""


class BlockCells:
    """The blocks of every cell of one judge."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        """Begin; every claim about all traffic has its blocks from the start."""
        self._claims = {plan.criterion.name: plan.criterion.claims(plan) for plan in plans}
        self._cells: dict[CellKey, CellBlocks] = {}
        for name in self._claims:
            self._of(CellKey(name, ALL))

    def _of(self, key: CellKey) -> CellBlocks:
        found = self._cells.get(key)
        if found is None:
            keep = KEEP if key.slice == ALL else KEEP_OF_SLICES
            found = tuple(_blocks(claim, keep) for claim in self._claims[key.criterion])
            self._cells[key] = found
        return found

    def add(self, key: CellKey, plan: Plan, unix_ns: int, counted: Increments) -> None:
        """Count what one call added to a cell."""
        claims = self._claims[key.criterion]
        if not claims:
            return
        n, least, largest = plan.criterion.scored_between(plan, counted)
        if n <= 0:
            return
        for claim, blocks in zip(claims, self._of(key), strict=True):
            worst, best = (largest, least) if claim.sign > 0 else (-least, -largest)
            blocks.add(unix_ns, n, worst, best)

    def lose(self, calls: float, unix_ns: int) -> None:
        """Count calls that should have been compared and were not."""
        for name, claims in self._claims.items():
            for claim, blocks in zip(claims, self._of(CellKey(name, ALL)), strict=True):
                n = calls * claim.share
                blocks.add(unix_ns, n, n * claim.high, n * claim.low)

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


def _blocks(claim: Claim, keep: Sequence[int]) -> Blocks:
    return Blocks(claim.margin, claim.low, claim.high, keep=keep)


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
