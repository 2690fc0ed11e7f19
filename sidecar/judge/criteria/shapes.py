"""The shapes of evidence: what a call adds, and what sums say of a criterion.

Counterparts: `base`, what a kind of criterion is; `tallies`, which count.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from sidecar.judge.evidence.mixtures import Side, threshold

Increments: TypeAlias = list[tuple[str, float]]
"""What one call adds: (counter, weight)."""

Scores: TypeAlias = tuple[float, tuple[tuple[float, ...], ...]]
"""What one call adds to blocks: its weight, and the sums of each claim (`evidence.bets`)."""


class Unit(StrEnum):
    """How figures of a criterion are written."""

    SHARE = "share"  # of one: 9.81 %
    CHANGE = "change"  # relative: +9.81 %
    SECONDS = "seconds"  # a difference: +98.1 ms
    POINTS = "points"  # a difference of shares: 9.81 pp
    PLAIN = "plain"  # what has no unit that we know


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a cell says about a criterion. Evidence is ln E; see `evidence`."""

    n: float  # calls; for labels, those that can be told apart
    estimate: float | None  # in the unit of the margin; None without calls
    log_pass: float
    log_fail: float
    may_pass: bool = True  # False: what blocks are evidence for is not quite what was asked

    def evidence(self, side: Side) -> float:
        """ln E for one claim."""
        return self.log_pass if side is Side.PASS else self.log_fail


NOTHING = Measurement(0.0, None, 0.0, 0.0)


def limits(alpha_pass: float, alpha_fail: float) -> dict[Side, float]:
    """The ln E at which each claim is made."""
    return {Side.PASS: threshold(alpha_pass), Side.FAIL: threshold(alpha_fail)}
