"""One measurement of one way under one load, and many of them in shuffled order.

Rule: a way is measured alone; every figure that is quoted is a median over repeats of one run, with
its spread, and ratios are taken within the run.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.account import Quiet, cpu_ns, peak_bytes, reset_peak, settle
from benchmarks.load import LoadError, Shape, closed_loop
from benchmarks.paths import Standing, Way

WARM_SECONDS = 0.4


@dataclass(slots=True)
class Figure:
    """Repeated measurements of one thing."""

    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle one; not a number if nothing could be measured."""
        return statistics.median(self.values) if self.values else math.nan

    @property
    def spread(self) -> float:
        """Half the distance from the smallest to the largest, as a share of the median."""
        if len(self.values) < 2 or not self.median:
            return 0.0
        return (max(self.values) - min(self.values)) / 2 / self.median


@dataclass(slots=True)
class Cell:
    """A way under a shape."""

    rate: Figure = field(default_factory=Figure)  # calls a second
    path_us: Figure = field(default_factory=Figure)  # CPU per call of the processes in the path
    all_us: Figure = field(default_factory=Figure)  # CPU per call, with what works behind
    shadowed: Figure = field(default_factory=Figure)  # share of the calls that reached the shadow
    failed: int = 0
    peak: int = 0  # bytes, path and behind
    peak_path: int = 0


Table = dict[tuple[str, Shape], Cell]


def measure(
    plan: Sequence[tuple[Way, Sequence[Shape]]],
    *,
    production: str,
    shadow: str,
    repeats: int,
    seconds: float,
    step: Callable[[str], None],
    quiet: Quiet,
    table: Table | None = None,
) -> Table:
    """Measure every way under each of its shapes.

    Args:
        plan: the ways and their shapes.
        production, shadow: servers' addresses.
        repeats: how often each way is put up.
        seconds: of load for each cell and repeat.
        step: told what is being measured.
        quiet: called before.
        table: what was measured before, to be added to.
    """
    found: Table = defaultdict(Cell, table or {})
    order = random.Random(0)
    for repeat in range(repeats):
        for way, shapes in order.sample(list(plan), len(plan)):
            with way.open(production, shadow) as it:
                # The first calls pay for imports, connections and growing buffers.
                closed_loop(it.address, shapes[0], WARM_SECONDS)
                settle(it.behind)
                for shape in order.sample(list(shapes), len(shapes)):
                    step(f"{repeat + 1}/{repeats} {way.name} · {shape}")
                    quiet()
                    _once(it, shape, seconds, found[way.name, shape])
    return dict(found)


def _once(it: Standing, shape: Shape, seconds: float, cell: Cell) -> None:
    everyone = (*it.in_path, *it.behind)
    reset_peak(everyone)
    path, every, shadowed = cpu_ns(it.in_path), cpu_ns(everyone), it.shadowed()
    try:
        result = closed_loop(it.address, shape, seconds)
    except LoadError:
        cell.failed += 1
        return
    path = cpu_ns(it.in_path) - path
    settle(it.behind)  # what was begun for these calls is theirs
    every = cpu_ns(everyone) - every
    calls = max(1, result.calls)
    cell.rate.values.append(result.rate)
    cell.path_us.values.append(path / 1e3 / calls)
    cell.all_us.values.append(every / 1e3 / calls)
    cell.shadowed.values.append((it.shadowed() - shadowed) / calls)
    cell.failed += result.failed
    cell.peak = max(cell.peak, peak_bytes(everyone))
    cell.peak_path = max(cell.peak_path, peak_bytes(it.in_path))


def ratio(
    table: Table, shape: Shape, one: str, other: str, what: Callable[[Cell], Figure]
) -> float:
    """One way's median over another's."""
    return what(table[one, shape]).median / what(table[other, shape]).median
