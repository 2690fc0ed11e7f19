"""What a tally is: counts calls for one criterion."""

from __future__ import annotations

from fnmatch import fnmatchcase

from sidecar.judge.criteria.shapes import Increments, Scores
from sidecar.judge.pair import JudgedPair
from sidecar.judge.ranges import Ranges


class Counted:
    """What one call added for one criterion. Nobody changes one: most calls share theirs."""

    __slots__ = ("best", "increments", "magnitude", "many", "n", "worst")

    def __init__(
        self,
        increments: Increments,
        n: float,
        worst: float,
        best: float,
        magnitude: float,
        many: Scores | None = None,
    ) -> None:
        """Found.

        Args:
            increments: of the cell's counters.
            n: its weight in blocks.
            worst: its sum for the criterion's claim, with what is not known at its worst for PASS.
            best: and at its best.
            magnitude: how bad the call was, to rank calls by; 0 or less is not bad.
            many: weight and sums, where they are not those of one claim about a mean.
        """
        self.increments = increments
        self.n, self.worst, self.best = n, worst, best
        self.magnitude = magnitude
        self.many = many


NO_SCORES: Scores = (0.0, ())


class Tally:
    """Counts calls for one criterion."""

    def __init__(self, methods: str) -> None:
        """Prepare.

        Args:
            methods: a glob over those that the criterion is about.
        """
        self._methods = methods

    def count(self, pair: JudgedPair, ranges: Ranges) -> Counted | None:
        """What a call adds; None where the criterion is not about it.

        Args:
            pair: the call.
            ranges: what has been learned of production so far; learns from this call.
        """
        if not pair.answered:
            return None
        if self._methods != "*" and not fnmatchcase(pair.method, self._methods):
            return None
        return self.counted(pair, ranges)

    def counted(self, pair: JudgedPair, ranges: Ranges) -> Counted | None:
        """What a call adds that production answered, of a method of its."""
        raise NotImplementedError
