"""What a block of time is worth as evidence: a vector of sums that blocks add to.

Rule: everything that is ever asked of the blocks is a function of these sums, so that blocks add,
pods merge, and what has left the window is not lost. Kinds: `mean_bets`, for a criterion whose
calls have a bounded score; `ratio_bets`, for a difference of two ratios. Counterparts: `level`,
which adds; `likeness`, which reads the neighbours.

The layout of a vector: sizes (blocks, calls, sum n^2, sum kn, sum k^2), then for each series of
block means the sums of `likeness.pair_sums`, then what the kind needs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.likeness import PAIRS, pair_sums
from sidecar.judge.evidence.mixtures import Floats, Side

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCKS, CALLS = 0, 1
SIZES = 5
ROUNDING = 1e-6  # of a call


@dataclass(frozen=True, slots=True)
class Evidence:
    """ln E for both claims, to be compared with ln(1/alpha) each."""

    log_pass: float
    log_fail: float

    def side(self, side: Side) -> float:
        """ln E for one claim."""
        return self.log_pass if side is Side.PASS else self.log_fail


@dataclass(frozen=True, slots=True)
class Scored:
    """A score that is linear in a block's sums."""

    margin: float
    low: float
    high: float
    weights: tuple[float, ...]  # of the sums


@dataclass(frozen=True, slots=True)
class Bets:
    """A claim about blocks, and how evidence for it is gathered."""

    margin: float
    swing: float = 1.0  # how many times the day's mean an hour's may be; 1: hours do not matter

    sums: ClassVar[int]  # of a block, beside its calls
    series: ClassVar[int]  # of block means whose likeness is measured
    own: ClassVar[int]  # sums of the kind

    @property
    def width(self) -> int:
        """Sums of a vector."""
        return SIZES + PAIRS * self.series + self.own

    @property
    def begin(self) -> int:
        """Where the kind's own sums begin."""
        return SIZES + PAIRS * self.series

    def added(self, table: Floats, cap: float, skip: int) -> Floats:
        """The sums that closed blocks add.

        Args:
            table: a row for each block in the order of time: number, calls, sums.
            cap: the most calls that a block has had, these included.
            skip: the first so many rows only stand as neighbours.
        """
        index, n, sums = table[:, 0], table[:, 1], table[:, 2:]
        means = self.means(n, sums)
        like = np.zeros((self.series, PAIRS))
        neighbours = np.flatnonzero(np.diff(index) == 1)
        if neighbours.size:
            pairs = pair_sums(means, np.ones_like(means))
            like = pairs[:, neighbours].sum(axis=1)
        calls = n[skip:]
        k = means[0, skip:] * calls
        sizes = [len(calls), calls.sum(), (calls**2).sum(), (k * calls).sum(), (k**2).sum()]
        return np.concatenate([sizes, like.ravel(), self.bet(calls, sums[skip:], cap)])

    def grown(self, vector: Floats, factor: float) -> Floats:
        """The same sums once a block has had more calls than any before it.

        Args:
            vector: sums.
            factor: the most until then over the most now, in (0, 1].
        """
        if factor == 1.0:
            return vector
        return np.concatenate([vector[: self.begin], self.rescaled(vector[self.begin :], factor)])

    def likeness(self, vector: Floats) -> Floats:
        """Sums of `likeness.pair_sums`, shape (series, PAIRS)."""
        return vector[SIZES : self.begin].reshape(self.series, PAIRS)

    # ---- a kind's own ---------------------------------------------------------------------------

    def means(self, n: Floats, sums: Floats) -> Floats:
        """Block means whose neighbours may be alike, shape (series, blocks)."""
        raise NotImplementedError

    def bet(self, n: Floats, sums: Floats, cap: float) -> Floats:
        """The kind's own sums over blocks, shape (own,)."""
        raise NotImplementedError

    def rescaled(self, own: Floats, factor: float) -> Floats:
        """The kind's own sums once the cap has grown: `grown`."""
        raise NotImplementedError

    def forfeited(self, vector: Floats, sides: Collection[Side]) -> Floats:
        """The sums when nothing that told of some claims is known: no bet on them has won."""
        return vector

    def unproven(self, n: float, sums: Sequence[float], sides: Collection[Side]) -> list[float]:
        """A block's sums when nothing in it that told of some claims is known."""
        return list(sums)

    def possible(self, n: Floats, sums: Floats) -> NDArray[np.bool_]:
        """Whether blocks can have such sums, but for rounding; shape (blocks,)."""
        raise NotImplementedError

    def lost(self, calls: float) -> tuple[float, ...]:
        """The sums of calls that were lost: worst for PASS, best for FAIL."""
        raise NotImplementedError

    @property
    def nothing(self) -> Evidence:
        """`evidence` of sums that are all zero, without making them."""
        raise NotImplementedError

    def evidence(self, vector: Floats, days: Floats | None) -> Evidence:
        """ln E.

        Args:
            vector: sums up to now.
            days: sums over whole days that are over; None before one is.
        """
        raise NotImplementedError

    def interval(self, vector: Floats, alpha: float) -> Interval:
        """A confidence sequence for what is claimed about, over the blocks seen."""
        raise NotImplementedError

    def estimates(self, total: Sequence[float]) -> tuple[float, float]:
        """The estimate with what is missing at its best, and at its worst.

        Args:
            total: calls and sums over everything.
        """
        raise NotImplementedError

    def watched(self, total: Sequence[float]) -> Scored:
        """One score of a call whose mean must stay below a margin from a decision on.

        Args:
            total: calls and sums over everything until then.
        """
        raise NotImplementedError

    @property
    def range(self) -> tuple[float, float]:
        """Between which values block means lie."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with its kind."""
        raise NotImplementedError


def shifted(margin: float, low: float, high: float, swing: float) -> tuple[float, float]:
    """The margins that hold while less than a day has been seen: for PASS, for FAIL.

    An hour may be so many times as bad as the day, or as good. At most halfway to the end of the
    range, so that something can still be said.
    """
    up = (swing - 1) * abs(margin)
    down = (1 - 1 / swing) * abs(margin)
    return max(margin - down, (margin + low) / 2), min(margin + up, (margin + high) / 2)
