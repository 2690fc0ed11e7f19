"""Kinds that are a ratio of two sums over the same calls: precision and F1, paired.

A side's figure is R = sum(num) / sum(den), where num and den depend on what it said and on the
label. With t production's figure, the shadow's is less than `margin` below it exactly where

    E[s] < 0,   s = (num_a - t den_a) - (num_b - (t - margin) den_b)

so s is the influence of one row, and of answers that agree nothing is left of it but -margin den:
identical models pass after a few hundred positives. t is not known. For each interval of a grid
either production's figure is elsewhere, by evidence of its own, or s is held against the claim at
the worse end of the interval. Under the null one of the two is true evidence at the true t, so the
least over the intervals of the larger is at most the sum of two e-values, and its half an e-value.

Counters: "o<a><b><y>", rows by whether production said yes, the shadow did, and the label does, as
shares of their call. A share of a call is evidence of less than a call, for the logarithm of a
bet's payoff is concave (Jensen). A shadow that never says yes is held for never right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.labelled import Decisions, OfOneClass, told
from sidecar.judge.criteria.shapes import NOTHING, Increments, Measurement, Scores
from sidecar.judge.evidence.bets import Bets
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
from sidecar.judge.evidence.ratio_bets import RatioBets
from sidecar.judge.labels import Label

GRID = 128  # intervals for production's figure
HALVINGS = 12  # of an end of the interval that is shown
_ROWS = tuple((a, b, y) for a in (0, 1) for b in (0, 1) for y in (0, 1))
_NAMES = tuple(f"o{a}{b}{y}" for a, b, y in _ROWS)


class OfSides(OfOneClass):
    """A difference of two ratios; `parts` says of what."""

    def parts(self, says: int, so: int) -> tuple[float, float]:
        """num and den in [0, 1] of a side that says yes or no, where the label does or not."""
        raise NotImplementedError

    def by_label(self, plan: Plan, rows: Decisions, label: Label) -> Increments | None:
        """See `Labelled.by_label`."""
        found = told(rows, label)
        if not found:
            return None
        yes, share = self.positive, label.weight / len(found)
        counts: dict[str, float] = {}
        for a, b, y in found:
            name = f"o{int(a == yes)}{int(b == yes)}{int(y == yes)}"
            counts[name] = counts.get(name, 0.0) + share
        return [(name, count) for name, count in counts.items() if name != "o000"]

    def claims(self, plan: Plan) -> tuple[Bets, ...]:
        """See `Criterion.claims`: of rows, for production's figure is not known beforehand."""
        parts = tuple((*self.parts(a, y), *self.parts(b, y)) for a, b, y in _ROWS[1:])
        return (RatioBets(self.margin, plan.swing, parts),)

    def scored(self, plan: Plan, counted: Increments) -> Scores:
        """See `Criterion.scored`: rows of each kind, none of them lost."""
        found = dict(counted)
        rows = [found.get(name, 0.0) for name in _NAMES[1:]]
        return math.fsum(rows), ((0.0, *rows),)

    def lead(self, rows: Decisions, label: Label) -> float | None:
        """See `Labelled.lead`: one call has no score of its own."""
        return None

    def measure(self, plan: Plan, cell: Mapping[str, float], scale: float = 1.0) -> Measurement:
        """See `Criterion.measure`."""
        counts, lost = _counts(cell) * scale, cell.get("differing", 0.0) * scale
        num_a, den_a, num_b, den_b = self._tables()
        if counts @ den_a <= 0:
            return NOTHING
        theirs = float(counts @ num_b) / float(counts @ den_b) if counts @ den_b > 0 else 0.0
        return Measurement(
            float(counts @ ((den_a > 0) | (den_b > 0))),
            float(counts @ num_a) / float(counts @ den_a) - theirs,
            self._evidence(counts, lost, self.margin, Side.PASS),
            self._evidence(counts, lost, self.margin, Side.FAIL),
        )

    def interval(self, plan: Plan, cell: Mapping[str, float], alpha: float) -> Interval | None:
        """See `Criterion.interval`: the margins that neither claim excludes."""
        counts, lost = _counts(cell), cell.get("differing", 0.0)
        if counts @ self._tables()[1] <= 0:
            return None
        limit = threshold(alpha / 2)

        def end(side: Side) -> float:
            inside, outside = (-1.0, 1.0) if side is Side.PASS else (1.0, -1.0)
            for _ in range(HALVINGS):
                middle = (inside + outside) / 2
                if self._evidence(counts, lost, middle, side) >= limit:
                    outside = middle
                else:
                    inside = middle
            return outside

        return end(Side.FAIL), end(Side.PASS)

    def _tables(self) -> tuple[Floats, Floats, Floats, Floats]:
        """num_a, den_a, num_b and den_b of every kind of row."""
        a = np.array([self.parts(says, so) for says, _, so in _ROWS])
        b = np.array([self.parts(says, so) for _, says, so in _ROWS])
        return a[:, 0], a[:, 1], b[:, 0], b[:, 1]

    def _evidence(self, counts: Floats, lost: float, margin: float, side: Side) -> float:
        """ln E that the shadow's figure is less (PASS) or more (FAIL) than margin below.

        Args:
            counts: of each kind of row.
            lost: calls of which no label can tell: each is the row that is worst for a bet.
            margin: to be held against.
            side: the claim.
        """
        num_a, den_a, num_b, den_b = self._tables()
        grid = np.linspace(0.0, 1.0, GRID + 1)
        ends = np.stack([grid[:-1], grid[1:]])[:, :, None]
        s = (num_a - ends * den_a) - (num_b - (ends - margin) * den_b)
        # s is linear in t: its worse end for the claim, row by row.
        worse = s.max(axis=0) if side is Side.PASS else s.min(axis=0)
        sign = -1.0 if side is Side.PASS else 1.0
        largest = LARGEST_PASS_BET if side is Side.PASS else LARGEST_FAIL_BET
        bets = np.geomspace(SMALLEST_BET, largest, BETS) / (1.0 + abs(margin))
        logs = np.log1p(sign * worse[:, :, None] * bets)
        here = logmeanexp(np.einsum("o,iob->ib", counts, logs) + lost * logs.min(axis=1))
        elsewhere = self._elsewhere(counts, lost, grid)
        return float(np.min(np.maximum(here, elsewhere))) - math.log(2)

    def _elsewhere(self, counts: Floats, lost: float, grid: Floats) -> Floats:
        """ln E that production's figure lies in none of the points of each interval."""
        num_a, den_a, _, _ = self._tables()
        bets = np.geomspace(SMALLEST_BET, LARGEST_PASS_BET, BETS)
        found = []
        # Above an interval is where it is above its upper end; likewise below.
        for sign, t in ((1.0, grid[1:]), (-1.0, grid[:-1])):
            x = sign * (num_a - t[:, None] * den_a)
            logs = np.log1p(x[:, :, None] * bets)
            worst = lost * logs.min(axis=1)
            found.append(logmeanexp(np.einsum("o,iob->ib", counts, logs) + worst))
        return np.asarray(np.maximum(*found) - math.log(2), dtype=np.float64)


def _counts(cell: Mapping[str, float]) -> Floats:
    return np.array([cell.get(name, 0.0) for name in _NAMES])
