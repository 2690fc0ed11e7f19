"""Several candidates beside each other: what each is to be judged by, a column for each. Pure.

Rule: nothing is decided here; every figure stands in the candidate's own report too.
Counterparts: `page` and `table`, which put this before the report of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from sidecar.judge.report import CriterionVerdict
from sidecar.report.figures import UNKNOWN, against, count, milliseconds, percent, unit_of
from sidecar.report.layout import chip, row_head, section, table
from sidecar.report.markup import Child, Markup, tag
from sidecar.report.report import Report

MOST = 8  # candidates in one table


@dataclass(frozen=True, slots=True)
class Cell:
    """One candidate's figure, and how it stands; "" for no state."""

    said: str
    more: str = ""
    state: str = ""


def rows(reports: Sequence[Report]) -> list[tuple[str, list[Cell]]]:
    """What is compared, by name, with a cell for each candidate."""
    names: dict[str, bool] = {}
    for report in reports:
        for criterion in report.verdict.criteria:
            names[criterion.name] = names.get(criterion.name, False) or criterion.required
    ordered = sorted(names, key=lambda name: not names[name])
    found = [("Verdict", [Cell("", state=r.verdict.state.value) for r in reports])]
    for name in ordered:
        title = name if names[name] else f"{name} (informative)"
        found.append((title, [_criterion(report, name) for report in reports]))
    found.append(("Calls", [Cell(count(r.verdict.calls)) for r in reports]))
    found.append(("Coverage", [Cell(percent(r.verdict.coverage)) for r in reports]))
    found.append(("p95", [_latency(report) for report in reports]))
    return found


def _criterion(report: Report, name: str) -> Cell:
    one: CriterionVerdict | None = next(
        (c for c in report.verdict.criteria if c.name == name), None
    )
    if one is None:
        return Cell(UNKNOWN)
    unit = unit_of(one.unit)
    return Cell(unit(one.estimate), f"margin {unit(one.margin)}", one.state.value)


def _latency(report: Report) -> Cell:
    ours, theirs = report.latency.production, report.latency.shadow
    if not theirs.count or theirs.p95_ms is None:
        return Cell(UNKNOWN)
    return Cell(milliseconds(theirs.p95_ms), against(theirs.p95_ms, ours.p95_ms))


def as_section(reports: Sequence[Report], chosen: str) -> Child:
    """The page's part; None where there is only one candidate."""
    if len(reports) < 2:
        return None
    shown = reports[:MOST]
    heads = ["", *(report.shadow for report in shown)]
    return section(
        "candidates",
        "Candidates",
        table(
            heads,
            [
                tag("tr", row_head(title), [_cell(cell) for cell in cells])
                for title, cells in rows(shown)
            ],
            "Candidates side by side",
            "candidates",
        ),
        tag("p", _links(shown, chosen), class_="note"),
    )


def _links(reports: Sequence[Report], chosen: str) -> Child:
    parts: list[Child] = ["The rest of the page is about ", tag("b", chosen), "; see "]
    others = [report.shadow for report in reports if report.shadow != chosen]
    for place, name in enumerate(others):
        parts += [", " if place else None]
        parts.append(tag("a", name, href=f"?{urlencode({'shadow': name}, errors='replace')}"))
    return [*parts, "."]


def _cell(cell: Cell) -> Markup:
    return tag(
        "td",
        chip(cell.state) if cell.state else None,
        tag("span", cell.said, class_="figure") if cell.said else None,
        tag("span", cell.more, class_="more") if cell.more else None,
    )
