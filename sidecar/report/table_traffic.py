"""A report for a terminal: what the calls themselves tell.

Rule: as for `table`, which puts it below the verdict. Counterparts: `traffic`, the same for a
browser; `look`, which calls come first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sidecar.report import look
from sidecar.report.distributions import psi_words
from sidecar.report.drift import Drift
from sidecar.report.figures import (
    OUTCOMES,
    UNKNOWN,
    against,
    count,
    instant,
    milliseconds,
    significant,
)
from sidecar.report.report import CallRow, Latency, OutputRow, Report
from sidecar.report.table_parts import and_more, cut, grid, plain

CALLS_SHOWN = 8
CONFUSED_SHOWN = 3
ALIKE_SHOWN = 3  # traces of calls that differ in the same way
OUTPUTS_SHOWN = 12
ID = 40  # characters of a call's


def outputs_of(outputs: Sequence[OutputRow]) -> Iterator[RenderableType]:
    """The outputs that differ, how often and how."""
    differing = [row for row in outputs if row.differ]
    table = grid("Outputs", "", ">agree", ">differ", ">largest", "how")
    for row in differing[:OUTPUTS_SHOWN]:
        how = ", ".join(f"{OUTCOMES.get(name, name)} {n:,}" for name, n in row.how.items())
        table.add_row(
            cut(row.name) + (" (noise?)" if row.noise else ""),
            count(row.agree),
            count(row.differ),
            significant(row.largest),
            how,
        )
    yield table
    yield from and_more(len(differing) - OUTPUTS_SHOWN)


def drift_of(drift: Drift) -> Iterator[RenderableType]:
    """How values are distributed on both sides, and what was taken for what."""
    rows = [(row, "") for row in drift.outputs[:OUTPUTS_SHOWN]]
    rows += [(row, " (input, over time)") for row in drift.inputs[:OUTPUTS_SHOWN]]
    table = grid("How values are distributed", "", "", ">PSI", ">Wasserstein", ">values")
    for row, what in rows:
        table.add_row(
            cut(row.name) + what,
            psi_words(row),
            UNKNOWN if row.psi is None else significant(row.psi, 2),
            UNKNOWN if row.wasserstein is None else significant(row.wasserstein),
            count(min(row.n)),
        )
    yield table
    for found in drift.confusions:
        pairs = [
            (n, found.classes[i], found.classes[j])
            for i, line_ in enumerate(found.counts)
            for j, n in enumerate(line_)
            if i != j and n
        ]
        most = sorted(pairs, reverse=True)[:CONFUSED_SHOWN]
        if most:
            told = ", ".join(f"{a} became {b} {n:,} times" for n, a, b in most)
            yield Padding(Text(f"{found.criterion}: {told}", style="dim"), (0, 0, 0, 2))


def latency_of(latency: Latency) -> Table:
    """Each side's latency, and how far they are apart."""
    sides = [("production", latency.production), ("shadow", latency.shadow)]
    if latency.control.count:
        sides.append(("control", latency.control))
    # Who met the deadline is beyond every quantile, and clipped in the mean.
    late = [">met deadline"] if any(side.endless for _, side in sides) else []
    table = grid("Latency of the same calls", "", ">p50", ">p95", ">p99", ">mean", *late)
    for name, side in sides:
        figures = (side.p50_ms, side.p95_ms, side.p99_ms, side.mean_ms)
        table.add_row(
            name,
            *(plain(milliseconds(figure)) for figure in figures),
            *(count(side.endless) for _ in late),
        )
    a, b = latency.production, latency.shadow
    apart = (
        (b.p50_ms, a.p50_ms),
        (b.p95_ms, a.p95_ms),
        (b.p99_ms, a.p99_ms),
        (b.mean_ms, a.mean_ms),
    )
    table.add_row("apart", *(plain(against(value, base)) for value, base in apart))
    return table


def calls_of(report: Report) -> Iterator[RenderableType]:
    """The calls to look at, those that differ alike once."""
    yield Text("Calls to look at", style="bold")
    found = look.groups(report)
    every = [(row, criterion, part) for criterion, part, rows in found for row in rows]
    named = {
        id(row): f"{criterion} in {part}" if part else criterion for row, criterion, part in every
    }
    noise = look.noise_of(report)
    alike: dict[str, list[CallRow]] = {}
    for row in look.once(row for row, _, _ in every):
        alike.setdefault(_difference(row, noise), []).append(row)
    for said, rows in list(alike.items())[:CALLS_SHOWN]:
        row, more = rows[0], f"; {len(rows) - 1:,} more like it" if len(rows) > 1 else ""
        moment = instant(row.unix_seconds)
        when = "" if moment is None else f"{moment:%H:%M:%S} UTC, "
        trace = row.shadow_trace_id or row.trace_id
        name = row.correlation_id[:ID] if row.correlation_id != trace else ""
        yield Text(f"{name or 'a call'}, {when}{named[id(row)]}{more}")
        yield Padding(Text(said), (0, 0, 0, 2))
        ids = [row.shadow_trace_id or row.trace_id for row in rows[:ALIKE_SHOWN]]
        for trace in filter(None, ids):
            yield Padding(Text(f"trace {trace}", style="dim"), (0, 0, 0, 2))
    yield from and_more(len(alike) - CALLS_SHOWN)


def _difference(row: CallRow, noise: frozenset[str]) -> str:
    if not row.outputs:
        said = OUTCOMES.get(row.outcome, row.outcome)
        return f"{said}: {row.detail}" if row.detail else said
    outputs, left = look.telling(row, noise)
    told = [
        f"{cut(output.name)}: {OUTCOMES.get(output.outcome, output.outcome)} "
        f"({significant(output.score)})"
        for output in outputs
    ]
    if left:
        told.append(f"{left} that {'look' if left > 1 else 'looks'} like noise")
    return "; ".join(told)
