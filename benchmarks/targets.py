"""The targets, and whether what was measured meets them. Ratios are taken within one run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks import capture, matrix, observer
from benchmarks.capture import Captured
from benchmarks.isolation import BOUND, OFF, OTHERS, SHARING, WELL, Isolation
from benchmarks.latency import Latency
from benchmarks.load import Shape, size
from benchmarks.matrix import Matrix, mirror, ours
from benchmarks.measure import ratio
from benchmarks.observer import Efficiency
from benchmarks.soak import Memory

MIB = 1 << 20
# Anchored to what is physically there in the same run: a proxy that looks at nothing, and a mirror
# that compares nothing.
PATH_OVER_TCP = {(1, 1): 1.25, (8, 1): 1.25, (4, 16): 1.6, (64, 4): 1.6}
WHOLE_OVER_MIRROR = {"1 x 1": 1.0, "8 x 1": 1.0, "4 x 16": 1.5}
OBSERVED_OVER_MIRROR = {"1 x 1": 1.2, "8 x 1": 0.8, "4 x 16": 0.5}
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
    """Production's path: CPU and throughput, over what looks at nothing."""
    for loop, bound in PATH_OVER_TCP.items():
        shape = Shape(*loop, matrix.PAYLOADS[0])
        if shape not in found.shapes:
            continue
        for sample in matrix.SAMPLES:
            if ours(sample) not in found.ways:
                continue
            names = ours(sample), matrix.ENVOY_TCP
            measured = ratio(found.table, shape, *names, lambda cell: cell.path_us)
            beside = ""
            if mirror(sample) in found.ways:
                other = ratio(
                    found.table,
                    shape,
                    mirror(sample),
                    matrix.ENVOY_TCP,
                    lambda cell: cell.path_us,
                )
                beside = f"Envoy's mirror {other:.2f}"
            what = f"wire's CPU per call / tcp_proxy's, {shape}, {sample:.0%} shadowed"
            yield Target(what, "≤", bound, measured, beside=beside)
    large = [shape for shape in found.shapes if shape.payload == matrix.PAYLOADS[-1]]
    for shape in large:
        for sample in matrix.SAMPLES:
            if ours(sample) not in found.ways:
                continue
            what = f"calls a second / tcp_proxy's, {shape}, {sample:.0%} shadowed"
            names = ours(sample), matrix.ENVOY_TCP
            bound = 0.9 if sample > 0.1 else 0.95
            yield Target(what, "≥", bound, ratio(found.table, shape, *names, lambda c: c.rate))


def of_latency(found: Latency) -> Iterator[Target]:
    """Production's path: added latency at a tenth of capacity."""
    added = found.added[0.1]
    tcp = added.get(matrix.ENVOY_TCP)
    for sample in (0.1, 1.0):
        one, other = (added[name].added_p50.median for name in (ours(sample), mirror(sample)))
        what = f"added p50 / Envoy's mirror's, 10% of capacity, {sample:.0%} shadowed"
        yield Target(what, "≤", 0.4, one / other)
        if tcp is not None:
            what = f"added p50 above tcp_proxy's, 10% of capacity, {sample:.0%} shadowed"
            yield Target(what, "≤", 0.06, one - tcp.added_p50.median, "ms")


def of_isolation(found: Isolation) -> Iterator[Target]:
    """What goes wrong behind the tap."""
    others = found.cases.get(OTHERS)
    for name, case in found.cases.items():
        if name.startswith(OFF):
            continue  # the tee is off: it shows what the machine does
        if name == WELL and others is not None:
            measured = case.p99.median / others.p99.median
            yield Target(f"p99 / {OTHERS.removeprefix(OFF)[2:]}, {name}", "≤", BOUND, measured)
            continue
        beside = ""
        if others is not None and name in SHARING:
            beside = f"{OTHERS.removeprefix(OFF)[2:]} {others.ratio.median:.2f}"
        what = f"p99 / with the tee off, {name}"
        yield Target(what, "≤", BOUND, case.ratio.median, beside=beside)
    failed = sum(case.failed for case in found.cases.values())
    yield Target("failed calls, all cases", "≤", 0, failed, "calls")


def of_observer(found: Efficiency) -> Iterator[Target]:
    """The work behind the path, over a mirror that compares nothing."""
    for load, who in found.per_cpu_second.items():
        envoy = who[observer.ENVOY].median
        if load in WHOLE_OVER_MIRROR:
            what = f"wire's and observer's CPU a compared call / Envoy's mirror's a call, {load}"
            yield Target(what, "≤", WHOLE_OVER_MIRROR[load], envoy / who[observer.WHOLE].median)
        if load in OBSERVED_OVER_MIRROR:
            what = f"compared calls for each CPU second, observer / Envoy's mirror, {load}"
            measured = who[observer.OURS].median / envoy
            beside = f"as Python {who[observer.PYTHON].median / envoy:.2f}"
            yield Target(what, "≥", OBSERVED_OVER_MIRROR[load], measured, beside=beside)


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
