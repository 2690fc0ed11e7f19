"""What the observer's place behind production costs and gains, compiled: every place, side by side.

    python -m benchmarks.bench_priority [--repeats 3] [--seconds 3] [--only NAME ...] [--wait 120]

Two loads, everything shadowed. At a fixed rate (k6, both servers grpcio's, the shadow on what is
left over): production's p99 over that of the same repeat with the tee off, and calls compared for
each CPU second of the observer. In a closed loop (h2load, nghttpd), where everybody wants more than
there is: production's calls a second, the wire's CPU a call, the observer's a compared call, and
the share for which there was time. `idle`, `low` and `normal` are the settings; the rest is set
from outside. "In a group" is as in a pod, where production's containers and the observer's are
control groups of their own: there the group's weight says who waits for whom, and a place behind
others counts only inside it. On a machine with other work those that step back lose most: read it
on a quiet one.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import machine, paths
from benchmarks.account import Quiet, cpu_ns, settle
from benchmarks.builds import is_built
from benchmarks.ends import echoes, ordinary
from benchmarks.groups import GroupsError, group, move
from benchmarks.latency import capacity, offer
from benchmarks.load import Shape
from benchmarks.measure import Table, measure
from benchmarks.paths import Standing, Way
from benchmarks.report import table

SHAPES = (Shape(1, 1, 200), Shape(8, 1, 200), Shape(4, 16, 200))
SHARES = (0.25, 0.5)  # of what goes through the sidecar flat out
OFF = "tee off"
PRODUCTION_MILLICORES = 1000
OBSERVER_MILLICORES = 100  # as `inject` requests for it
SETTINGS = ("idle", "low", "normal")
OUTSIDE: Mapping[str, tuple[int, int]] = {
    "nice 10": (os.SCHED_OTHER, 10),
    "nice 19": (os.SCHED_OTHER, 19),
    "batch": (os.SCHED_BATCH, 0),
    "batch, nice 19": (os.SCHED_BATCH, 19),
}


@dataclass(slots=True)
class Beside:
    """What one place does at a fixed rate; a value for each repeat."""

    p50: list[float] = field(default_factory=list)  # ms
    p99: list[float] = field(default_factory=list)  # ms
    ratio: list[float] = field(default_factory=list)  # p99 over the tee off's
    pairs: list[float] = field(default_factory=list)  # compared calls for each CPU second
    share: list[float] = field(default_factory=list)  # compared, of all


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

    return Way(name, opened)


def in_group(priority: str) -> Way:
    """The sidecar with that priority, its observer in a group beside that of everybody else."""
    way = by_setting(priority)

    @contextmanager
    def opened(production: str, shadow: str) -> Iterator[Standing]:
        with (
            way.open(production, shadow) as it,
            group("observer", OBSERVER_MILLICORES) as observers,
        ):
            for pid in it.behind:
                move(pid, observers)
            yield it

    return Way(f"{priority}, in a group", opened)


def beside(
    ways: Sequence[Way], repeats: int, seconds: float, quiet: Quiet
) -> dict[float, dict[str, Beside]]:
    """Production's latency at fixed rates, by share of the capacity and place."""
    off = paths.sidecar(0.0, name=OFF)
    found: dict[float, dict[str, Beside]] = {s: defaultdict(Beside) for s in SHARES}
    order = random.Random(4)
    with ordinary() as production, ordinary(idle=True) as shadow:
        most = 0.0
        for repeat in range(repeats):
            p99: dict[float, dict[str, float]] = {s: {} for s in SHARES}
            for way in order.sample([off, *ways], len(ways) + 1):
                print(f"{repeat + 1}/{repeats} {way.name}, fixed rate", flush=True)
                with way.open(production, shadow) as it:
                    most = most or capacity(it.address)
                    offer(it.address, int(most / 8), 1.0)
                    settle(it.behind)
                    for share in SHARES:
                        quiet()
                        at = found[share][way.name]
                        before, compared = cpu_ns(it.behind), it.shadowed()
                        done = offer(it.address, int(most * share), seconds)
                        settle(it.behind)
                        compared = it.shadowed() - compared
                        used = (cpu_ns(it.behind) - before) / 1e9
                        at.p50.append(done.p50)
                        at.p99.append(done.p99)
                        at.pairs.append(compared / used)
                        at.share.append(compared / max(1, done.calls))
                        p99[share][way.name] = done.p99
            for share, each in p99.items():
                for name, value in each.items():
                    found[share][name].ratio.append(value / each[OFF])
    print(f"\ncapacity {most:,.0f} calls/s")
    return found


def show_beside(found: dict[float, dict[str, Beside]], names: Sequence[str]) -> None:
    """Print the figures at fixed rates: medians, and of the ratio the extremes."""
    head = ("observer", "p50 ms", "p99 ms", "p99 / tee off", "pairs a CPU second", "shadowed")
    for share, each in found.items():
        print(f"\n{share:.0%} of capacity\n")
        rows = []
        for name in (OFF, *names):
            at = each[name]
            p50, p99, ratio = (statistics.median(v) for v in (at.p50, at.p99, at.ratio))
            spread = f"{ratio:.2f} ({min(at.ratio):.2f}-{max(at.ratio):.2f})"
            pairs = "" if name == OFF else f"{statistics.median(at.pairs):,.0f}"
            rows.append(
                (
                    name,
                    f"{p50:.2f}",
                    f"{p99:.2f}",
                    spread,
                    pairs,
                    f"{statistics.median(at.share):.0%}",
                )
            )
        print("\n".join(table(head, rows)))


def show_closed(found: Table, names: Sequence[str]) -> None:
    """Print the figures of the closed loop."""
    head = ("observer", "calls/s", "wire, us a call", "observer, us a compared call", "shadowed")
    for shape in SHAPES:
        print(f"\n{shape.connections} x {shape.streams}, {shape.payload} B, closed loop\n")
        rows = []
        for name in names:
            cell = found[name, shape]
            path, share = cell.path_us.median, cell.shadowed.median
            behind = (cell.all_us.median - path) / share if share else float("nan")
            figures = (f"{cell.rate.median:,.0f}", f"{path:.1f}", f"{behind:.0f}", f"{share:.0%}")
            rows.append((name, *figures))
        print("\n".join(table(head, rows)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load, each; 1 at least")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of the places")
    parser.add_argument("--wait", type=float, default=120.0, help="seconds at most, for quiet")
    flags = parser.parse_args()
    lacking = machine.missing() + ([] if is_built() else ["the compiled build: make compiled"])
    if lacking:
        sys.exit("\n".join(lacking))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that groups and processes end
    with ExitStack() as stack:
        ways = [by_setting(name) for name in SETTINGS]
        ways += [from_outside(name, *how) for name, how in OUTSIDE.items()]
        try:
            # Whoever is started from here on is in production's group, but for the observer.
            move(os.getpid(), stack.enter_context(group("production", PRODUCTION_MILLICORES)))
            ways += [in_group(name) for name in SETTINGS]
        except (GroupsError, OSError) as error:
            print(f"without groups: {error}")
        if flags.only:
            ways = [way for way in ways if way.name in flags.only]
        names = [way.name for way in ways]
        quiet = Quiet(flags.wait)
        show_beside(beside(ways, flags.repeats, flags.seconds, quiet), names)
        with echoes() as (production, shadow):
            found = measure(
                [(way, SHAPES) for way in ways],
                production=production,
                shadow=shadow,
                repeats=flags.repeats,
                seconds=flags.seconds / 2,
                step=lambda what: print(what, flush=True),
                quiet=quiet,
            )
        show_closed(found, names)


if __name__ == "__main__":
    main()
