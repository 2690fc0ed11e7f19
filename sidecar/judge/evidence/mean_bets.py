"""Bets on the mean of a bounded score, one block of time at a time.

Rule: the exact wealth of each bet of the grid is kept, at the margin for whole days, and at the
margins moved by the swing (`bets.shifted`) for any moment. Sources and proofs: `betting`; `day`
says why whole days are needed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sidecar.judge.evidence.bets import ROUNDING, Bets, Evidence, Scored, shifted
from sidecar.judge.evidence.betting import BETS, bets, excess, log_payoffs, rescaled, weights
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.mixtures import Floats, Side, average, logmeanexp
from sidecar.judge.evidence.spread import DEGREES, MOMENTS, moment_columns, moment_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORST, _BEST = 0, 1  # sums of a block


@dataclass(frozen=True, slots=True)
class MeanBets(Bets):
    """The mean score of a call stays below a margin."""

    low: float = 0.0  # the smallest score of a call
    high: float = 1.0

    sums: ClassVar[int] = 2
    series: ClassVar[int] = 1
    own: ClassVar[int] = 4 * BETS + 2 * MOMENTS

    def __post_init__(self) -> None:
        if not self.low < self.margin < self.high:
            inside = f"between {self.low} and {self.high}"
            raise ValueError(f"the margin must lie {inside}, not at {self.margin}")

    @property
    def range(self) -> tuple[float, float]:
        """See `Bets.range`."""
        return self.low, self.high

    def means(self, n: Floats, sums: Floats) -> Floats:
        """See `Bets.means`: halfway between worst and best."""
        return ((sums[:, _WORST] + sums[:, _BEST]) / 2 / n)[None]

    def bet(self, n: Floats, sums: Floats, cap: float) -> Floats:
        """See `Bets.bet`."""
        low, high = self.low, self.high
        moved = shifted(self.margin, low, high, self.swing)
        found, moments = [], []
        for side, column, easier in (
            (Side.PASS, _WORST, moved[0]),
            (Side.FAIL, _BEST, moved[1]),
        ):
            k = sums[:, column]
            exact = self._wealth(n, k, cap, self.margin, side)
            same = easier == self.margin
            found += [exact, exact if same else self._wealth(n, k, cap, easier, side)]
            mean = np.clip(k / n, low, high)
            moments.append(moment_columns(weights(n, cap), mean).sum(axis=0))
        return np.concatenate([*found, *moments])

    def rescaled(self, own: Floats, factor: float) -> Floats:
        """See `Bets.rescaled`."""
        logs = own[: 4 * BETS].reshape(4, BETS)
        moments = own[4 * BETS :].reshape(2, MOMENTS) * np.power(factor, DEGREES)
        return np.concatenate([rescaled(logs, np.full(4, factor)).ravel(), moments.ravel()])

    def _wealth(self, n: Floats, k: Floats, cap: float, margin: float, side: Side) -> Floats:
        """ln of what each bet against one margin becomes over the blocks."""
        z = excess(n, k, cap, margin, self.low, self.high)
        grid = bets(margin, self.low, self.high, side)
        return np.asarray(log_payoffs(z, grid).sum(axis=0))

    def forfeited(self, vector: Floats, sides: Collection[Side]) -> Floats:
        """See `Bets.forfeited`: nor is that end of the interval known any more."""
        found = vector.copy()
        logs, moments = self.begin, self.begin + 4 * BETS
        for side in sides:
            i = int(side is Side.FAIL)
            own = slice(logs + 2 * i * BETS, logs + 2 * (i + 1) * BETS)
            found[own] = np.minimum(found[own], 0.0)
            found[moments + i * MOMENTS : moments + (i + 1) * MOMENTS] = 0.0
        return found

    def unproven(self, n: float, sums: Sequence[float], sides: Collection[Side]) -> list[float]:
        """See `Bets.unproven`: then it lies at the margin."""
        worst, best = sums
        if Side.PASS in sides:
            worst = max(worst, self.margin * n)
        if Side.FAIL in sides:
            best = min(best, self.margin * n)
        return [worst, best]

    def possible(self, n: Floats, sums: Floats) -> NDArray[np.bool_]:
        """See `Bets.possible`."""
        slack = ROUNDING * (1 + n) * max(1.0, abs(self.low), abs(self.high))
        low, high = (self.low * n - slack)[:, None], (self.high * n + slack)[:, None]
        return np.asarray(((low <= sums) & (sums <= high)).all(axis=1))

    def lost(self, calls: float) -> tuple[float, ...]:
        """See `Bets.lost`."""
        return calls * self.high, calls * self.low

    @property
    def nothing(self) -> Evidence:
        """See `Bets.nothing`."""
        return Evidence(0.0, 0.0)

    def evidence(self, vector: Floats, days: Floats | None) -> Evidence:
        """See `Bets.evidence`: the mean of both e-values, of this moment and of whole days."""
        now = vector[self.begin :]
        moment = [float(logmeanexp(now[i * BETS : (i + 1) * BETS])) for i in (1, 3)]
        if self.swing == 1:
            return Evidence(*moment)
        whole = [0.0, 0.0]
        if days is not None:
            then = days[self.begin :]
            whole = [float(logmeanexp(then[i * BETS : (i + 1) * BETS])) for i in (0, 2)]
        return Evidence(*(average(both, (1, 1)) for both in zip(moment, whole, strict=True)))

    def wealth_of(self, vector: Floats, side: Side, *, moved: bool) -> Floats:
        """ln of what each bet on a side has become, at the margin or at the moved one."""
        i = self.begin + (2 * (side is Side.FAIL) + moved) * BETS
        return vector[i : i + BETS]

    def interval(self, vector: Floats, alpha: float) -> Interval:
        """See `Bets.interval`."""
        moments = vector[self.begin + 4 * BETS :]
        worst, best = moments[:MOMENTS].tolist(), moments[MOMENTS:].tolist()
        return moment_interval(best, worst, self.low, self.high, alpha)

    def estimates(self, total: Sequence[float]) -> tuple[float, float]:
        """See `Bets.estimates`."""
        n, worst, best = total
        return best / n, worst / n

    def watched(self, total: Sequence[float]) -> Scored:
        """See `Bets.watched`: what was lost counts at its best."""
        margin = shifted(self.margin, self.low, self.high, self.swing)[1]
        return Scored(margin, self.low, self.high, (0.0, 1.0))

    def to_dict(self) -> dict[str, Any]:
        """See `Bets.to_dict`."""
        return {
            "kind": "mean",
            "margin": self.margin,
            "swing": self.swing,
            "low": self.low,
            "high": self.high,
        }
