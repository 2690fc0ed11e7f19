"""Differences of two ratios over the same calls: precision and F1. Pure.

A side's figure is R = E[num] / E[den], where num and den depend on what it said and on the label.
With t production's figure, the shadow's is less than `margin` below it exactly where

    E[s] < 0,   s = (num_a - t den_a) - (num_b - (t - margin) den_b)

so s is the influence of one pair, and of answers that agree nothing is left of it but
-margin den: paired, identical models pass after a few hundred positives. t is not known: for each
interval of a grid either production's figure is elsewhere, by evidence of its own, or s is held
against the claim at the worse end of the interval; the least over the intervals is at most the sum
of two e-values under the null, and its half is an e-value.

Counters: "o<a><b><y>", rows by whether production said yes, the shadow did, and the label does,
as shares of their call; a share of a call is evidence of less than a call, because the logarithm
of a bet's payoff is concave. "n" and "k" take t as production's figure in the calls before.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping

import numpy as np

from sidecar.judge.criteria.base import NOTHING, Increments, Measurement
from sidecar.judge.criteria.labelled import (
    ClassCriterion,
    Decisions,
    LabelledPlan,
    decided_rows,
    told,
    truth_of,
)
from sidecar.judge.decision import Decided
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.mixtures import (
    BETS,
    LARGEST_FAIL_BET,
    LARGEST_PASS_BET,
    SMALLEST_BET,
    Floats,
    Side,
    logmeanexp,
    threshold,
)
from sidecar.judge.labels import Label
from sidecar.judge.pair import Value

GRID = 128
HALVINGS = 24  # of an interval's end
_OUTCOMES = tuple((a, b, y) for a in (0, 1) for b in (0, 1) for y in (0, 1))
_NAMES = tuple(f"o{a}{b}{y}" for a, b, y in _OUTCOMES)


class RatioPlan(LabelledPlan):
    """A difference of two ratios; num and den lie in [0, 1]."""

    criterion: ClassCriterion
    high = 1.0

    @property
    def low(self) -> float:  # type: ignore[override]
        return -1.0 - self.criterion.margin

    @property
    def bound(self) -> float:
        return 0.0

    @abstractmethod
    def parts(self, says: int, so: int) -> tuple[float, float]:
        """num and den of a side that says yes or no, where the label does or does not."""

    def rows(self, value: Value) -> tuple[Decided, ...]:
        return decided_rows(self.criterion.decision, value)

    def by_label(self, rows: Decisions, label: Label) -> Increments | None:
        truth = truth_of(label, len(rows.production))
        if not truth:
            return None
        yes, share = self.criterion.positive, label.weight / len(truth)
        counts: dict[str, float] = {}
        for a, b, y in told(rows, truth):
            name = f"o{int(a == yes)}{int(b == yes)}{int(y == yes)}"
            counts[name] = counts.get(name, 0.0) + share
        if set(counts) <= {"o000"} or not self._matters(counts):
            return []
        return list(counts.items())

    def _matters(self, counts: Mapping[str, float]) -> bool:
        _, den_a, _, den_b = self._tables()
        return any(
            counts.get(name) and (den_a[i] or den_b[i]) for i, name in enumerate(_NAMES)
        )

    def _tables(self) -> tuple[Floats, Floats, Floats, Floats]:
        """num_a, den_a, num_b and den_b of every outcome."""
        a = np.array([self.parts(says, so) for says, _, so in _OUTCOMES])
        b = np.array([self.parts(says, so) for _, says, so in _OUTCOMES])
        return a[:, 0], a[:, 1], b[:, 0], b[:, 1]

    def measure(
        self, cell: Mapping[str, float], scale: float = 1.0, lost: float = 0.0
    ) -> Measurement:
        counts = _counts(cell) * scale
        num_a, den_a, num_b, den_b = self._tables()
        n = float(counts @ ((den_a > 0) | (den_b > 0)))
        if n <= 0 or counts @ den_a <= 0:
            return NOTHING
        # A shadow that never says yes has no precision; it is held for none at all.
        theirs = float(counts @ num_b) / float(counts @ den_b) if counts @ den_b > 0 else 0.0
        gone = (cell.get("lost", 0.0) + lost) * scale
        margin = self.criterion.margin
        return Measurement(
            n,
            float(counts @ num_a) / float(counts @ den_a) - theirs,
            self._evidence(counts, gone, margin, Side.PASS),
            self._evidence(counts, gone, margin, Side.FAIL),
        )

    def interval(
        self, cell: Mapping[str, float], alpha: float, lost: float = 0.0
    ) -> Interval | None:
        counts, gone = _counts(cell), cell.get("lost", 0.0) + lost
        if self.measure(cell).n <= 0:
            return None
        limit = threshold(alpha / 2)

        def end(side: Side) -> float:
            inside, outside = (-1.0, 1.0) if side is Side.PASS else (1.0, -1.0)
            for _ in range(HALVINGS):
                middle = (inside + outside) / 2
                if self._evidence(counts, gone, middle, side) >= limit:
                    outside = middle
                else:
                    inside = middle
            return outside

        return end(Side.FAIL), end(Side.PASS)

    def _evidence(self, counts: Floats, gone: float, margin: float, side: Side) -> float:
        """ln E that the shadow's figure is less (PASS) or more (FAIL) than margin below."""
        num_a, den_a, num_b, den_b = self._tables()
        grid = np.linspace(0.0, 1.0, GRID + 1)
        ends = np.stack([grid[:-1], grid[1:]])[:, :, None]
        s = (num_a - ends * den_a) - (num_b - (ends - margin) * den_b)
        limit = 1.0 + abs(margin)
        sign = -1.0 if side is Side.PASS else 1.0
        # s is linear in t: its worse end for the claim, outcome by outcome.
        worse = s.max(axis=0) if side is Side.PASS else s.min(axis=0)
        largest = LARGEST_PASS_BET if side is Side.PASS else LARGEST_FAIL_BET
        bets = np.geomspace(SMALLEST_BET, largest, BETS) / limit
        logs = np.log1p(sign * worse[:, :, None] * bets)
        total = np.einsum("o,iob->ib", counts, logs)
        if gone:
            total = total + gone * np.log1p(-bets * limit)
        elsewhere = self._elsewhere(counts, grid)
        return float(np.min(np.maximum(logmeanexp(total), elsewhere))) - math.log(2)

    def _elsewhere(self, counts: Floats, grid: Floats) -> Floats:
        """ln E that production's figure lies in none of the points of each interval of the grid."""
        num_a, den_a, _, _ = self._tables()
        bets = np.geomspace(SMALLEST_BET, LARGEST_PASS_BET, BETS)
        found = []
        # Above an interval is where it is above its upper end; likewise below.
        for sign, t in ((1.0, grid[1:]), (-1.0, grid[:-1])):
            x = sign * (num_a - t[:, None] * den_a)
            logs = np.log1p(x[:, :, None] * bets)
            found.append(logmeanexp(np.einsum("o,iob->ib", counts, logs)))
        return np.asarray(np.maximum(*found) - math.log(2), dtype=np.float64)


def _counts(cell: Mapping[str, float]) -> Floats:
    return np.array([cell.get(name, 0.0) for name in _NAMES])
