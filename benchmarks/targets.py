"""The targets, and whether what was measured meets them. Ratios are taken within one run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks import capture, matrix, observer
from benchmarks.capture import Captured
from benchmarks.isolation import OFF, OTHERS, SHARING, Isolation
from benchmarks.latency import Latency
from benchmarks.load import Shape, size
from benchmarks.matrix import Matrix, mirror, ours
from benchmarks.measure import ratio
from benchmarks.observer import Efficiency
from benchmarks.soak import Memory

MIB = 1 << 20
FLAT = 0.05  # memory that grows by less, from the first quarter to the last, is flat


@dataclass(frozen=True, slots=True)
class Target:
    """One bound and what was measured against it."""

    what: str
    kind: Literal["≤", "≥"]
    bound: float
    measured: float
    unit: str = ""
    beside: str = ""  # the same figure of something else, to see what the machine allows

    @property
    def met(self) -> bool:
        """Whether it holds; what could not be measured does not."""
        if self.kind == "≤":
            return self.measured <= self.bound
        return self.measured >= self.bound

    @property
    def verdict(self) -> str:
        """In words."""
        if self.met:
            return "met"
        if math.isnan(self.measured):
            return "not measured"
        times = f", {self.measured / self.bound:.2f} of the bound" if self.bound else ""
        return f"**missed**{times}"


def of_capture(found: Captured) -> Iterator[Target]:
    """What capturing costs, and how fast calls are asked again."""
    for payload, costs in found.costs.items():
        kept, plain = costs[capture.WITH], costs[capture.WITHOUT]
        spread = max(0.05, plain.wire.spread, kept.wire.spread)
        yield Target(
            f"CPU per call of the wire, 8 x 1, {size(payload)}: all captured / nothing",
            "≤",
            1 + spread,
            kept.wire.median / plain.wire.median,
            beside="the bound is 1 and the spread of either",
        )
        yield Target(
            f"CPU per compared call of the observer, {size(payload)}: all captured / nothing",
            "≤",
            1.15,
            kept.observer.median / plain.observer.median,
        )
        yield Target(
            f"rows captured for each CPU second, nobody else at work, {size(payload)}",
            "≥",
            20_000,
            found.offline[payload].median,
        )
    yield Target(
        "replay `max` / h2load, calls a second of the same server, comparing included",
        "≥",
        0.8,
        found.replay.median / found.load.median,
    )
    yield Target(
        f"a replay's peak memory, {found.rows:,} calls / a fifth of them, less 1",
        "≤",
        FLAT,
        found.growth,
    )


def of_matrix(found: Matrix) -> Iterator[Target]:
    """Production's path: CPU and throughput."""
    bounds = {(1, 1): 0.35, (8, 1): 0.35, (4, 16): 0.10}
    for loop, bound in bounds.items():
        shape = Shape(*loop, 200)
        for sample in (0.1, 1.0):
            what = f"CPU per call of the wire / of Envoy's mirror, {shape}, {sample:.0%} shadowed"
            floor = _ratio(found, shape, sample, matrix.ENVOY_TCP)
            beside = f"Envoy's tcp_proxy {floor:.2f}"
            yield Target(what, "≤", bound, _ratio(found, shape, sample), beside=beside)
    large = [shape for shape in found.shapes if shape.payload == matrix.PAYLOADS[-1]]
    for shape in large:
        for sample in (0.0, 0.1, 1.0):
            if ours(sample) not in found.ways:
                continue
            what = f"calls a second / of Envoy's tcp_proxy, {shape}, {sample:.0%} shadowed"
            names = ours(sample), matrix.ENVOY_TCP
            yield Target(what, "≥", 0.9, ratio(found.table, shape, *names, lambda c: c.rate))


def _ratio(found: Matrix, shape: Shape, sample: float, who: str = "") -> float:
    names = who or ours(sample), mirror(sample)
    return ratio(found.table, shape, *names, lambda cell: cell.path_us)


def of_latency(found: Latency) -> Iterator[Target]:
    """Production's path: added latency."""
    for share, added in found.added.items():
        for sample in (0.1, 1.0):
            one, other = (added[name].added_p50.median for name in (ours(sample), mirror(sample)))
            what = f"added p50 / of Envoy's mirror, {share:.0%} of capacity, {sample:.0%} shadowed"
            floor = added.get(matrix.ENVOY_TCP)
            beside = f"Envoy's tcp_proxy {floor.added_p50.median / other:.2f}" if floor else ""
            yield Target(what, "≤", 0.4, one / other, beside=beside)


def of_isolation(found: Isolation) -> Iterator[Target]:
    """What goes wrong behind the tap."""
    others = found.cases.get(OTHERS)
    for name, case in found.cases.items():
        if name.startswith(OFF):
            continue  # the tee is off: it shows what the machine does
        beside = ""
        if others is not None and name in SHARING:
            beside = f"{OTHERS.removeprefix(OFF)[2:]} {others.ratio.median:.2f}"
        what = f"p99 / with the tee off, {name}"
        yield Target(what, "≤", 1.10, case.ratio.median, beside=beside)
    failed = sum(case.failed for case in found.cases.values())
    yield Target("failed calls, all cases", "≤", 0, failed, "calls")


def of_observer(found: Efficiency) -> Iterator[Target]:
    """The observer's work for each CPU second."""
    for load, who in found.per_cpu_second.items():
        measured = who[observer.OURS].median / who[observer.ENVOY].median
        what = f"calls for each CPU second, observer / Envoy's mirror, {load}"
        yield Target(what, "≥", 0.5, measured)


def of_memory(found: Memory) -> Iterator[Target]:
    """Bounds on memory."""
    wire = (found.wire.peak - found.wire_buffers) / MIB
    behind = (found.observer.peak - found.observer_buffers) / MIB
    yield Target("wire's peak memory less its buffers", "≤", 40, wire, "MiB")
    yield Target("observer's peak memory less its buffers", "≤", 160, behind, "MiB")
    for name, grown in (("wire", found.wire), ("observer", found.observer)):
        what = f"growth of the {name} in {found.seconds:.0f} s"
        yield Target(what, "≤", FLAT, grown.growth)


def of_scale(found: Efficiency) -> Iterator[Target]:
    """Whether a second observer process helps."""
    one, two = (found.scale[n].rate.median for n in (1, 2))
    yield Target("shadowed calls a second, two observers / one", "≥", 1.0, two / one)
