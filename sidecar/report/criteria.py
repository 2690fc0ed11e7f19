"""Criteria and slices on the page: each one's interval against its margin. Pure.

Counterparts: `charts`, which draws the intervals; `judge.report`, what is shown.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.judge.forecast import Forecast
from sidecar.judge.report import CriterionVerdict, SliceVerdict
from sidecar.report import charts, look
from sidecar.report.figures import Formatter, count, percent, span, unit_of
from sidecar.report.layout import chip, row_head, section, sign, table
from sidecar.report.markup import Child, Markup, tag
from sidecar.report.outlook import decided_words
from sidecar.report.report import Report

_FIRST_SLICES = 6  # shown at once, with those that are worse


def criteria(report: Report) -> Child:
    """Each criterion's interval against its margin."""
    found = report.verdict.criteria
    if not found:
        return None
    ordered = sorted(found, key=lambda c: not c.required)
    forecasts = {one.criterion: one for one in report.forecasts}
    alpha = report.declared.get("alpha")
    error = f", with an error of {percent(alpha)}" if alpha else ""
    return section(
        "criteria",
        "Criteria",
        table(
            ["Criterion", "State", "Interval against margin", "#Estimate", "#Calls"],
            [_criterion(c, forecasts.get(c.name)) for c in ordered],
            "Criteria",
            "judged",
        ),
        note=[
            "Left of the line is good enough, right of it is too much. ",
            f"Intervals hold however often you look{error}. ",
            "Evidence is made of: ",
            "; ".join(report.verdict.evidence) or "nothing yet",
            ".",
        ],
    )


def _criterion(criterion: CriterionVerdict, forecast: Forecast | None) -> Markup:
    unit = unit_of(criterion.unit)
    estimate = criterion.estimate
    far = charts.reach(criterion.margin, estimate or 0.0, criterion.interval)
    return tag(
        "tr",
        row_head(tag("span", criterion.name, class_="name"), criterion.about),
        tag(
            "td",
            chip(criterion.state),
            tag("span", "required" if criterion.required else "informative", class_="more"),
            class_="state",
        ),
        tag("td", _bar(criterion, criterion, unit, far, criterion.state), class_="wide"),
        _estimate(criterion, unit),
        tag(
            "td",
            count(criterion.n),
            tag("span", _outlook(criterion, forecast), class_="more"),
            class_="number",
        ),
    )


def _bar(
    shown: CriterionVerdict | SliceVerdict,
    criterion: CriterionVerdict,
    unit: Formatter,
    far: float,
    state: str,
) -> Markup:
    return charts.interval_bar(
        criterion.margin,
        shown.estimate,
        shown.interval,
        far,
        unit,
        state,
        both=criterion.two_sided,
    )


def _estimate(found: CriterionVerdict | SliceVerdict, unit: Formatter) -> Markup:
    """The figure now, and below it that by which it was decided."""
    more = charts.between(found.interval, unit) if found.interval else ""
    then = decided_words(found, unit)
    return tag(
        "td",
        unit(found.estimate),
        tag("span", more, class_="more"),
        tag("span", then, class_="more then") if then else None,
        class_="number",
    )


def _outlook(criterion: CriterionVerdict, forecast: Forecast | None) -> str:
    if criterion.state != "WATCHING":
        return ""
    if forecast is not None and forecast.seconds is not None:
        return f"{forecast.verdict} in about {span(forecast.seconds)}?"
    needed = criterion.calls_needed
    if needed is not None:
        return f"about {count(needed)} more"
    if criterion.estimate is not None and criterion.reason.startswith("undecided"):
        return "too close to tell"
    return str(criterion.reason)


def slices(report: Report) -> Child:
    """Where it differs: slices by their effect."""
    # What is left of the others never leads.
    found = sorted(report.verdict.slices, key=lambda s: look.is_other(s.slice))
    if not found:
        return None
    judged = {c.name: c for c in report.verdict.criteria}
    first = max(_FIRST_SLICES, sum(s.flagged for s in found))
    # One scale for each criterion, so that its slices can be compared by eye.
    far: dict[str, float] = {}
    for s in found[:first]:
        here = charts.reach(judged[s.criterion].margin, s.estimate or 0.0, s.interval)
        far[s.criterion] = max(far.get(s.criterion, 0.0), here)

    def rows(part: Sequence[SliceVerdict], *, drawn: bool) -> Markup:
        heads = ["Slice", "Found", "Interval against margin", "#Estimate", "#Share"]
        return table(
            heads if drawn else [head for head in heads if "margin" not in head],
            [
                _slice(
                    s,
                    judged[s.criterion],
                    far[s.criterion] if drawn else None,
                )
                for s in part
            ],
            "Slices" if drawn else "More slices",
            "judged",
        )

    rest = found[first:]
    return section(
        "slices",
        "Where it differs",
        rows(found[:first], drawn=True),
        tag("details", tag("summary", f"{len(rest)} more"), rows(rest, drawn=False))
        if rest
        else None,
        note="Parts of the traffic, the largest effect first: at least how bad, times how often. "
        "False alarms are controlled over all of them, so that WORSE takes more than one interval "
        "beyond the margin.",
    )


def _not_worse(found: SliceVerdict, criterion: CriterionVerdict) -> str:
    """What to call a slice that is not proven worse; its own interval knows of no other slice."""
    low = found.interval[0] if found.interval else None
    beyond = low is not None and not criterion.two_sided and low > criterion.margin
    return "seems worse, not proven" if beyond else "not worse so far"


def _slice(found: SliceVerdict, criterion: CriterionVerdict, far: float | None) -> Markup:
    unit = unit_of(criterion.unit)
    name, _, value = found.slice.partition("=")
    state = "FAIL" if found.flagged else "WATCHING"
    worse = tag("span", sign("FAIL", 14), "WORSE", class_="chip fail")
    return tag(
        "tr",
        row_head(
            tag("span", tag("span", f"{name} ", class_="quiet"), value, class_="name"),
            found.criterion,
        ),
        tag(
            "td",
            worse if found.flagged else tag("span", _not_worse(found, criterion), class_="quiet"),
            class_="state",
        ),
        tag("td", _bar(found, criterion, unit, far, state), class_="wide") if far else None,
        _estimate(found, unit),
        tag(
            "td",
            percent(found.share),
            tag("span", f"{count(found.n)} calls", class_="more"),
            class_="number",
        ),
    )
