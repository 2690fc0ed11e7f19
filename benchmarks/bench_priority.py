"""How the observer's place behind production pays: each priority under the same loads. Compiled.

    python -m benchmarks.bench_priority [--repeats 2] [--seconds 1.5]      about three minutes

h2load in a closed loop, everything to be shadowed; production and shadow are nghttpd. For each
priority: production's calls a second, CPU of the wire for each call, CPU of the observer for each
compared call, and the share of calls for which there was time. `idle`, `low` and `normal` are the
settings; the rest is set from outside on a `normal` observer. On a machine with other work the
classes that step back lose most: read it on a quiet one.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks import paths
from benchmarks.account import Quiet
from benchmarks.ends import echoes
from benchmarks.load import Shape
from benchmarks.measure import measure
from benchmarks.paths import Standing, Way
from benchmarks.report import table

SHAPES = (Shape(1, 1, 200), Shape(8, 1, 200), Shape(4, 16, 200))
OUTSIDE: Mapping[str, tuple[int, int]] = {
    "nice 10": (os.SCHED_OTHER, 10),
    "nice 19": (os.SCHED_OTHER, 19),
    "batch": (os.SCHED_BATCH, 0),
}


def by_setting(priority: str) -> Way:
    """The sidecar with that `observer.priority`."""
    return paths.sidecar(1.0, settings={"observer.priority": priority}, name=priority)


def from_outside(name: str, policy: int, nice: int) -> Way:
    """A `normal` sidecar, every thread of whose observer is moved."""
    normal = by_setting("normal")

    @contextmanager
    def opened(production: str, shadow: str) -> Iterator[Standing]:
        with normal.open(production, shadow) as it:
            for pid in it.behind:
                for task in Path(f"/proc/{pid}/task").iterdir():
                    os.sched_setscheduler(int(task.name), policy, os.sched_param(0))
                    os.setpriority(os.PRIO_PROCESS, int(task.name), nice)
            yield it

    return Way(name, opened, 1.0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.5)
    flags = parser.parse_args()
    ways = [by_setting(name) for name in ("idle", "low", "normal")]
    ways += [from_outside(name, *how) for name, how in OUTSIDE.items()]
    with echoes() as (production, shadow):
        found = measure(
            [(way, SHAPES) for way in ways],
            production=production,
            shadow=shadow,
            repeats=flags.repeats,
            seconds=flags.seconds,
            step=lambda what: print(what, flush=True),
            quiet=Quiet(60.0),
        )
    head = ("observer", "calls/s", "wire, us a call", "observer, us a compared call", "shadowed")
    for shape in SHAPES:
        print(f"\n{shape.connections} x {shape.streams}, {shape.payload} B\n")
        rows = []
        for way in ways:
            cell = found[way.name, shape]
            path, share = cell.path_us.median, cell.shadowed.median
            behind = (cell.all_us.median - path) / share if share else float("nan")
            figures = (f"{cell.rate.median:,.0f}", f"{path:.1f}", f"{behind:.0f}", f"{share:.0%}")
            rows.append((way.name, *figures))
        print("\n".join(table(head, rows)))


if __name__ == "__main__":
    main()
