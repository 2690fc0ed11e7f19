"""Pairs of versions on the page, where there are several. Pure.

Rule: the headline is about the first row and says so; the others keep what they were found to be.
Counterparts: `sections`, the headline; `version_rows`, which makes the rows.
"""

from __future__ import annotations

from sidecar.report.figures import count, instant
from sidecar.report.layout import chip, section, table
from sidecar.report.markup import Child, tag
from sidecar.report.report import Report

UNKNOWN = "not told"


def versions(report: Report) -> Child:
    """Each pair of versions that was seen, under each set of rules, with its verdict."""
    if len(report.versions) < 2:
        return None
    rows = [
        tag(
            "tr",
            tag("td", row.production or UNKNOWN),
            tag("td", row.shadow or UNKNOWN),
            tag("td", chip(row.state)),
            tag("td", count(row.calls), class_="number"),
            tag("td", row.reason),
            tag("td", count(row.attempt) if row.attempt else "", class_="number"),
            tag("td", _since(row.began)),
            tag("td", tag("code", row.rules[:8])),
        )
        for row in report.versions
    ]
    heads = ["Production", "Shadow", "Verdict", "#Calls", "Reason", "#Attempt", "Since", "Rules"]
    return section(
        "versions",
        "Versions",
        table(heads, rows, "Pairs of versions"),
        note="The verdict above, and the gate, are about the first row: the versions that came up "
        "last. What was decided of another pair stands for that pair.",
    )


def _since(unix_seconds: float) -> str:
    moment = instant(unix_seconds)
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"
