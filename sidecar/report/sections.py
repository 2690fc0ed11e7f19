"""The parts of the page that are about the verdict and its evidence. Pure.

Rule: a section about which nothing is known is left out, and only the first says why. Counterparts:
`traffic`, the parts about single calls and their fates; `page`, which puts them together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.report import charts
from sidecar.report.figures import (
    Formatter,
    about,
    against,
    count,
    milliseconds,
    percent,
    span,
    unit_of,
)
from sidecar.report.markup import Child, Markup, tag

Report = Mapping[str, Any]
Row = Mapping[str, Any]

SIGNS = {"PASS": "M5 10.5l3.5 3.5L15 7", "FAIL": "M6 6l8 8M14 6l-8 8",
         "WATCHING": "M10 5v5l3.5 2", "INCONCLUSIVE": "M5.5 10h9"}  # fmt: skip
"""A sign for each state, so that colour is not all there is."""

_NAMED = 5  # slices in the headline
_FIRST_SLICES = 6  # shown at once, with those that are worse

MEANING = {
    "PASS": "may replace production",
    "FAIL": "should not replace production",
    "WATCHING": "not decided yet",
    "INCONCLUSIVE": "cannot be decided",
}


def section(name: str, title: str, *children: Child, note: Child = None) -> Markup:
    """One part of the page, under its heading."""
    return tag(
        "section",
        tag("h2", title, id=f"{name}-title"),
        tag("p", note, class_="note") if note else None,
        children,
        id=name,
        aria_labelledby=f"{name}-title",
    )


def table(heads: Sequence[str], rows: Child, label: str, class_: str = "") -> Markup:
    """A table that scrolls sideways where the screen is narrow.

    Args:
        heads: of the columns; one that begins with "#" is about numbers.
        rows: `tr` elements.
        label: what the table is about, for those who do not see it.
        class_: of the table.
    """
    cells = [
        tag("th", h.removeprefix("#"), scope="col", class_="number" if h[:1] == "#" else None)
        for h in heads
    ]
    return tag(
        "div",
        tag(
            "table",
            tag("thead", tag("tr", cells)),
            tag("tbody", rows),
            class_=class_ or None,
            aria_label=label,
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=label,
    )


def chip(state: str) -> Markup:
    """A state as a small label."""
    return tag("span", sign(state, 14), state, class_=f"chip {_tone(state)}")


def sign(state: str, size: int) -> Markup:
    """A state's sign in a circle."""
    return tag(
        "svg",
        tag("circle", cx=10, cy=10, r=9),
        tag("path", d=SIGNS.get(state, SIGNS["INCONCLUSIVE"])),
        class_="sign",
        viewBox="0 0 20 20",
        width=size,
        height=size,
        aria_hidden="true",
    )


def _tone(state: str) -> str:
    return state.lower() if state in SIGNS else "inconclusive"


# ---- the verdict -------------------------------------------------------------------------------


def verdict(report: Report) -> Markup:
    """What was decided, why, and on how much."""
    found = report["verdict"]
    declared = report.get("declared") or {}
    state = found["state"]
    return tag(
        "section",
        tag(
            "div",
            sign(state, 44),
            tag(
                "div",
                tag("h1", state, tag("span", MEANING.get(state), class_="meaning")),
                tag("p", found["reason"], class_="reason"),
                _worse(found),
            ),
            class_="headline",
        ),
        tag("dl", [tag("div", tag("dt", name), tag("dd", value), tag("dd", more, class_="more"))
                   for name, value, more in _facts(report, found, declared)]),
        tag("p", "The shadow has ended: its budget of calls or time is used up.", class_="ended")
        if found.get("ended")
        else None,
        _missing(report.get("missing") or {}),
        id="verdict",
        class_=f"verdict {_tone(state)}",
        aria_label="Verdict",
    )  # fmt: skip


def _worse(found: Row) -> Child:
    """Where to look first."""
    names = list(dict.fromkeys(s["slice"] for s in found.get("slices") or () if s["flagged"]))
    if not names:
        return None
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    shown = ", ".join(name.replace("=", " ", 1) for name in names[:_NAMED])
    return tag("p", "Worse in ", tag("b", shown), more, class_="worse")


def _facts(report: Report, found: Row, declared: Row) -> list[tuple[str, str, Child]]:
    least, floor = declared.get("min_calls", 1), declared.get("coverage_floor")
    minimum = declared.get("min_duration_seconds")
    judges = found.get("judges", 1)
    models = found.get("models") or {}
    sides = [(side, _models(models, side)) for side in ("production", "shadow")]
    budget = declared.get("max_calls")
    facts: list[tuple[str, str, Child]] = [
        (
            "Calls judged",
            count(found["calls"]),
            f"of at most {count(budget)}" if budget else f"at least {count(least)}",
        ),
        (
            "Coverage",
            percent(found["coverage"]),
            f"floor {percent(floor)}" if floor is not None else "",
        ),
        ("Watched for", span(found["elapsed_seconds"]), f"at least {span(minimum)}"
         if minimum else ""),
    ]  # fmt: skip
    facts += [(f"{side.capitalize()} model", text, "") for side, text in sides if text]
    if judges > 1 or found.get("left_out"):
        left = found.get("left_out", 0)
        facts.append(("Sidecars", count(judges), f"{left} left out" if left else "added together"))
    return facts


def _models(models: Mapping[str, str], side: str) -> str:
    named = [
        f"{key.removeprefix(side).strip()} {version}".strip()
        for key, version in sorted(models.items())
        if key.partition(" ")[0] == side
    ]
    return ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")


def _missing(missing: Mapping[str, str]) -> Child:
    if not missing:
        return None
    rows = [tag("li", tag("code", address), f": {why}") for address, why in missing.items()]
    return tag("div", tag("p", "Not heard:"), tag("ul", rows), class_="missing")


# ---- criteria and slices -----------------------------------------------------------------------


def _declared(report: Report) -> dict[str, Row]:
    declared = report.get("declared") or {}
    return {criterion["name"]: criterion for criterion in declared.get("criteria", ())}


def criteria(report: Report) -> Child:
    """Each criterion's interval against its margin."""
    found = report["verdict"].get("criteria") or ()
    if not found:
        return None
    declared = _declared(report)
    ordered = sorted(found, key=lambda c: not c["required"])
    alpha = (report.get("declared") or {}).get("alpha")
    error = f", with an error of {percent(alpha)}" if alpha else ""
    return section(
        "criteria",
        "Criteria",
        table(
            ["Criterion", "State", "Interval against margin", "#Estimate", "#Calls"],
            [_criterion(c, declared.get(c["name"], {})) for c in ordered],
            "Criteria",
            "judged",
        ),
        note=[
            "Left of the line is good enough, right of it is too much. ",
            f"Intervals hold however often you look{error}.",
        ],
    )


def _criterion(criterion: Row, declared: Row) -> Markup:
    unit = unit_of(criterion["kind"], declared)
    estimate = criterion["estimate"]
    far = charts.reach(criterion["margin"], estimate or 0.0, criterion["interval"])
    return tag(
        "tr",
        tag(
            "th",
            tag("span", criterion["name"], class_="name"),
            tag("span", about(criterion["kind"], declared), class_="more"),
            scope="row",
        ),
        tag(
            "td",
            chip(criterion["state"]),
            tag("span", "required" if criterion["required"] else "informative", class_="more"),
            class_="state",
        ),
        tag("td", _bar(criterion, declared, unit, far, criterion["state"]), class_="wide"),
        _estimate(estimate, criterion["interval"], unit),
        tag(
            "td",
            count(criterion["n"]),
            tag("span", _outlook(criterion), class_="more"),
            class_="number",
        ),
    )


def _bar(row: Row, declared: Row, unit: Formatter, far: float, state: str) -> Markup:
    both = row.get("kind") == "bias" and declared.get("direction", "both") == "both"
    return charts.interval_bar(
        row["margin"], row["estimate"], row["interval"], far, unit, state, both=both
    )


def _estimate(
    estimate: float | None, interval: Sequence[float | None] | None, unit: Formatter
) -> Markup:
    more = charts.between(interval, unit) if interval else ""
    return tag("td", unit(estimate), tag("span", more, class_="more"), class_="number")


def _outlook(criterion: Row) -> str:
    if criterion["state"] != "WATCHING":
        return ""
    needed = criterion["calls_needed"]
    if needed is not None:
        return f"about {count(needed)} more"
    if criterion["estimate"] is not None and criterion["reason"].startswith("undecided"):
        return "too close to tell"
    return str(criterion["reason"])


def slices(report: Report) -> Child:
    """Where it differs: slices by their effect."""
    found = report["verdict"].get("slices") or ()
    if not found:
        return None
    declared = _declared(report)
    judged = {c["name"]: c for c in report["verdict"]["criteria"]}
    first = max(_FIRST_SLICES, sum(s["flagged"] for s in found))
    # One scale for each criterion, so that its slices can be compared by eye.
    far: dict[str, float] = {}
    for s in found[:first]:
        here = charts.reach(judged[s["criterion"]]["margin"], s["estimate"] or 0.0, s["interval"])
        far[s["criterion"]] = max(far.get(s["criterion"], 0.0), here)

    def rows(part: Sequence[Row]) -> Markup:
        return table(
            ["Slice", "Found", "Interval against margin", "#Estimate", "#Share"],
            [
                _slice(s, judged[s["criterion"]], declared.get(s["criterion"], {}), far)
                for s in part
            ],
            "Slices",
            "judged",
        )

    rest = found[first:]
    return section(
        "slices",
        "Where it differs",
        rows(found[:first]),
        tag("details", tag("summary", f"{len(rest)} more"), rows(rest)) if rest else None,
        note="Parts of the traffic, the largest effect first: at least how bad, times how often. "
        "False alarms are controlled over all of them.",
    )


def _slice(found: Row, criterion: Row, declared: Row, scales: Mapping[str, float]) -> Markup:
    unit = unit_of(criterion["kind"], declared)
    own = charts.reach(criterion["margin"], found["estimate"] or 0.0, found["interval"])
    far = scales.get(found["criterion"], own)
    name, _, value = found["slice"].partition("=")
    row = {**found, "margin": criterion["margin"], "kind": criterion["kind"]}
    state = "FAIL" if found["flagged"] else "WATCHING"
    worse = tag("span", sign("FAIL", 14), "WORSE", class_="chip fail")
    return tag(
        "tr",
        tag(
            "th",
            tag("span", tag("span", f"{name} ", class_="quiet"), value, class_="name"),
            tag("span", found["criterion"], class_="more"),
            scope="row",
        ),
        tag(
            "td",
            worse if found["flagged"] else tag("span", "not worse so far", class_="quiet"),
            class_="state",
        ),
        tag("td", _bar(row, declared, unit, far, state), class_="wide"),
        _estimate(found["estimate"], found["interval"], unit),
        tag(
            "td",
            percent(found["share"]),
            tag("span", f"{count(found['n'])} calls", class_="more"),
            class_="number",
        ),
    )


# ---- latency and time --------------------------------------------------------------------------


def latency(report: Report) -> Child:
    """Both sides' latencies."""
    sides = report.get("latency") or {}
    if not any((side or {}).get("count") for side in sides.values()):
        return None
    names = {"production": "production", "shadow": report.get("shadow") or "shadow"}
    a, b = sides["production"], sides["shadow"]
    rows = [
        tag(
            "tr",
            tag("th", title, scope="row"),
            [tag("td", milliseconds(s.get(key)), class_="number") for s in (a, b)],
            tag("td", against(b.get(key), a.get(key)), class_="number"),
        )
        for title, key in (
            ("p50", "p50_ms"), ("p95", "p95_ms"), ("p99", "p99_ms"), ("mean", "mean_ms")
        )
    ]  # fmt: skip
    key = [tag("span", names[side], class_=f"key {side}") for side in ("production", "shadow")]
    heads = ["", "#Production", f"#{names['shadow']}", "#Change"]
    return section(
        "latency",
        "Latency",
        tag(
            "div",
            tag("figure", charts.latency_chart(sides, names), tag("figcaption", key)),
            table(heads, rows, "Latency quantiles"),
            class_="beside",
        ),
        note=f"Of the {count(b['count'])} compared calls, each from its complete request to the "
        "end of its answer.",
    )


def over_time(report: Report) -> Child:
    """Differences by time."""
    told = report.get("over_time") or {}
    if not told.get("points"):
        return None
    key = [tag("span", text, class_=f"key {text}") for text in ("differing", "failed", "calls")]
    return section(
        "time",
        "Over time",
        tag("figure", charts.time_chart(told), tag("figcaption", key)),
        note="The share of compared calls that differ or that only the shadow failed, and how "
        "many were compared. Times are UTC.",
    )
