"""What one pod told about one shadow, if it can be believed at all. Pure.

Rule: a part that contradicts the rules that it claims to obey, or holds numbers that no count can
be, is refused as a whole, because one such part would spoil the sum of all. What a pod may still do
is lie within its rules; who may be a pod is what mutual TLS decides. Counterparts: `poll`, which
asks; `lives`, which takes it in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sidecar.judge.block_cells import BlockCells
from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.verdict import plans_of
from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.report.part import Part
from sidecar.serve.convert import part_of_message

FUTURE_SECONDS = 300.0  # clocks may differ by so much
MOST_CELLS = 10_000


@dataclass(frozen=True, slots=True)
class Told:
    """One part, and the very bytes that said so."""

    part: Part
    raw: bytes  # `ShadowCounts`


def told_by(message: pb.ShadowCounts, source: str, unix: float) -> Told:
    """Read and check.

    Args:
        message: what the pod said.
        source: where.
        unix: now, in seconds since 1970.

    Raises:
        ValueError: with what is wrong; nothing else, whatever the message holds.
    """
    try:
        part = part_of_message(message, source)
        wrong = next(_wrong(part, unix), None)
    except Exception as error:  # it comes from outside: whatever it does to us is its fault
        raise ValueError(f"cannot be read: {type(error).__name__}: {_short(error)}") from None
    if wrong is not None:
        raise ValueError(f"contradicts itself: {wrong}")
    return Told(part, message.SerializeToString())


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _wrong(part: Part, unix: float) -> Iterator[str]:
    snapshot = part.snapshot
    if not part.shadow or not snapshot.key.instance or not snapshot.rules:
        yield "no shadow, instance or rules"
    whole = [snapshot.calls, snapshot.elapsed_ns, *snapshot.coverage, *snapshot.lost.values()]
    if min(whole) < 0:
        yield "a count below 0"
    if snapshot.coverage.compared > snapshot.coverage.eligible:
        yield "more calls compared than there were"
    if (snapshot.began_unix_ns + snapshot.elapsed_ns) / 1e9 > unix + FUTURE_SECONDS:
        yield "its clock is ahead"
    if len(snapshot.cells) > MOST_CELLS:
        yield f"{len(snapshot.cells)} cells"
    if not all(math.isfinite(n) for cell in snapshot.cells.values() for n in cell.values()):
        yield "a cell that is not finite"
    yield from _wrong_blocks(part, unix)


def _wrong_blocks(part: Part, unix: float) -> Iterator[str]:
    """Margins, ranges and lengths that its own criteria do not have, and impossible sums."""
    plans = plans_of(part.settings, part.control_fraction)
    own = BlockCells(plans, part.settings.block_seconds, part.settings.unseen_seconds)
    for key, cell in part.snapshot.blocks.items():
        wanted = own.fresh(key)
        if len(cell) != len(wanted):
            yield f"{key.criterion}: {len(cell)} claims of {len(wanted)}"
        for blocks, model in zip(cell, wanted, strict=False):
            if (blocks.bets, blocks.lengths) != (model.bets, model.lengths):
                yield f"{key.criterion}: blocks of other margins, ranges or lengths"
                continue
            if not all(map(math.isfinite, (*blocks.total, blocks.late))) or blocks.calls < 0:
                yield f"{key.criterion}: sums that are none"
            for seconds in blocks.lengths:
                if why := _wrong_rows(blocks, seconds, unix):
                    yield f"{key.criterion}: {why}"


def _wrong_rows(blocks: Blocks, seconds: float, unix: float) -> str | None:
    evidence = blocks.evidence_for(seconds)
    if math.isnan(evidence.log_pass) or math.isnan(evidence.log_fail):
        return "evidence that is none"
    table = blocks.level(seconds).table
    if not len(table):
        return None
    number, n, sums = table[:, 0], table[:, 1], table[:, 2:]
    if not (np.diff(number) > 0).all() or number[-1] > (unix + FUTURE_SECONDS) / seconds:
        return "blocks out of order or in the future"
    if not ((n >= 0) & blocks.bets.possible(n, sums)).all():
        return "a block's scores outside their range"
    return None
