"""Latency that a way adds over direct, at fixed rates: half the direct capacity, and a tenth.

The client is k6 with an open loop: calls arrive whether or not earlier ones were answered, so that
what waits in a queue is measured and not left out. Both servers are grpcio's.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks import paths
from benchmarks.account import Quiet
from benchmarks.ends import ordinary
from benchmarks.load import Open, open_loop
from benchmarks.machine import tool
from benchmarks.measure import Figure

PAYLOAD = 200
SHARES = (0.1, 0.5)  # of the capacity; the smaller one first, it warms
FLAT_OUT = 20_000  # calls a second: more than any two cores have


@dataclass(slots=True)
class Added:
    """Milliseconds, absolute and over the direct way of the same round."""

    p50: Figure = field(default_factory=Figure)
    p99: Figure = field(default_factory=Figure)
    p999: Figure = field(default_factory=Figure)
    added_p50: Figure = field(default_factory=Figure)
    added_p99: Figure = field(default_factory=Figure)
    added_p999: Figure = field(default_factory=Figure)
    calls: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Latency:
    """What was measured, at which rate."""

    capacity: float  # calls a second, directly
    seconds: float
    added: Mapping[float, Mapping[str, Added]]  # by share of the capacity, and by way


def offer(address: str, rate: int, seconds: float) -> Open:
    """k6 at a fixed rate.

    Raises:
        LoadError: when it could not run.
    """
    k6 = tool("k6")
    assert k6 is not None, "main() has looked"
    return open_loop(address, rate, seconds, PAYLOAD, k6=k6)


def capacity(address: str) -> float:
    """Calls a second that k6 and the server manage together, flat out."""
    seconds = 2.0
    return offer(address, FLAT_OUT, seconds).calls / seconds


def run(
    step: Callable[[str], None], env: Mapping[str, str], quiet: Quiet, *, quick: bool
) -> Latency:
    """Measure; `env` says where the sidecar's spans go."""
    every = [
        paths.direct(),
        *(paths.sidecar(sample, env=env) for sample in ((0.1, 1.0) if quick else (0.0, 0.1, 1.0))),
        *([] if quick else [paths.envoy_tcp(), paths.envoy_http(0.0)]),
        *(paths.envoy_http(sample) for sample in (0.1, 1.0)),
        *([] if quick else [paths.nginx(mirror=True), paths.haproxy()]),
    ]
    ways = [way for way in every if way is not None]
    repeats, seconds = (1, 1.5) if quick else (3, 2.5)
    order = random.Random(1)
    found: dict[float, dict[str, Added]] = {s: defaultdict(Added) for s in SHARES}
    with ordinary() as production, ordinary(idle=True) as shadow:
        step("capacity")
        quiet()
        most = capacity(production)
        for repeat in range(repeats):
            results: dict[float, dict[str, Open]] = {share: {} for share in SHARES}
            for way in order.sample(ways, len(ways)):
                step(f"{repeat + 1}/{repeats} {way.name}")
                with way.open(production, shadow) as it:
                    for share, by_way in results.items():
                        quiet()
                        by_way[way.name] = offer(it.address, int(most * share), seconds)
            for share, by_way in results.items():
                for name, result in by_way.items():
                    _add(found[share][name], result, by_way["direct"])
    names = [way.name for way in ways]
    return Latency(most, seconds, {s: {name: found[s][name] for name in names} for s in SHARES})


def _add(added: Added, result: Open, direct: Open) -> None:
    for quantile in ("p50", "p99", "p999"):
        value = getattr(result, quantile)
        getattr(added, quantile).values.append(value)
        getattr(added, f"added_{quantile}").values.append(value - getattr(direct, quantile))
    added.calls += result.calls
    added.failed += result.failed
    added.dropped += result.dropped
