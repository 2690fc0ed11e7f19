"""Labels that were corrected after they were counted.

Rule: evidence cannot be taken back, so a label that contradicts the one that was counted counts for
nothing; but each may move its call's score from one end to the other, and nothing is PASS unless it
still would be if all had moved it to the worst. That goes for a PASS that stands, too.
Counterparts: `labels`, which tells them from duplicates; `verdict`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sidecar.judge.counts import Total
from sidecar.judge.criteria.base import Plan
from sidecar.judge.labels import Fate
from sidecar.judge.report import CriterionVerdict


def contradicted(
    plans: Sequence[Plan], criteria: Sequence[CriterionVerdict], total: Total
) -> str | None:
    """Why labels that were corrected forbid a PASS; None where they do not.

    Args:
        plans: the criteria.
        criteria: what is said of each, in the same order.
        total: the counts.
    """
    n = total.events.get(Fate.CONTRADICTED, 0)
    for plan, found in zip(plans, criteria, strict=True) if n else ():
        criterion = plan.criterion
        if not found.required or not criterion.needs_labels or found.interval is None:
            continue
        span = plan.edges[-1] - plan.edges[0] if criterion.figure_is_mean else math.inf
        low, high = found.interval
        worst = -low if criterion.is_downward else high
        if criterion.is_two_sided:
            worst = max(high, -low)
        if worst + n * span / max(found.n, 1.0) > criterion.margin:
            return (
                f"{found.name} passes, but {n:,} labels were corrected after they had been "
                "counted: begin again (`shadow-sidecar experiment reset`) and import the right ones"
            )
    return None
