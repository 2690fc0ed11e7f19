"""results.md: every section in tables, medians with their spread, the targets first.

A spread is half the distance from the smallest to the largest repeat, as a share of the median.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmarks import capture
from benchmarks.builds import Build
from benchmarks.capture import Captured
from benchmarks.isolation import Isolation
from benchmarks.latency import Added, Latency
from benchmarks.load import size
from benchmarks.matrix import Matrix
from benchmarks.measure import Figure
from benchmarks.observer import ENVOY, OURS, PYTHON, WHOLE, Efficiency
from benchmarks.profile import Profile
from benchmarks.soak import Grown, Memory
from benchmarks.targets import MIB, Target

Row = Sequence[str]
BUILDS: Mapping[Build, str] = {"compiled": "compiled", "python": "as Python"}


def of_capture(found: Captured) -> Iterator[str]:
    """Capturing every call, and asking again."""
    yield "## Capture and replay"
    yield ""
    yield "Every call captured with its payloads, 8 x 1. CPU in microseconds: the wire's per call"
    yield f"at full speed, the observer's per compared call at {8 * capture.PACE} calls a second."
    yield ""
    rows = [
        (
            f"{size(payload)}, {name}",
            figure(cost.wire),
            figure(cost.rate),
            figure(cost.observer),
        )
        for payload, costs in found.costs.items()
        for name, cost in costs.items()
    ]
    yield from table(("", "wire", "calls/s", "observer"), rows)
    rows_of = [
        (size(payload), figure(found.offline[payload]), f"{found.size[payload]:.2f}")
        for payload in found.offline
    ]
    yield from table(("offline", "rows for each CPU second", "file over messages"), rows_of)
    yield f"Replay `max`: {figure(found.replay)} calls a second; h2load of the same grpcio server: "
    yield f"{figure(found.load)}. Peak memory of a replay of {found.rows:,} calls over that of a"
    yield f"fifth of them: {1 + found.growth:.2f}."
    yield ""


def table(head: Row, rows: Iterable[Row]) -> Iterator[str]:
    """A Markdown table: the first column is text, the others are figures."""
    yield "| " + " | ".join(head) + " |"
    yield "|---" + "|---:" * (len(head) - 1) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def number(value: float) -> str:
    """Three digits that matter."""
    if math.isnan(value):
        return "-"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def figure(of: Figure) -> str:
    """A median and its spread."""
    spread = f" ±{of.spread:.0%}" if len(of.values) > 1 else ""
    return number(of.median) + spread


def summary(met: Sequence[Target]) -> Iterator[str]:
    """Each target and what became of it."""
    yield "## Targets"
    yield ""
    held = sum(target.met for target in met)
    yield f"{held} of {len(met)} hold in this run."
    yield ""
    rows = (
        (t.what, f"{t.kind} {t.bound:g} {t.unit}".strip(), number(t.measured), t.verdict, t.beside)
        for t in met
    )
    yield from table(("target", "bound", "measured", "", "beside it"), rows)


def of_matrix(found: Matrix) -> Iterator[str]:
    """Throughput, CPU and memory."""
    yield "## Throughput and CPU per call"
    yield ""
    yield (
        "h2load, closed loop; production and shadow are nghttpd. CPU is in microseconds per call "
        "of production's, from the kernel's accounts: in production's path (for the sidecar the "
        "wire), and of everything that is not client or server (wire and observer, until the "
        "observer had nothing left to do). With both cores full, an observer at its default low "
        "priority gets what is left over; the share shadowed says how much that was. Memory is "
        "the peak of path and whole in MiB."
    )
    yield ""
    head = ("way", "calls/s", "CPU in path", "CPU of all", "shadowed", "memory", "failed")
    for payload in sorted({shape.payload for shape in found.shapes}):
        for shape in (s for s in found.shapes if s.payload == payload):
            yield f"### {shape.connections} x {shape.streams}, {size(payload)}"
            yield ""
            rows = []
            for way in found.ways:
                cell = found.table.get((way, shape))
                if cell is None:
                    continue
                rows.append(
                    (
                        way,
                        figure(cell.rate),
                        figure(cell.path_us),
                        figure(cell.all_us),
                        f"{cell.shadowed.median:.1%}" if cell.shadowed.values else "-",
                        f"{cell.peak_path / MIB:.0f} / {cell.peak / MIB:.0f}",
                        str(cell.failed),
                    )
                )
            yield from table(head, rows)


def of_latency(found: Latency) -> Iterator[str]:
    """Latency at a fixed rate."""
    yield "## Latency added over direct"
    yield ""
    yield (
        "k6 at a fixed rate; production and shadow are grpcio servers, the shadow running only "
        f"when nobody else wants a core. k6 and the server alone manage {found.capacity:.0f} calls "
        "a second on this machine and fill it: at half of that, whatever stands between competes "
        "with them for the cores, and what is added is mostly waiting for one; at a tenth there "
        "are cores to spare. "
        f"{found.seconds:g} s at a time; milliseconds; added is over the direct round of the same "
        "repeat; late are calls that were not begun because none of k6's clients was free."
    )
    yield ""
    head = ("way", "p50", "p99", "p99.9", "added p50", "added p99", "added p99.9", "failed", "late")
    for share, added in found.added.items():
        yield f"### {share:.0%} of capacity: {found.capacity * share:.0f} calls/s"
        yield ""
        yield from table(head, _latencies(added))


def _latencies(added: Mapping[str, Added]) -> Iterator[Row]:
    for name, way in added.items():
        yield (
            name,
            *(figure(f) for f in (way.p50, way.p99, way.p999)),
            *(number(f.median) for f in (way.added_p50, way.added_p99, way.added_p999)),
            str(way.failed),
            str(way.dropped),
        )


def of_isolation(found: Isolation) -> Iterator[str]:
    """Trouble behind the tap."""
    yield "## Isolation"
    yield ""
    yield (
        f"k6, {found.rate} calls a second (a quarter of what goes through the sidecar), "
        f"{found.seconds:g} s a case and repeat, every call shadowed. The ratio is p99 over "
        "that of the tee off (a sample of nothing) in the same repeat, the median over repeats. A "
        "case whose three repeats lie on both sides of the bound is repeated, six times at most."
    )
    yield ""
    head = (
        "case",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "p99 / tee off",
        "repeats",
        "calls",
        "failed",
        "late",
    )
    rows = (
        (
            name,
            *(figure(f) for f in (case.p50, case.p99, case.p999, case.ratio)),
            str(len(case.ratio.values)),
            str(case.calls),
            str(case.failed),
            str(case.dropped),
        )
        for name, case in found.cases.items()
    )
    yield from table(head, rows)


def of_observer(found: Efficiency) -> Iterator[str]:
    """Efficiency, profile, scale."""
    yield "## The observer"
    yield ""
    yield (
        "Calls for each CPU second: read, shadowed, compared (a 200-byte tensor of the Open "
        "Inference Protocol), counted, and a tenth of them told to a real collector; against "
        "Envoy's mirror, all of Envoy, which compares nothing. Here the observer does not step "
        "back (`observer.priority: normal`)."
    )
    yield ""
    yield from table(
        ("load", OURS, PYTHON, WHOLE, ENVOY, "observer / Envoy", "shadowed"),
        (
            (
                load,
                *(figure(who[name]) for name in (OURS, PYTHON, WHOLE, ENVOY)),
                f"{who[OURS].median / who[ENVOY].median:.2f}",
                f"{found.share[load].median:.0%}",
            )
            for load, who in found.per_cpu_second.items()
        ),
    )
    yield "### Where its time goes"
    yield ""
    for build, profile in found.profiles.items():
        if profile.why_not:
            yield f"py-spy could not look at the {BUILDS[build]} build: {profile.why_not}"
    yield (
        "8 x 1, microseconds of CPU for each compared call, by the innermost function of ours on "
        "py-spy's stacks. It stops the process to see compiled functions, so that their sum is too "
        "high; the shares are not."
    )
    yield ""
    yield from table(
        ("stage", *(f"{BUILDS[build]}, us (share)" for build in found.profiles)),
        _stages(list(found.profiles.values())),
    )
    yield "### With several observers"
    yield ""
    head = ("processes", "shadowed calls/s", "production's calls/s", "cores used", "machine busy")
    yield from table(
        head,
        (
            (
                str(processes),
                figure(cell.rate),
                figure(cell.production),
                figure(cell.observers),
                f"{cell.machine.median:.0%}",
            )
            for processes, cell in found.scale.items()
        ),
    )
    yield (
        "Client, production, wire, shadow and observers share this machine's cores: when the "
        "machine is busy to the brim, a second observer takes its time from the others, and "
        "production's rate falls by what the shadowed rate gains."
    )
    yield ""


def _stages(profiles: Sequence[Profile]) -> Iterator[Row]:
    """A row a stage, the dearest first, and their sums."""
    wholes = [sum(profile.stages.values()) or math.nan for profile in profiles]
    names = {name: None for profile in profiles for name in profile.stages}
    for name in names:
        us = [profile.stages.get(name, 0.0) for profile in profiles]
        yield name, *(f"{number(x)} ({x / w:.0%})" for x, w in zip(us, wholes, strict=True))
    yield "all", *(number(whole) for whole in wholes)


def of_memory(found: Memory) -> Iterator[str]:
    """Memory over time."""
    yield "## Memory"
    yield ""
    yield (
        f"{found.seconds:.0f} s of load (8 x 1, 16 KiB) with a shadow that never answers and a "
        f"breaker that never opens: {found.calls} calls, {found.failed} failed; the observer held "
        f"{found.held / MIB:.1f} MiB at the end. MiB resident."
    )
    yield ""

    def row(name: str, grown: Grown, buffers: int) -> Row:
        sizes = [number(x / MIB) for x in (grown.early, grown.late, grown.peak, buffers)]
        return (name, *sizes, number((grown.peak - buffers) / MIB))

    head = ("process", "first quarter", "last quarter", "peak", "buffers allowed", "peak less them")
    rows = [
        row("wire", found.wire, found.wire_buffers),
        row("observer", found.observer, found.observer_buffers),
    ]
    yield from table(head, rows)


def write(machine: Mapping[str, str], parts: Iterable[Iterator[str]], met: Sequence[Target]) -> str:
    """The whole page."""
    lines = ["# What it costs production", ""]
    lines += ["Written by `make bench`; everything below was measured in one run.", ""]
    lines += table(("", ""), machine.items())
    lines += ["![CPU per call in production's path](results.svg)", ""]
    lines += summary(met)
    for part in parts:
        lines += part
    return "\n".join(lines).rstrip() + "\n"
