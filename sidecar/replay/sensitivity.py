"""What a wrong input does to a model's answers: each version against itself.

For every call and every change a version is asked twice, with the request as it was and changed,
and its two answers are compared by the rules of the configuration. Flips are calls whose outcome
differs; the mean change is the mean of the outputs' scores; the elasticity is the relative change
of the numeric outputs over that of the input. Intervals: Wilson's for flips (E. B. Wilson, 1927),
the normal one over calls for the means; fixed samples, so not to be looked at while they grow.
Counterparts: `changes`, which changes; `run.sensitivity`, which shows.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from sidecar.call import Observation
from sidecar.compare.comparer import Comparer, Examination
from sidecar.compare.payload import BYTES
from sidecar.replay.candidate import Candidate
from sidecar.replay.changes.base import Change, Normal
from sidecar.replay.changes.changers import changed, changer
from sidecar.replay.recorded import Recorded

Z = 1.959963984540054  # of a two-sided 95 % interval


@dataclass(slots=True)
class Mean:
    """A mean with its normal interval."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """Count one value; what is not finite is left out."""
        if math.isfinite(value):
            self.n += 1
            self.total += value
            self.squares += value * value

    @property
    def value(self) -> float:
        """The mean; NaN without values."""
        return self.total / self.n if self.n else math.nan

    @property
    def half_width(self) -> float:
        """Of the 95 % interval; infinite with fewer than two values."""
        if self.n < 2:
            return math.inf
        variance = max(0.0, (self.squares - self.total**2 / self.n) / (self.n - 1))
        return Z * math.sqrt(variance / self.n)


@dataclass(slots=True)
class Sensitivity:
    """One version under one change."""

    version: str
    change: Change
    calls: int = 0
    flips: int = 0
    failed: int = 0  # answered before the change and not after it
    left_out: int = 0  # the change could not be made, or the version did not answer as it was
    change_mean: Mean = field(default_factory=Mean)
    elasticity: Mean = field(default_factory=Mean)

    @property
    def flip_interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share of flips; (0, 1) without calls."""
        if not self.calls:
            return 0.0, 1.0
        n, p = self.calls, self.flips / self.calls
        middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
        half = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
        return max(0.0, middle - half), min(1.0, middle + half)


async def measure(
    comparer: Comparer,
    versions: Sequence[Candidate],
    calls: Iterable[Recorded],
    changes: Sequence[Change],
    draws: Normal,
    told: Callable[[int], None],
) -> list[Sensitivity]:
    """Ask every version about every call, as it was and under every change.

    Args:
        comparer: the configuration's rules.
        versions: production's and the candidate's servers.
        calls: which are asked about.
        changes: what is done to them.
        draws: the noise; one draw a call and change, the same for all versions.
        told: how many calls are done.
    """
    found = {(v.name, c): Sensitivity(v.name, c) for c in changes for v in versions}
    previous: Recorded | None = None
    for done, call in enumerate(calls, 1):
        await _one(comparer, versions, call, previous or call, changes, draws, found)
        previous = call
        told(done)
    return list(found.values())


async def _one(
    comparer: Comparer,
    versions: Sequence[Candidate],
    call: Recorded,
    other: Recorded,
    changes: Sequence[Change],
    draws: Normal,
    found: dict[tuple[str, Change], Sensitivity],
) -> None:
    plain = await asyncio.gather(*(version.ask(call) for version in versions))
    by = changer(comparer.registry.reader(call.method))
    for change in changes:
        made = None
        alone = other is call or other.method != call.method
        if by is not None and len(call.request) == 1 and not (change.how == "swap" and alone):
            made = changed(by, change, call.request[0], (other.request or (b"",))[0], draws)
        for version, before in zip(versions, plain, strict=True):
            into = found[version.name, change]
            if made is None or before.status:
                into.left_out += 1
                continue
            after = await version.ask(call, (made.message,))
            _count(comparer, into, call, before, after, made.relative)


def _count(
    comparer: Comparer,
    into: Sensitivity,
    call: Recorded,
    before: Observation,
    after: Observation,
    relative: float,
) -> None:
    examined = comparer.examine(call.method, call.request, before, after)
    into.calls += 1
    if after.status:
        into.failed += 1
        into.flips += 1
        return
    comparison = examined.comparison
    into.flips += not comparison.agrees
    scores = [output.score for output in comparison.outputs]
    into.change_mean.add(max(scores, default=0.0))
    if relative > 0:
        into.elasticity.add(_moved(examined) / relative)


def _moved(examined: Examination) -> float:
    """The relative change of the numeric outputs, all taken as one vector; NaN without any."""
    if not examined.production or not examined.shadow:
        return math.nan
    theirs = {o.name: o.array for o in examined.shadow[0].outputs if o.dtype != BYTES}
    size = moved = 0.0
    for output in examined.production[0].outputs:
        other = theirs.get(output.name)
        if (
            other is None
            or other.shape != output.array.shape
            or output.array.dtype.kind not in "fiu"
        ):
            continue
        one = output.array.astype(np.float64)
        size += float(np.sum(one * one))
        moved += float(np.sum(np.square(other.astype(np.float64) - one)))
    return math.sqrt(moved / size) if size else math.nan
