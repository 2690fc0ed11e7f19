"""Bets on a difference of two ratios over the same calls, such as precision, block by block.

A side's figure is R = sum(num) / sum(den). With t production's figure, the shadow's is less than
`margin` below it exactly where E[s] < 0 for

    s = (num_a - t den_a) - (num_b - (t - margin) den_b)

the influence of one row (`criteria.of_sides`). t is not known. For each interval of a grid either
production's figure is elsewhere, by evidence of its own, or s is held against the claim at the
worse end of the interval. Under the null one of the two is true evidence at the true t, so the
least over the intervals of the larger is at most the sum of two e-values, and its half an e-value.

Rule: s is linear in what a block counted, so the sums of the counts and of their products are
enough for every t, every margin and every bet: for x >= -1 and l in [0, 1),
ln(1 + l x) >= l x - x^2 (-ln(1 - l) - l) (see `spread`). Counterpart: `mean_bets`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sidecar.judge.evidence.bets import BLOCKS, ROUNDING, Bets, Evidence, Scored
from sidecar.judge.evidence.betting import losses, shares_bet, weights
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.mixtures import Floats, Side, average, logmeanexp, threshold

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 7  # kinds of rows that say something: yes or no of production, shadow and label, not all no
GRID = 64  # intervals for production's figure
HALVINGS = 14
Parts = tuple[tuple[float, float, float, float], ...]
"""num_a, den_a, num_b, den_b of each kind of row, all in [0, 1]."""

_COLUMNS = 1 + ROWS  # calls that were lost, and rows
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class RatioBets(Bets):
    """The shadow's ratio is less than a margin below production's."""

    parts: Parts = ()

    sums: ClassVar[int] = _COLUMNS
    series: ClassVar[int] = 2
    own: ClassVar[int] = _COLUMNS + _COLUMNS**2

    def __post_init__(self) -> None:
        if not -1 < self.margin < 1 or len(self.parts) != ROWS:
            raise ValueError(f"a margin in (-1, 1) and parts of {ROWS} kinds of rows are needed")

    @property
    def range(self) -> tuple[float, float]:
        """See `Bets.range`."""
        return -1.0, 1.0

    def _tables(self) -> Floats:
        return np.array(self.parts).T

    def means(self, n: Floats, sums: Floats) -> Floats:
        """See `Bets.means`: production's lead, and production's own figure, at t = 1/2."""
        num_a, den_a, num_b, den_b = self._tables()
        rows = sums[:, 1:] / n[:, None]
        ours, theirs = rows @ (num_a - den_a / 2), rows @ (num_b - den_b / 2)
        return np.stack([ours - theirs, ours])

    def bet(self, n: Floats, sums: Floats, cap: float) -> Floats:
        """See `Bets.bet`."""
        shares = sums / n[:, None] * weights(n, cap)[:, None]
        return np.concatenate([shares.sum(axis=0), (shares.T @ shares).ravel()])

    def rescaled(self, own: Floats, factor: float) -> Floats:
        """See `Bets.rescaled`: exact, for the sums are of weights and of their products."""
        return np.concatenate([own[:_COLUMNS] * factor, own[_COLUMNS:] * factor**2])

    def possible(self, n: Floats, sums: Floats) -> NDArray[np.bool_]:
        """See `Bets.possible`."""
        slack = ROUNDING * (1 + n)
        return np.asarray((sums >= -slack[:, None]).all(axis=1) & (sums.sum(axis=1) <= n + slack))

    def lost(self, calls: float) -> tuple[float, ...]:
        """See `Bets.lost`: a kind of its own, as bad for each claim as any row."""
        return (calls, *[0.0] * ROWS)

    @property
    def nothing(self) -> Evidence:
        """See `Bets.nothing`: what searching the grid costs."""
        moment = -math.log(2)
        one = moment if self.swing == 1 else average((moment, 0.0), (1, 1))
        return Evidence(one, one)

    def evidence(self, vector: Floats, days: Floats | None) -> Evidence:
        """See `Bets.evidence`."""
        moment = [self.worth(vector, side, moved=True) for side in Side]
        if self.swing == 1:
            return Evidence(*moment)
        whole = [0.0, 0.0]
        if days is not None:
            whole = [self.worth(days, side, moved=False) for side in Side]
        return Evidence(*(average(both, (1, 1)) for both in zip(moment, whole, strict=True)))

    def worth(self, vector: Floats, side: Side, nearer: float = 0.0, *, moved: bool) -> float:
        """ln E of a claim from sums.

        Args:
            vector: sums.
            side: the claim.
            nearer: how much the margin is taken to be less than it is.
            moved: whether the margin is that which holds while less than a day has been seen.
        """
        margin = max(-0.99, min(0.99, self.margin - nearer)) if nearer else self.margin
        if not moved:
            return self._claim(vector, margin, 0.0, side)
        up = (self.swing - 1) * abs(self.margin)
        if side is Side.PASS:
            return self._claim(vector, margin - (1 - 1 / self.swing) * abs(self.margin), up, side)
        return self._claim(vector, min(0.99, margin + up), up, side)

    def one_more(self, vector: Floats, longer: float) -> Floats:
        """The sums that one more block adds, of blocks like those seen.

        Args:
            vector: sums over blocks, some.
            longer: so many times as long as they are; their parts are not alike.
        """
        own = vector[self.begin :] / vector[BLOCKS]
        sums, products = own[:_COLUMNS], own[_COLUMNS:].reshape(_COLUMNS, _COLUMNS)
        square = np.outer(sums, sums)
        more = np.zeros_like(vector)
        more[BLOCKS] = 1.0
        more[self.begin :] = np.concatenate([sums, (square + (products - square) / longer).ravel()])
        return more

    def effect(self, vector: Floats) -> tuple[float, float] | None:
        """Of what was seen: production's figure less the shadow's, and its standard error.

        By the influence of each block on either ratio (the delta method). None without a row that
        one of the figures is about.
        """
        own = vector[self.begin :]
        sums = own[1:_COLUMNS]
        products = own[_COLUMNS:].reshape(_COLUMNS, _COLUMNS)[1:, 1:]
        num_a, den_a, num_b, den_b = self._tables()
        of_a, of_b = float(sums @ den_a), float(sums @ den_b)
        if of_a <= 0 or of_b <= 0:
            return None
        a, b = float(sums @ num_a) / of_a, float(sums @ num_b) / of_b
        influence = (num_a - a * den_a) / of_a - (num_b - b * den_b) / of_b
        return a - b, math.sqrt(max(0.0, float(influence @ products @ influence)))

    def interval(self, vector: Floats, alpha: float) -> Interval:
        """See `Bets.interval`: the margins that neither claim excludes."""
        limit = threshold(alpha / 2)

        def end(side: Side) -> float:
            inside, outside = (-0.999, 0.999) if side is Side.PASS else (0.999, -0.999)
            for _ in range(HALVINGS):
                middle = (inside + outside) / 2
                if self._claim(vector, middle, 0.0, side) >= limit:
                    outside = middle
                else:
                    inside = middle
            return 1.0 if outside == 0.999 else -1.0 if outside == -0.999 else outside

        return end(Side.FAIL), end(Side.PASS)

    def estimates(self, total: Sequence[float]) -> tuple[float, float]:
        """See `Bets.estimates`: of what was seen; what is missing may be any row."""
        num_a, den_a, num_b, den_b = self._tables() @ np.array(total[2:])
        ours = num_a / den_a if den_a > 0 else 0.0
        theirs = num_b / den_b if den_b > 0 else 0.0
        lost = total[1]
        found = ours - theirs
        if lost <= 0:
            return found, found
        low = (num_a / (den_a + lost) if den_a > 0 else 0.0) - (num_b + lost) / (den_b + lost)
        return low, (num_a + lost) / (den_a + lost) - (num_b / (den_b + lost))

    def watched(self, total: Sequence[float]) -> Scored:
        """See `Bets.watched`: a row's influence, at production's figure until then."""
        num_a, den_a, num_b, den_b = self._tables()
        counts = np.array(total[2:])
        t = float(counts @ num_a) / max(float(counts @ den_a), 1e-300)
        margin = min(0.99, self.margin + (self.swing - 1) * abs(self.margin))
        s = (num_a - t * den_a) - (num_b - (t - margin) * den_b)
        low, high = min(-_TINY, float(s.min())), max(_TINY, float(s.max()))
        return Scored(0.0, low, high, (low, *map(float, s)))

    def to_dict(self) -> dict[str, Any]:
        """See `Bets.to_dict`."""
        return {
            "kind": "ratio",
            "margin": self.margin,
            "swing": self.swing,
            "parts": [list(row) for row in self.parts],
        }

    # ---- evidence over the grid -----------------------------------------------------------------

    def _claim(self, vector: Floats, margin: float, widen: float, side: Side) -> float:
        """ln E that the shadow's figure is less (PASS) or more (FAIL) than margin below."""
        own = vector[self.begin :]
        sums, products = own[:_COLUMNS], own[_COLUMNS:].reshape(_COLUMNS, _COLUMNS)
        num_a, den_a, num_b, den_b = self._tables()
        grid = np.linspace(0.0, 1.0, GRID + 1)
        ends = np.stack([grid[:-1], grid[1:]])[:, :, None]
        s = (num_a - ends * den_a) - (num_b - (ends - margin) * den_b)
        # s is linear in t: its worse end for the claim, row by row.
        gain = -s.max(axis=0) if side is Side.PASS else s.min(axis=0)
        here = _bet(gain, sums, products)
        low = np.maximum(0.0, grid[:-1] - widen)[:, None]
        high = np.minimum(1.0, grid[1:] + widen)[:, None]
        above = _bet(num_a - high * den_a, sums, products)
        below = _bet(low * den_a - num_a, sums, products)
        elsewhere = np.maximum(above, below) - math.log(2)
        return float(np.min(np.maximum(here, elsewhere))) - math.log(2)


def _bet(gain: Floats, sums: Floats, products: Floats) -> Floats:
    """ln E that the mean gain is above zero, a lower bound; shape (GRID,).

    Args:
        gain: of each kind of row, shape (GRID, ROWS).
        sums: of the weighted shares of each kind, what was lost first.
        products: their products, two and two.
    """
    worst = np.minimum(gain.min(axis=1), -_TINY)  # also what a lost call counts as
    x = np.concatenate([worst[:, None], gain], axis=1) / -worst[:, None]
    linear = x @ sums
    squared = np.maximum(0.0, np.einsum("gi,ij,gj->g", x, products, x))
    return logmeanexp(linear[:, None] * shares_bet() - squared[:, None] * losses())
