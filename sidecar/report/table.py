"""A report for a terminal, 80 columns wide: the whole of it, and the verdict.

Rule: the page's figures and units, no word broken, each call once, and no payload values, for a
terminal's lines are kept in logs. Counterparts: `build`, which
makes a report; `page`, for a browser; `table_traffic` and `table_parts`, which the rest is made of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from sidecar.judge.report import CriterionVerdict, SliceVerdict, Verdict
from sidecar.report import look, side_by_side
from sidecar.report.charts import between
from sidecar.report.figures import (
    UNKNOWN,
    count,
    percent,
    unit_of,
)
from sidecar.report.outlook import forecast_words
from sidecar.report.report import Report, VersionRow
from sidecar.report.table_parts import and_more, cut, grid, plain
from sidecar.report.table_traffic import calls_of, drift_of, latency_of, outputs_of

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
SLICES_SHOWN = 10
LONG = 40  # characters of what is not said twice


def render(report: Report) -> RenderableType:
    """Lay a report out."""
    return Group(*_sections(report))


def render_all(reports: Sequence[Report]) -> RenderableType:
    """Lay the reports of several candidates out, beside each other first."""
    if len(reports) < 2:
        return Group(*map(render, reports))
    table = grid("Candidates side by side", "", *(f">{report.shadow}" for report in reports))
    for title, cells in side_by_side.rows(reports):
        table.add_row(cut(title), *map(_cell, cells))
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
    coverage = "unknown" if verdict.coverage is None else plain(percent(verdict.coverage))
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
        yield Text(f"Forecast of {found.criterion}: {plain(forecast_words(found, unit))}")
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
        yield from outputs_of(report.outputs)
    if report.drift.outputs or report.drift.inputs:
        yield Text()
        yield from drift_of(report.drift)
    if len(report.versions) > 1:
        yield Text()
        yield from _versions(report.versions)
    if report.latency.production.count:
        yield Text()
        yield latency_of(report.latency)
    if report.worst:
        yield Text()
        yield from calls_of(report)
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


def _criteria(verdict: Verdict) -> Iterator[RenderableType]:
    decided = any(row.decided_unix for row in verdict.criteria)
    heads = [">decided on", ">now"] if decided else [">estimate"]
    table = grid("Criteria", "", "", *heads, ">margin", ">calls")
    for row in verdict.criteria:
        unit = unit_of(row.unit)
        then = plain(unit(row.decided_estimate)) if row.decided_unix else ""
        table.add_row(
            cut(row.name) + ("" if row.required else " (informative)"),
            Text(row.state, style=STYLES[row.state]),
            *([then] if decided else []),
            plain(unit(row.estimate)),
            plain(unit_of(row.unit)(row.margin)),
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
    return plain(between(row.interval, unit_of(row.unit))) if row.interval else ""


def _slices(verdict: Verdict) -> Iterator[RenderableType]:
    criteria = {c.name: c for c in verdict.criteria}
    # What stands for nothing by itself comes last.
    rows = sorted(verdict.slices, key=lambda s: look.is_other(s.slice))
    table = grid("Where it differs", "", "", "", ">estimate", ">of calls")
    for row in rows[:SLICES_SHOWN]:
        table.add_row(
            cut(row.slice),
            cut(row.criterion),
            Text("worse", style=STYLES["FAIL"]) if row.flagged else "",
            _estimate(row, criteria.get(row.criterion)),
            plain(percent(row.share)),
        )
    yield table
    yield from and_more(len(rows) - SLICES_SHOWN)


def _estimate(row: SliceVerdict, criterion: CriterionVerdict | None) -> str:
    unit = unit_of(criterion.unit if criterion is not None else "")
    return plain(unit(row.estimate))


def _versions(rows: Sequence[VersionRow]) -> Iterator[RenderableType]:
    title = "Versions; verdict and gate are about the first"
    table = grid(title, "production", "shadow", "", ">calls", ">attempt")
    for row in rows:
        table.add_row(
            cut(row.production) or UNKNOWN,
            cut(row.shadow) or UNKNOWN,
            Text(row.state, style=STYLES[row.state]),
            count(row.calls),
            str(row.attempt or UNKNOWN),
        )
    yield table
    for row in rows:
        if row.reason:
            said = f"{row.shadow or UNKNOWN}: {row.reason}"
            yield Padding(Text(said, style="dim"), (0, 0, 0, 2))


def _cell(cell: side_by_side.Cell) -> Text:
    said = Text(plain(cell.said))
    if cell.state:
        said = Text.assemble((cell.state, STYLES[cell.state]), " " if cell.said else "", said)
    return said
