"""A tally that asks the criterion itself: any kind, so that a new one is one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.judge.pair import JudgedPair
from sidecar.judge.ranges import Ranges
from sidecar.judge.tallies.tally import Counted, Tally

if TYPE_CHECKING:
    from sidecar.judge.criteria.base import Plan


class OfKind(Tally):
    """By `Criterion.count`, `scored` and `magnitude`."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.criterion.methods)
        self._plan, self._criterion = plan, plan.criterion

    def counted(self, pair: JudgedPair, ranges: Ranges) -> Counted | None:
        """See `Tally.counted`."""
        plan, criterion = self._plan, self._criterion
        increments = criterion.count(plan, pair, ranges)
        if not increments:
            return None
        scores = criterion.scored(plan, increments)
        magnitude = criterion.magnitude(plan, pair, increments)
        n, sums = scores
        if not sums or len(sums[0]) != 2:
            return Counted(increments, 0.0, 0.0, 0.0, magnitude, scores)
        worst, best = sums[0]
        many = None if len(sums) == 1 else scores
        return Counted(increments, n, worst, best, magnitude, many)
