"""Two identical servers over real sockets: does any latency criterion say that one is slower?

`python -m benchmarks.aa` writes aa.md. Rule: production, shadow and control are the same program
with the same flags; the machine is not kept quiet, for production's is not either. Counterparts:
`tests.scenarios.latencies`, the traffic and the criteria; README's limits, which quote it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import describe, load_average
from tests.processes import ProcessError
from tests.scenarios.latencies import CRITERIA, Told, latencies, run
from tests.scenarios.stack import servers, sidecar

SERVER = ("model", "--delay-ms", "5")
OUT = Path(__file__).with_name("aa.md")


@dataclass(frozen=True, slots=True)
class Way:
    """How latency is judged in a run."""

    name: str
    control: bool
    priority: str
    rate: float  # calls a second


WAYS = (
    Way("beside a control, 200 calls a second", True, "idle", 200),
    Way("without a control, 20 calls a second", False, "idle", 20),
    Way("without a control, 200 calls a second", False, "idle", 200),
    Way("without a control, 200 calls a second, observer at normal priority", False, "normal", 200),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run, and how busy the machine was at its end."""

    told: Told
    load: float

    def change(self, of: str, against: str) -> float | None:
        """The shown p50 of one side against another's; None where one has none."""
        ours, theirs = self.told.p50_ms[of], self.told.p50_ms[against]
        return None if ours is None or theirs is None else ours / theirs - 1


def measure(way: Way, seconds: float) -> Run:
    """Traffic for so long."""
    with servers(SERVER, SERVER, SERVER) as (production, candidate, control):
        settings = latencies(candidate, control if way.control else None, coverage_floor=0.0)
        with sidecar(production, settings=settings | {"observer.priority": way.priority}) as it:
            told = run(it, seconds, way.rate)
    return Run(told, os.getloadavg()[0])


def table(way: Way, runs: Sequence[Run]) -> list[str]:
    """A way's runs, in Markdown."""
    names = [str(c["name"]) for c in CRITERIA]
    lines = [f"## {len(runs)} runs {way.name}", ""]
    lines += [
        "| run | load | compared | p50 production | p50 shadow | p50 control | shadow against "
        f"control | shadow against production | {' | '.join(names)} |",
        f"|---:|---:|---:|---:|---:|---:|---:|---:|{'---|' * len(names)}",
    ]
    for i, one in enumerate(runs, start=1):
        p50 = one.told.p50_ms
        states = one.told.states
        lines.append(
            f"| {i} | {one.load:.1f} | {one.told.compared:,} | {_ms(p50['production'])} "
            f"| {_ms(p50['shadow'])} | {_ms(p50.get('control'))} "
            f"| {_percent(one.change('shadow', 'control') if way.control else None)} "
            f"| {_percent(one.change('shadow', 'production'))} "
            f"| {' | '.join(states[name] for name in names)} |"
        )
    return [*lines, "", *summary(way, runs), ""]


def summary(way: Way, runs: Sequence[Run]) -> list[str]:
    """What the runs come to."""
    states = [state for one in runs for state in one.told.states.values()]
    against = "control" if way.control else "production"
    changes = [abs(c) for one in runs if (c := one.change("shadow", against)) is not None]
    within = sum(c <= 0.1 for c in changes)
    return [
        f"FAIL: {states.count('FAIL')} of {len(states)} criteria, in "
        f"{sum('FAIL' in one.told.states.values() for one in runs)} of {len(runs)} runs. "
        f"The shadow's shown p50 is apart from the {against}'s by {_percent(_median(changes))} at "
        f"the median and {_percent(max(changes, default=None))} at most; within 10 % in {within} "
        "runs."
    ]


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ms"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:+.1f} %"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.aa", description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="beside a control")
    parser.add_argument("--direct", type=int, default=5, help="of each way without one")
    parser.add_argument("--seconds", type=float, default=20.0, help="of one run")
    parser.add_argument("--out", type=Path, default=OUT)
    flags = parser.parse_args()
    about = describe()
    kept = ("Date", "Machine", "Commit", "Python", "grpcio")
    lines = [
        "# Two identical servers",
        "",
        "Production, shadow and control are the same server (grpcio, 5 ms a call), asked over "
        f"real sockets for {flags.seconds:g} s a run. Latency is judged in blocks of a second; "
        "without a control it is told to trust production's own. A FAIL says that two identical "
        "servers differ.",
        "",
        *(f"- {name}: {about[name]}" for name in kept),
        f"- Load when it began: {load_average()}",
        "",
    ]
    found: dict[Way, list[Run]] = {}
    for way in WAYS:
        found[way] = []
        for i in range(flags.runs if way.control else flags.direct):
            try:
                found[way].append(measure(way, flags.seconds))
            except ProcessError as error:  # no core for half a minute: told, and no run
                print(f"{way.name}: run {i + 1}: {error}", file=sys.stderr)
                continue
            states = found[way][-1].told.states
            failed = [name for name, state in states.items() if state == "FAIL"]
            print(f"{way.name}: run {i + 1}, FAIL: {failed or 'none'}", file=sys.stderr)
            tables = [line for way, runs in found.items() if runs for line in table(way, runs)]
            flags.out.write_text("\n".join([*lines, *tables]).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
