"""The verdict, latencies and differences over time on the page. Pure.

Rule: a section about which nothing is known is left out, and only the first says why. Counterparts:
`criteria` and `traffic`, the other sections; `page`, which puts them together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sidecar.judge.report import Verdict
from sidecar.report import charts
from sidecar.report.figures import against, count, milliseconds, percent, span, unit_of
from sidecar.report.layout import Row, row_head, section, sign, table, tone
from sidecar.report.markup import Child, Markup, tag
from sidecar.report.notices import noise_rules, rules_text
from sidecar.report.outlook import forecast_words
from sidecar.report.report import Report

_NAMED = 5  # slices in the headline

MEANING = {
    "PASS": "may replace production",
    "FAIL": "should not replace production",
    "WATCHING": "not decided yet",
    "INCONCLUSIVE": "cannot be decided",
}


def verdict(report: Report) -> Markup:
    """What was decided, why, and on how much."""
    found = report.verdict
    declared = report.declared
    state = found.state.value
    return tag(
        "section",
        tag(
            "div",
            sign(state, 44),
            tag(
                "div",
                tag("h1", state, tag("span", MEANING.get(state), class_="meaning")),
                tag("p", found.reason, class_="reason"),
                _worse(found),
                _forecast(report),
            ),
            class_="headline",
        ),
        tag("dl", [tag("div", tag("dt", name), tag("dd", value), tag("dd", more, class_="more"))
                   for name, value, more in _facts(found, declared)]),
        tag("p", "The shadow has ended: its budget of calls or time is used up.", class_="ended")
        if found.ended
        else None,
        _notices(report.notices),
        _noise(report),
        _missing(report.missing),
        id="verdict",
        class_=f"verdict {tone(state)}",
        aria_label="Verdict",
    )  # fmt: skip


def _worse(found: Verdict) -> Child:
    """Where to look first."""
    names = list(dict.fromkeys(s.slice for s in found.slices if s.flagged))
    if not names:
        return None
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    shown = ", ".join(name.replace("=", " ", 1) for name in names[:_NAMED])
    return tag("p", "Worse in ", tag("b", shown), more, class_="worse")


def _forecast(report: Report) -> Child:
    """When it will be decided, where somebody can say."""
    found = report.forecast
    units = {c.name: c.unit for c in report.verdict.criteria}
    if found is None or found.criterion not in units:
        return None
    said = forecast_words(found, unit_of(units[found.criterion]))
    return tag("p", "Forecast: ", said, f" ({found.criterion}).", class_="forecast quiet")


def _facts(found: Verdict, declared: Row) -> list[tuple[str, str, Child]]:
    least, floor = declared.get("min_calls", 1), declared.get("coverage_floor")
    minimum = declared.get("min_duration_seconds")
    judges = found.judges
    models = found.models
    sides = [(side, _models(models, side)) for side in ("production", "shadow")]
    budget = declared.get("max_calls")
    facts: list[tuple[str, str, Child]] = [
        (
            "Calls judged",
            count(found.calls),
            f"of at most {count(budget)}" if budget else f"at least {count(least)}",
        ),
        (
            "Coverage",
            percent(found.coverage),
            f"floor {percent(floor)}" if floor is not None else "",
        ),
        ("Watched for", span(found.elapsed_seconds), f"at least {span(minimum)}"
         if minimum else ""),
    ]  # fmt: skip
    if found.distinct_inputs is not None:
        wanted = declared.get("min_distinct_inputs")
        more = f"at least {count(wanted)}" if wanted else ""
        facts.append(("Distinct inputs, worth", count(found.distinct_inputs), more))
    facts += [(f"{side.capitalize()} model", text, "") for side, text in sides if text]
    if judges > 1 or found.left_out:
        left = found.left_out
        facts.append(("Sidecars", count(judges), f"{left} left out" if left else "added together"))
    return facts


def _models(models: Mapping[str, str], side: str) -> str:
    named = [
        f"{key.removeprefix(side).strip()} {version}".strip()
        for key, version in sorted(models.items())
        if key.partition(" ")[0] == side
    ]
    return ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")


def _notices(notices: Sequence[str]) -> Child:
    if not notices:
        return None
    rows = [tag("li", notice) for notice in notices]
    return tag("div", tag("p", "To know:"), tag("ul", rows), class_="notices")


def _noise(report: Report) -> Child:
    """The rules that ignore what looks like noise, to be copied; never put in force from here."""
    patterns = noise_rules(report.outputs)
    if not patterns:
        return None
    own = f"--shadow {report.shadow} " if report.shadow else ""
    command = f"shadow-sidecar rules suggest {own}--apply FILE"
    return tag(
        "details",
        tag("summary", "Ignore what looks like noise"),
        _copied("noise-rules", rules_text(patterns)),
        tag("p", "Into the configuration by hand, or by this command; then restart:"),
        _copied("noise-command", command),
        class_="noise",
    )


def _copied(name: str, text: str) -> Markup:
    """A text that a script's button copies; without scripts it can be marked."""
    button = tag("button", "Copy", type="button", class_="copy", data_copies=name)
    return tag("div", tag("pre", text, id=name), button, class_="copied")


def _missing(missing: Mapping[str, str]) -> Child:
    if not missing:
        return None
    rows = [tag("li", tag("code", address), f": {why}") for address, why in missing.items()]
    return tag("div", tag("p", "Not heard:"), tag("ul", rows), class_="missing")


# ---- latency and time --------------------------------------------------------------------------


def latency(report: Report) -> Child:
    """Both sides' latencies, and the control's; the change is against whom the judge compares."""
    sides = {"production": report.latency.production, "shadow": report.latency.shadow}
    if not any(side.count for side in sides.values()):
        return None
    names = {"production": "production", "shadow": report.shadow or "shadow"}
    control = report.latency.control
    shown = [*sides.values(), *([control] if control.count else [])]
    b, reference = sides["shadow"], shown[-1] if control.count else sides["production"]
    rows = [
        tag(
            "tr",
            row_head(title),
            [tag("td", milliseconds(getattr(s, key)), class_="number") for s in shown],
            tag("td", against(getattr(b, key), getattr(reference, key)), class_="number"),
        )
        for title, key in (
            ("p50", "p50_ms"), ("p95", "p95_ms"), ("p99", "p99_ms"), ("mean", "mean_ms")
        )
    ]  # fmt: skip
    if any(side.endless for side in shown):
        cells = [tag("td", count(side.endless), class_="number") for side in shown]
        head = row_head("met deadline")
        rows.append(tag("tr", head, cells, tag("td", "", class_="number")))
    key = [tag("span", names[side], class_=f"key {side}") for side in ("production", "shadow")]
    heads = ["", "#Production", f"#{names['shadow']}", "#Change"]
    note = (
        f"Of the {count(b.count)} calls that both sides answered, each from its complete "
        "request to the end of its answer."
    )
    if any(side.endless for side in shown):
        note += " Who met the deadline is beyond every quantile, and clipped in the mean."
    if control.count:
        heads[3:] = ["#Control", "#Change"]
        note += (
            f" Of {count(control.count)} of them the control's too; the change is against it, for"
            " the same client asks both."
        )
    return section(
        "latency",
        "Latency",
        tag(
            "div",
            tag("figure", charts.latency_chart(sides, names), tag("figcaption", key)),
            table(heads, rows, "Latency quantiles"),
            class_="beside",
        ),
        note=note,
    )


def over_time(report: Report) -> Child:
    """Differences by time."""
    if not report.over_time.points:
        return None
    key = [tag("span", text, class_=f"key {text}") for text in ("differing", "failed", "calls")]
    return section(
        "time",
        "Over time",
        tag("figure", charts.time_chart(report.over_time), tag("figcaption", key)),
        note="The share of compared calls that differ or that only the shadow failed, and how "
        "many were compared. Times are UTC.",
    )
