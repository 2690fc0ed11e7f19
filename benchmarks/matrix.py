"""Throughput and CPU per call of every way, over connections, streams, payloads and samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from benchmarks import paths
from benchmarks.account import Quiet
from benchmarks.ends import echoes
from benchmarks.load import Shape
from benchmarks.measure import Table, measure

LOOPS = ((1, 1), (8, 1), (4, 16), (64, 4))
PAYLOADS = (200, 16 << 10, 600 << 10)
SMALL_REPEATS = 3  # more, of the smallest payload
SAMPLES = (0.0, 0.01, 0.1, 1.0)

DIRECT = "direct"
ENVOY_TCP = "Envoy, tcp_proxy"


def ours(sample: float) -> str:
    """The sidecar's name in the table."""
    return paths.sidecar(sample).name


def mirror(sample: float) -> str:
    """The name of Envoy's mirror in the table."""
    return paths.envoy_http(sample).name


@dataclass(frozen=True, slots=True)
class Matrix:
    """What was measured, in the order to be shown in."""

    table: Table
    ways: tuple[str, ...]
    shapes: tuple[Shape, ...]


def run(
    step: Callable[[str], None], env: Mapping[str, str], quiet: Quiet, *, quick: bool
) -> Matrix:
    """Measure; `env` says where the sidecar's spans go."""
    if quick:
        shapes = [Shape(*loop, 200) for loop in LOOPS[:3]] + [Shape(1, 1, 600 << 10)]
        ways = [
            paths.direct(),
            *(paths.sidecar(sample, env=env) for sample in (0.1, 1.0)),
            paths.sidecar(0.1, build="python", env=env),
            paths.envoy_tcp(),
            *(paths.envoy_http(sample) for sample in (0.1, 1.0)),
        ]
        repeats, seconds = 2, 0.4
    else:
        shapes = [Shape(*loop, payload) for payload in PAYLOADS for loop in LOOPS]
        ways = [
            paths.direct(),
            *(paths.sidecar(sample, env=env) for sample in SAMPLES),
            paths.envoy_tcp(),
            *(paths.envoy_http(sample) for sample in (0.0, 0.1, 1.0)),
        ]
        repeats, seconds = 2, 0.4
    others = [
        *(paths.sidecar(sample, build="python", env=env) for sample in (0.0, 0.1, 1.0)),
        paths.nginx(mirror=True),
        paths.haproxy(),
    ]
    small = [shape for shape in shapes if shape.payload == PAYLOADS[0]]
    # What is only compared with gets the small payload, so that the whole stays short.
    plan = [(way, shapes) for way in ways]
    plan += [] if quick else [(way, small) for way in others if way is not None]
    with echoes() as (production, shadow):
        run = partial(
            measure,
            production=production,
            shadow=shadow,
            seconds=seconds,
            step=step,
            quiet=quiet,
        )
        table = run(plan, repeats=repeats)
        if not quick:  # most of the targets are about these
            table = run([(way, small) for way in ways], repeats=SMALL_REPEATS, table=table)
    return Matrix(table, tuple(way.name for way, _ in plan), tuple(shapes))
