"""Distributions as figures: how far production and the shadow, and inputs over time, are apart.

Rule: nothing here decides. Counterparts: `judge.distributions`, `judge.evidence.sketch`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.judge.distributions import CLASSES, Distributions
from sidecar.judge.evidence.sketch import Bin, Sketch, bins_of, psi, wasserstein

LEAST_VALUES = 200  # of the smaller side: bins of a few values differ by chance


@dataclass(frozen=True, slots=True)
class DistributionRow:
    """Two distributions of one output, or input, over the same bins."""

    name: str
    n: tuple[int, int]  # values of production and shadow; of an input's first day and latest hours
    broken: tuple[int, int]  # of them not finite, which are in no bin
    psi: float | None  # below 0.1 is alike by custom, above 0.25 is not; None without values
    wasserstein: float | None  # in the values' unit
    bins: tuple[Bin, ...] = ()  # from, to, and the share of either

    @property
    def is_told(self) -> bool:
        """Whether there are enough values on both sides for a figure to say anything."""
        return min(self.n) >= LEAST_VALUES


@dataclass(frozen=True, slots=True)
class ConfusionRow:
    """What production decided and what the shadow did, by a criterion's decision."""

    criterion: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]  # [production's][shadow's], of rows of sampled calls


@dataclass(frozen=True, slots=True)
class Drift:
    """Everything that is known of distributions, of a part of the calls."""

    calls: int = 0  # that were looked at
    outputs: tuple[DistributionRow, ...] = ()  # furthest apart first
    inputs: tuple[DistributionRow, ...] = ()  # those that `judge.drift.inputs` names
    confusions: tuple[ConfusionRow, ...] = ()


def drift_of(found: Distributions) -> Drift:
    """Make figures."""
    outputs = [_row(name, a, b) for name, (a, b) in found.outputs.items()]
    now = found.now
    inputs = [_row(name, found.first[name], s) for name, s in now.items() if name in found.first]
    return Drift(
        found.count,
        tuple(sorted(outputs, key=lambda row: -(row.psi or 0.0))),
        tuple(sorted(inputs, key=lambda row: -(row.psi or 0.0))),
        tuple(_confusion(name, matrix) for name, matrix in sorted(found.matrices.items())),
    )


def _row(name: str, one: Sketch, other: Sketch) -> DistributionRow:
    return DistributionRow(
        name,
        (one.n, other.n),
        (one.broken, other.broken),
        psi(one, other),
        wasserstein(one, other),
        bins_of(one, other),
    )


def _confusion(name: str, matrix: dict[tuple[int, int], int]) -> ConfusionRow:
    classes = sorted({c for key in matrix for c in key})
    words = ["undecided" if c < 0 else f"{c} or more" if c == CLASSES else str(c) for c in classes]
    return ConfusionRow(
        name,
        tuple(words),
        tuple(tuple(matrix.get((a, b), 0) for b in classes) for a in classes),
    )
