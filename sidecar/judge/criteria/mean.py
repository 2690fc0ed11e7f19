"""Means of bounded scores, kept as splat histograms on fixed edges. Pure.

Counters: "0", "1", ... by edge, beside "n" and "k".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sidecar.judge.criteria.base import NOTHING, Criterion, Increments, Measurement, Plan
from sidecar.judge.criteria.units import Way
from sidecar.judge.evidence.interval import Interval, mean_interval
from sidecar.judge.evidence.mixtures import Floats, Side, average, mean_evidence
from sidecar.judge.evidence.splat import splat

_NAMES = tuple(str(i) for i in range(256))


class MeanPlan(Plan):
    """A criterion whose scores are shared between edges."""

    def __init__(
        self, criterion: Criterion, control_fraction: float, edges: Sequence[float]
    ) -> None:
        super().__init__(criterion, control_fraction)
        self.edges = tuple(edges)
        self.low, self.high = self.edges[0], self.edges[-1]

    def scored(self, x: float, weight: float = 1.0) -> Increments:
        """One score, shared between its neighbours on the edges; a weight scales all alike."""
        x = min(self.high, max(self.low, x))
        return [
            ("n", weight),
            ("k", x * weight),
            *((_NAMES[i], share * weight) for i, share in splat(x, self.edges)),
        ]

    def mean(self, counted: Increments) -> float:
        """The score that increments are of."""
        n = sum(weight for name, weight in counted if name == "n")
        return sum(weight for name, weight in counted if name == "k") / n if n else self.high

    def histograms(self, cell: Mapping[str, float], lost: float) -> tuple[Floats, Floats]:
        """Counts on the edges, what was lost taken for the best and for the worst."""
        counts = np.array([cell.get(_NAMES[i], 0.0) for i in range(len(self.edges))])
        gone = cell.get("lost", 0.0) + lost
        good, bad = counts.copy(), counts
        good[0] += gone
        bad[-1] += gone
        return good, bad

    def measure(
        self, cell: Mapping[str, float], scale: float = 1.0, lost: float = 0.0
    ) -> Measurement:
        n = self.known(cell) * scale
        if n <= 0:
            return NOTHING
        good, bad = self.histograms(cell, lost)
        return Measurement(
            n,
            self.estimate(cell),
            self._claim(good * scale, bad * scale, Side.PASS),
            self._claim(good * scale, bad * scale, Side.FAIL),
        )

    def known(self, cell: Mapping[str, float]) -> float:
        """How many calls a cell tells of."""
        return cell.get("n", 0.0)

    def estimate(self, cell: Mapping[str, float]) -> float | None:
        """The mean of the scores."""
        n = cell.get("n", 0.0)
        return cell.get("k", 0.0) / n if n > 0 else None

    def _claim(self, good: Floats, bad: Floats, side: Side) -> float:
        """ln E about the mean, in the direction that the criterion calls bad."""
        margin, low, high = self.criterion.margin, self.low, self.high

        def against(counts: Floats, bound: float, at: Side) -> float:
            return float(mean_evidence(self.edges, counts, bound, low, high, at))

        def up() -> float:
            return against(bad if side is Side.PASS else good, margin, side)

        def down() -> float:  # worst is now the lowest score
            other = Side.FAIL if side is Side.PASS else Side.PASS
            return against(good if side is Side.PASS else bad, -margin, other)

        match self.way:
            case Way.ABOVE:
                return up()
            case Way.BELOW:
                return down()
            case Way.OUTSIDE:
                # Within both margins needs both claims; outside either needs one, at half the
                # error each.
                both = up(), down()
                return min(both) if side is Side.PASS else average(both, (1.0, 1.0))

    def interval(
        self, cell: Mapping[str, float], alpha: float, lost: float = 0.0
    ) -> Interval | None:
        if self.known(cell) <= 0:
            return None
        good, bad = self.histograms(cell, lost)
        return (
            mean_interval(self.edges, good, self.low, self.high, alpha)[0],
            mean_interval(self.edges, bad, self.low, self.high, alpha)[1],
        )
