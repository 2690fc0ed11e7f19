"""`python -m benchmarks [--quick]`: what a mirror costs production, side by side in one run.

Writes benchmarks/results.md and benchmarks/results.svg. Everything is real: h2load, k6, nghttpd, a
grpcio server, an OTLP collector, Envoy with one worker, nginx, HAProxy. results.md says what each
section measures and which targets hold.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks import capture, isolation, latency, matrix, observer, plot, report, soak, targets
from benchmarks.account import Quiet
from benchmarks.builds import is_built
from benchmarks.machine import describe, install, load_average, missing
from benchmarks.targets import Target
from tests.collector import Collector

OUT = Path(__file__).with_name("results.md")
SECTIONS = ("matrix", "latency", "isolation", "observer", "capture", "memory")
PATIENCE, QUICK_PATIENCE = 120.0, 10.0  # seconds to wait for others to be done, all in all
Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Part:
    """One section: its page and its targets."""

    text: list[str]
    targets: list[Target]


def main() -> int:
    """Run the benchmarks; the exit code says whether they ran, not whether targets were met."""
    # Ended from outside, it ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    flags = _flags()
    console = Console(stderr=True)
    install(console.print)
    lacking = missing() + ([] if is_built() else ["the compiled build: make compiled"])
    if lacking:
        console.print("These are needed and not found:\n" + "\n".join(lacking), style="red")
        return 2
    began, load = time.monotonic(), load_average()
    parts: list[Part] = []
    quiet = Quiet(QUICK_PATIENCE if flags.quick else PATIENCE)
    with Collector() as collector, _progress(console, len(flags.only)) as step:
        for name in flags.only:
            parts.append(_run(name, partial(step, name), collector, quiet, flags))
            step("", "")
            # After each section: what was measured is there, whatever happens to the next.
            machine = {
                **describe(),
                "Command": "make bench-quick" if flags.quick else "make bench",
                "Sections": ", ".join(flags.only[: len(parts)]),
                "Took": f"{time.monotonic() - began:.0f} s; load average before {load}, "
                f"after {load_average()}",
                "Others at work": f"waited {quiet.waited:.0f} s for a quiet machine; of "
                f"{quiet.looks} measurements {quiet.noisy} began without one",
            }
            met = [target for part in parts for target in part.targets]
            text = report.write(machine, (iter(part.text) for part in parts), met)
            flags.out.write_text(text, encoding="utf-8")
    console.print("\n".join(report.summary(met)))
    console.print(f"Written: {flags.out} ({time.monotonic() - began:.0f} s)")
    return 0


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows and repeats, under 2 min")
    parser.add_argument(
        "--only", action="append", choices=SECTIONS, help="only this section (repeatable)"
    )
    parser.add_argument("--soak-seconds", type=float, help="how long the memory section loads")
    parser.add_argument("--out", type=Path, help="where to write; the plot goes beside it")
    flags = parser.parse_args()
    flags.only = flags.only or list(SECTIONS)
    flags.out = flags.out or (OUT.with_name("quick.md") if flags.quick else OUT)
    flags.soak_seconds = flags.soak_seconds or (4.0 if flags.quick else 60.0)
    return flags


def _run(
    name: str, step: Step, collector: Collector, quiet: Quiet, flags: argparse.Namespace
) -> Part:
    quick = flags.quick
    env: Mapping[str, str] = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
    }
    match name:
        case "matrix":
            cells = matrix.run(step, env, quiet, quick=quick)
            flags.out.with_suffix(".svg").write_text(plot.draw(cells), encoding="utf-8")
            return _part(report.of_matrix(cells), targets.of_matrix(cells))
        case "latency":
            added = latency.run(step, env, quiet, quick=quick)
            return _part(report.of_latency(added), targets.of_latency(added))
        case "isolation":
            suffered = isolation.run(step, quiet, quick=quick)
            return _part(report.of_isolation(suffered), targets.of_isolation(suffered))
        case "observer":
            work = observer.run(step, env, quiet, quick=quick)
            met = [*targets.of_observer(work), *targets.of_scale(work)]
            return _part(report.of_observer(work), iter(met))
        case "capture":
            kept = capture.run(step, env, quiet, quick=quick)
            return _part(report.of_capture(kept), targets.of_capture(kept))
        case _:
            memory = soak.run(step, flags.soak_seconds)
            return _part(report.of_memory(memory), targets.of_memory(memory))


def _part(text: Iterator[str], met: Iterator[Target]) -> Part:
    return Part(list(text), list(met))


@contextmanager
def _progress(console: Console, sections: int) -> Iterator[Callable[[str, str], None]]:
    """A bar; it is told the section and what is measured, and both empty when one is done."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=sections)

        def step(name: str, what: str) -> None:
            if name:
                progress.update(task, description=f"{name}: {what}")
            else:
                progress.advance(task)

        yield step


if __name__ == "__main__":
    sys.exit(main())
