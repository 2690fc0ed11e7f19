"""A report for a terminal, 80 columns wide.

Rule: the page's figures and units, no word broken, each call once, and no payload values, for a
terminal's lines are kept in logs. Counterparts: `build`, which
makes a report; `page`, for a browser; `look`, which calls come first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sidecar.judge.report import CriterionVerdict, SliceVerdict, Verdict
from sidecar.report import look, side_by_side
from sidecar.report.charts import between
from sidecar.report.distributions import psi_words
from sidecar.report.drift import Drift
from sidecar.report.figures import (
    OUTCOMES,
    UNKNOWN,
    against,
    count,
    instant,
    milliseconds,
    percent,
    significant,
    unit_of,
)
from sidecar.report.outlook import forecast_words
from sidecar.report.report import CallRow, Latency, OutputRow, Report, VersionRow

STYLES = {
    "PASS": "bold green",
    "FAIL": "bold red",
    "WATCHING": "bold yellow",
    "INCONCLUSIVE": "bold magenta",
}
SAID = {
    "PASS": "may replace production",
    "FAIL": "should not replace production",
    "WATCHING": "is not decided yet",
    "INCONCLUSIVE": "cannot be decided",
}
CALLS_SHOWN = 8
CONFUSED_SHOWN = 3
ALIKE_SHOWN = 3  # traces of calls that differ in the same way
OUTPUTS_SHOWN = 12
SLICES_SHOWN = 10
LONG = 40  # characters of what is not said twice
NAME = 30  # characters of a name
ID = 40  # of a call's


def render(report: Report) -> RenderableType:
    """Lay a report out."""
    return Group(*_sections(report))


def render_all(reports: Sequence[Report]) -> RenderableType:
    """Lay the reports of several candidates out, beside each other first."""
    if len(reports) < 2:
        return Group(*map(render, reports))
    table = _table("Candidates side by side", "", *(f">{report.shadow}" for report in reports))
    for title, cells in side_by_side.rows(reports):
        table.add_row(_cut(title), *map(_cell, cells))
    parts: list[RenderableType] = [table]
    for report in reports:
        parts += [Text(), render(report)]
    return Group(*parts)


def line(report: Report) -> str:
    """The verdict in one line."""
    verdict = report.verdict
    name = f" {report.shadow}:" if report.shadow else ""
    return f"{verdict.state}{name} {verdict.reason} ({_basis(report)})"


def _basis(report: Report) -> str:
    verdict = report.verdict
    sidecars = verdict.judges
    coverage = "unknown" if verdict.coverage is None else _plain(percent(verdict.coverage))
    inputs = verdict.distinct_inputs
    worth = "" if inputs is None else f" worth {count(inputs)} distinct inputs"
    return (
        f"{verdict.calls:,} calls{worth}, coverage {coverage}, "
        f"{sidecars} sidecar{'' if sidecars == 1 else 's'}"
    )


def _sections(report: Report) -> Iterator[RenderableType]:
    verdict = report.verdict
    who = f"  {report.shadow or 'the shadow'} {SAID[verdict.state]}"
    yield Text.assemble((verdict.state, STYLES[verdict.state]), who, style="bold")
    yield Text(f"{verdict.reason}\n{_basis(report)}")
    if (found := report.forecast) is not None:
        unit = unit_of(next(c.unit for c in verdict.criteria if c.name == found.criterion))
        yield Text(f"Forecast of {found.criterion}: {_plain(forecast_words(found, unit))}")
    for notice in report.notices:
        yield Text(f"! {notice}", style="yellow")
    if verdict.criteria:
        yield Text()
        yield from _criteria(verdict)
    if verdict.slices:
        yield Text()
        yield from _slices(verdict)
    if any(row.differ for row in report.outputs):
        yield Text()
        yield from _outputs(report.outputs)
    if report.drift.outputs or report.drift.inputs:
        yield Text()
        yield from _drift(report.drift)
    if len(report.versions) > 1:
        yield Text()
        yield from _versions(report.versions)
    if report.latency.production.count:
        yield Text()
        yield _latency(report.latency)
    if report.worst:
        yield Text()
        yield from _calls(report)
    left_out = [row for row in report.sidecars if not row.counted]
    if left_out:
        names = ", ".join(row.source or row.instance for row in left_out)
        yield Text(f"\nNot counted, for other versions or rules: {names}", style="yellow")
    if report.service is not None:
        facts = report.service
        yield Text(
            f"\nOf the collector of {', '.join(facts.names)}: {facts.answering:,} answer, "
            f"{facts.gone:,} are gone and still count; attempt {facts.attempt}",
            style="dim",
        )
    for address, why in report.missing.items():
        yield Text(f"Could not be asked: {address}: {why}", style="yellow")


def _table(title: str, *columns: str) -> Table:
    """A table; a column whose name begins with ">" is about numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.removeprefix(">"), justify="right" if right else "left")
    return table


def _criteria(verdict: Verdict) -> Iterator[RenderableType]:
    decided = any(row.decided_unix for row in verdict.criteria)
    heads = [">decided on", ">now"] if decided else [">estimate"]
    table = _table("Criteria", "", "", *heads, ">margin", ">calls")
    for row in verdict.criteria:
        unit = unit_of(row.unit)
        then = _plain(unit(row.decided_estimate)) if row.decided_unix else ""
        table.add_row(
            _cut(row.name) + ("" if row.required else " (informative)"),
            Text(row.state, style=STYLES[row.state]),
            *([then] if decided else []),
            _plain(unit(row.estimate)),
            _plain(unit_of(row.unit)(row.margin)),
            count(row.n),
        )
    yield table
    told: set[str] = set()
    for row in verdict.criteria:
        if said := _once(_why(row), told):
            yield Padding(Text(f"{row.name}: {said}", style="dim"), (0, 0, 0, 2))
    for line_ in verdict.evidence:
        yield Padding(
            Text(f"Evidence of {line_}" if ":" in line_ else line_, style="dim"), (0, 0, 0, 2)
        )


def _once(reason: str, told: set[str]) -> str:
    """A reason without what was said after a semicolon of a reason before."""
    first, *rest = reason.split("; ")
    new = [part for part in rest if len(part) < LONG or part not in told]
    told.update(rest)
    return "; ".join([first, *new])


def _why(row: CriterionVerdict) -> str:
    """A criterion's reason, or where it can be."""
    if row.reason:
        return row.reason
    return _plain(between(row.interval, unit_of(row.unit))) if row.interval else ""


def _slices(verdict: Verdict) -> Iterator[RenderableType]:
    criteria = {c.name: c for c in verdict.criteria}
    # What stands for nothing by itself comes last.
    rows = sorted(verdict.slices, key=lambda s: look.is_other(s.slice))
    table = _table("Where it differs", "", "", "", ">estimate", ">of calls")
    for row in rows[:SLICES_SHOWN]:
        table.add_row(
            _cut(row.slice),
            _cut(row.criterion),
            Text("worse", style=STYLES["FAIL"]) if row.flagged else "",
            _estimate(row, criteria.get(row.criterion)),
            _plain(percent(row.share)),
        )
    yield table
    yield from _more(len(rows) - SLICES_SHOWN)


def _estimate(row: SliceVerdict, criterion: CriterionVerdict | None) -> str:
    unit = unit_of(criterion.unit if criterion is not None else "")
    return _plain(unit(row.estimate))


def _versions(rows: Sequence[VersionRow]) -> Iterator[RenderableType]:
    title = "Versions; verdict and gate are about the first"
    table = _table(title, "production", "shadow", "", ">calls", ">attempt")
    for row in rows:
        table.add_row(
            _cut(row.production) or UNKNOWN,
            _cut(row.shadow) or UNKNOWN,
            Text(row.state, style=STYLES[row.state]),
            count(row.calls),
            str(row.attempt or UNKNOWN),
        )
    yield table
    for row in rows:
        if row.reason:
            said = f"{row.shadow or UNKNOWN}: {row.reason}"
            yield Padding(Text(said, style="dim"), (0, 0, 0, 2))


def _outputs(outputs: Sequence[OutputRow]) -> Iterator[RenderableType]:
    differing = [row for row in outputs if row.differ]
    table = _table("Outputs", "", ">agree", ">differ", ">largest", "how")
    for row in differing[:OUTPUTS_SHOWN]:
        how = ", ".join(f"{OUTCOMES.get(name, name)} {n:,}" for name, n in row.how.items())
        table.add_row(
            _cut(row.name) + (" (noise?)" if row.noise else ""),
            count(row.agree),
            count(row.differ),
            significant(row.largest),
            how,
        )
    yield table
    yield from _more(len(differing) - OUTPUTS_SHOWN)


def _drift(drift: Drift) -> Iterator[RenderableType]:
    rows = [(row, "") for row in drift.outputs[:OUTPUTS_SHOWN]]
    rows += [(row, " (input, over time)") for row in drift.inputs[:OUTPUTS_SHOWN]]
    table = _table("How values are distributed", "", "", ">PSI", ">Wasserstein", ">values")
    for row, what in rows:
        table.add_row(
            _cut(row.name) + what,
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


def _latency(latency: Latency) -> Table:
    sides = [("production", latency.production), ("shadow", latency.shadow)]
    if latency.control.count:
        sides.append(("control", latency.control))
    # Who met the deadline is beyond every quantile, and clipped in the mean.
    late = [">met deadline"] if any(side.endless for _, side in sides) else []
    table = _table("Latency of the same calls", "", ">p50", ">p95", ">p99", ">mean", *late)
    for name, side in sides:
        figures = (side.p50_ms, side.p95_ms, side.p99_ms, side.mean_ms)
        table.add_row(
            name,
            *(_plain(milliseconds(figure)) for figure in figures),
            *(count(side.endless) for _ in late),
        )
    a, b = latency.production, latency.shadow
    apart = (
        (b.p50_ms, a.p50_ms),
        (b.p95_ms, a.p95_ms),
        (b.p99_ms, a.p99_ms),
        (b.mean_ms, a.mean_ms),
    )
    table.add_row("apart", *(_plain(against(value, base)) for value, base in apart))
    return table


def _calls(report: Report) -> Iterator[RenderableType]:
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
    yield from _more(len(alike) - CALLS_SHOWN)


def _difference(row: CallRow, noise: frozenset[str]) -> str:
    if not row.outputs:
        said = OUTCOMES.get(row.outcome, row.outcome)
        return f"{said}: {row.detail}" if row.detail else said
    outputs, left = look.telling(row, noise)
    told = [
        f"{_cut(output.name)}: {OUTCOMES.get(output.outcome, output.outcome)} "
        f"({significant(output.score)})"
        for output in outputs
    ]
    if left:
        told.append(f"{left} that {'look' if left > 1 else 'looks'} like noise")
    return "; ".join(told)


def _more(left: int) -> Iterator[RenderableType]:
    if left > 0:
        yield Padding(Text(f"{left:,} more; --html FILE has them", style="dim"), (0, 0, 0, 2))


def _cell(cell: side_by_side.Cell) -> Text:
    said = Text(_plain(cell.said))
    if cell.state:
        said = Text.assemble((cell.state, STYLES[cell.state]), " " if cell.said else "", said)
    return said


def _cut(name: str) -> str:
    return name if len(name) <= NAME else f"{name[: NAME - 1]}\u2026"


def _plain(said: str) -> str:
    """Without the page's narrow space, which terminals draw as they like."""
    return said.replace("\u202f", " ")
