"""The service on the page: who takes part, who does not, and every verdict there was. Pure.

Rule: only a collector's report has this section. Counterparts: `sections`, the others;
`collect.service`, which knows.
"""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.report.figures import count, instant, span
from sidecar.report.layout import chip, section, table
from sidecar.report.markup import Child, tag
from sidecar.report.report import Report, ServiceFacts

HISTORY_SHOWN = 30


def service(report: Report) -> Child:
    """Who takes part, and the verdict's history."""
    facts = report.service
    if facts is None:
        return None
    rows = [
        tag(
            "tr",
            tag("td", _instant(change.unix_seconds)),
            tag("td", chip(change.state)),
            tag("td", count(change.calls), class_="number"),
            tag("td", change.reason),
            tag("td", tag("code", change.experiment[:8])),
        )
        for change in facts.history[:HISTORY_SHOWN]
    ]
    heads = ["When", "Verdict", "#Calls", "Reason", "Experiment"]
    return section(
        "service",
        "Service",
        tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in _facts(facts)]),
        _listed("Saw no call:", dict.fromkeys(facts.silent, "")),
        _listed("Asked for, and not injected:", facts.not_injected),
        table(heads, rows, "Verdicts there were") if rows else None,
        note=f"Added up by a collector that asks {', '.join(facts.names)}.",
    )


def _facts(facts: ServiceFacts) -> list[tuple[str, str]]:
    found = [
        ("Sidecars that answer", count(facts.answering)),
        ("Gone, and still counted", count(facts.gone)),
        ("Asked", "never" if facts.staleness_seconds is None
         else f"{span(facts.staleness_seconds)} ago"),
    ]  # fmt: skip
    if facts.experiment:
        found.append(("Experiment", f"{facts.experiment[:8]}, attempt {facts.attempt}"))
    return found


def _listed(title: str, rows: Mapping[str, str]) -> Child:
    if not rows:
        return None
    items = [tag("li", tag("code", name), f": {why}" if why else "") for name, why in rows.items()]
    return tag("div", tag("p", title), tag("ul", items), class_="missing")


def _instant(unix_seconds: float) -> str:
    moment = instant(unix_seconds)
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
