"""What a verdict's evidence is made of: blocks of wall-clock time, or calls.

Rule: calls near each other are alike, so evidence is that of blocks, unless the operator says that
calls are independent or a kind has no score of one call; and it is said which. Counterparts:
`verdict`, which asks; `block_cells`, which counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from sidecar.judge.counts import ALL, Cell, CellKey, Total
from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.shapes import Measurement
from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.mixtures import average
from sidecar.judge.number import number
from sidecar.judge.settings import JudgeSettings

HOURS = 24


def blocks_of(
    settings: JudgeSettings, total: Total, plan: Plan, slice_: str = ALL
) -> Sequence[Blocks]:
    """The blocks that a criterion is judged by, one a claim; none where it is judged by calls."""
    if settings.independent_calls:
        return ()
    return total.blocks.get(CellKey(plan.criterion.name, slice_), ())


def by_blocks(plan: Plan, found: Measurement, blocks: Sequence[Blocks]) -> Measurement:
    """Evidence from blocks in place of that from calls.

    Where labels are still to come both must agree: blocks know the calls that have one, and calls
    count those that have none at their worst.
    """
    if not blocks:
        return found
    told = [one.evidence() for one in blocks]
    log_pass = min(one.log_pass for one in told) if found.may_pass else -math.inf
    log_fail = average([one.log_fail for one in told], [1.0] * len(told))
    if plan.criterion.needs_labels:
        log_pass, log_fail = min(log_pass, found.log_pass), min(log_fail, found.log_fail)
    estimate, bounds = found.estimate, bounds_of(plan, blocks)
    if estimate is not None and bounds is not None:
        # Calls that stand for some that were left out weigh more in blocks, and in the figure.
        low, high = bounds
        slack = 1e-9 * max(1.0, abs(low), abs(high))
        if not low - slack <= estimate <= high + slack:
            estimate = min(high, max(low, estimate))
    return replace(found, log_pass=log_pass, log_fail=log_fail, estimate=estimate)


def interval_of(plan: Plan, cell: Cell, blocks: Sequence[Blocks], alpha: float) -> Interval | None:
    """The interval that goes with the evidence; None without calls."""
    from_calls = plan.interval(cell, alpha)
    if not blocks or from_calls is None:
        return from_calls
    return plan.criterion.interval_by_blocks(plan, cell, blocks, alpha)


def bounds_of(plan: Plan, blocks: Sequence[Blocks]) -> Interval | None:
    """The mean score with every lost call at its best and at its worst, where it is the figure."""
    found = blocks[0].estimates if blocks and plan.criterion.figure_is_mean else None
    if found is None or not plan.criterion.is_downward:
        return found
    return -found[1], -found[0]


def words_of(settings: JudgeSettings, blocks: Sequence[Blocks]) -> str:
    """What the evidence is made of, in words."""
    if blocks:
        return blocks[0].chosen().reason
    declared = " (judge.independent_calls)" if settings.independent_calls else ""
    return f"calls, each taken as independent{declared}"


def undecided(blocks: Sequence[Blocks]) -> str:
    """How far the blocks have come, in words."""
    n = blocks[0].chosen().blocks
    text = f"{n:,} {'block' if n == 1 else 'blocks'} so far"
    swing = blocks[0].bets.swing
    if swing > 1 and not blocks[0].days_over:
        text += (
            f"; before a whole day is over an hour may be {number(swing)} times as bad as the day, "
            "or as good (judge.swing)"
        )
    return text


def seen(total: Total) -> tuple[int, int]:
    """In how many hours of a day, and on how many days of a week, there were calls."""
    found = [cell[0] for key, cell in total.blocks.items() if key.slice == ALL and cell]
    return (
        max((blocks.hours_of_day for blocks in found), default=0),
        max((blocks.days_of_week for blocks in found), default=0),
    )
