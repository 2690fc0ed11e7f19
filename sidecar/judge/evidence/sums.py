"""What is kept of closed blocks: sums up to one of them, and the blocks as numbers.

Rule: what was written is read to the last bit, and what does not fit is refused. Counterpart:
`level`, which makes them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sidecar.judge.evidence.bets import BLOCKS
from sidecar.judge.evidence.mixtures import Floats


@dataclass(slots=True)
class Sums:
    """Sums up to some block."""

    vector: Floats
    days: Floats | None = None  # the same, over whole days only
    today: int = -1  # the day that the last block lies in, from the first block on
    before: Floats | None = None  # the sums when that day began
    hours: int = 0  # bits: hours of that day in which there were calls
    cap: float = 0.0  # the most calls that a block has had


def packed(table: Floats) -> str:
    """Number and sums of each block, as base64 of little-endian doubles: digits take ten times as
    long to read."""
    return base64.b64encode(table.astype("<f8").tobytes()).decode()


def unpacked(packed: str | Sequence[Sequence[float]], width: int, wanted: int) -> Floats:
    """From `packed`, or from the numbers themselves, as they were kept before.

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


def plain(sums: Sums) -> dict[str, Any] | None:
    """Sums as JSON; None where there is no block in them."""
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


def sums_of(width: int, data: Mapping[str, Any] | None) -> Sums:
    """From `plain`.

    Raises:
        ValueError: it has another number of sums than `width`.
    """
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
