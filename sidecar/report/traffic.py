"""The parts of the page that are about single calls and what became of them all. Pure.

Rule: of payload values only what the report holds, which the configuration allowed; a trace id is
a link only where a template for its address is configured and it is one.
Counterparts: `sections` and `criteria`, about evidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sidecar.report import look
from sidecar.report.figures import (
    OUTCOMES,
    SKIPS,
    against,
    count,
    instant,
    is_by_choice,
    milliseconds,
    percent,
    significant,
)
from sidecar.report.layout import row_head, section, table
from sidecar.report.markup import Child, Markup, tag
from sidecar.report.report import CallOutput, CallRow, OutputRow, Report

MOST_GROUPS = 12
MOST_ROWS = 8  # of a required criterion
MOST_INFORMATIVE = 3
MOST_OUTPUTS = 30
MOST_TEXT = 160  # characters of a name from outside

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_LINK = re.compile(r"https?://")


def worst(report: Report, trace_url: str) -> Child:
    """The calls to look at, by criterion and slice."""
    found = look.groups(report)
    if not found:
        return None
    noise = look.noise_of(report)
    required = {c.name for c in report.verdict.criteria if c.required}
    day = instant(report.generated)
    blocks = []
    for i, (criterion, part, all_rows) in enumerate(found[:MOST_GROUPS]):
        most = MOST_ROWS if criterion in required or i == 0 else MOST_INFORMATIVE
        rows = all_rows[:most]
        blocks.append(
            tag(
                "details",
                tag(
                    "summary",
                    tag("span", criterion, class_="name"),
                    tag("span", f" in {part}", class_="quiet") if part else None,
                    tag("span", f"{len(rows)} calls", class_="more"),
                ),
                _calls(rows, trace_url, str(day)[:10], f"{criterion} {part}", noise),
                open=i == 0,
            )
        )
    return section(
        "worst",
        "Calls to look at",
        blocks,
        note="The worst pairs of each criterion, worst first. Times are UTC.",
    )


def _calls(
    rows: Iterable[CallRow], trace_url: str, day: str, label: str, noise: frozenset[str]
) -> Markup:
    return table(
        ["Time", "Call", "What differs, from 0 to 1", "#Production", "#Shadow", "Trace"],
        [_call(row, trace_url, day, noise) for row in rows],
        f"Worst calls: {label}",
        "pairs",
    )


def _call(row: CallRow, trace_url: str, day: str, noise: frozenset[str]) -> Markup:
    a, b = row.production_ms, row.shadow_ms
    return tag(
        "tr",
        tag("td", _moment(row.unix_seconds, day)),
        row_head(tag("code", _cut(row.correlation_id)), _method(row.method)),
        tag("td", _differences(row, noise), _inputs(row)),
        tag("td", milliseconds(a), class_="number"),
        tag(
            "td",
            milliseconds(b),
            tag("span", against(b, a), class_="more"),
            class_="number",
        ),
        tag("td", _traces(row, trace_url), class_="traces"),
    )


def _differences(row: CallRow, noise: frozenset[str]) -> Child:
    if not row.outputs:
        said = OUTCOMES.get(row.outcome, row.outcome)
        return [said, tag("span", _cut(row.detail), class_="more")]
    outputs, left = look.telling(row, noise)
    rest = f"{count(left)} {'output looks' if left == 1 else 'outputs look'} like noise"
    return [
        [
            tag(
                "div",
                tag("code", _cut(output.name)),
                f" {OUTCOMES.get(output.outcome, output.outcome)} ",
                tag("span", significant(output.score), class_="score"),
                _values(output),
            )
            for output in outputs
        ],
        tag("span", rest, class_="more") if left else None,
    ]


def _values(output: CallOutput) -> Child:
    """Both sides' values, where there are any."""
    if output.production is None:
        return None
    both = (output.production or "none", output.shadow or "none")
    return tag("span", f"{both[0]} \u2192 {both[1]}", class_="more")


def _inputs(row: CallRow) -> Child:
    given = [f"{_cut(field.name)} = {field.value}" for field in row.inputs]
    return tag("span", "; ".join(given), class_="more") if given else None


def _traces(row: CallRow, trace_url: str) -> Child:
    # The comparison's trace shows both predictions; production's, the caller and what it did next.
    ids = [("comparison", row.shadow_trace_id), ("production", row.trace_id)]
    if ids[0][1] == ids[1][1]:
        ids = [("trace", ids[0][1])]
    return [tag("div", trace_link(name, trace_id, trace_url)) for name, trace_id in ids if trace_id]


def trace_link(name: str, trace_id: str, trace_url: str) -> Markup:
    """A trace to open, or its id where nobody knows where that can be done."""
    known = _TRACE_ID.fullmatch(trace_id) is not None and _LINK.match(trace_url) is not None
    if not known:
        return tag("span", tag("span", f"{name} ", class_="quiet"), tag("code", _cut(trace_id)))
    return tag(
        "a",
        f"{name} ",
        tag("code", trace_id[:8]),
        href=trace_url.replace("{trace_id}", trace_id),
    )


def _moment(unix_seconds: float, day: str) -> Markup:
    moment = instant(unix_seconds)
    if moment is None:
        return tag("span", "unknown")
    clock = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}"
    other = str(moment.date()) if str(moment.date()) != day else None
    return tag(
        "time",
        clock,
        tag("span", other, class_="more") if other else None,
        datetime=moment.isoformat(timespec="milliseconds"),
    )


def _method(path: str) -> str:
    return _cut(path.rpartition(".")[2] if path.startswith("/") else path)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"


# ---- what became of all calls ------------------------------------------------------------------


def traffic(report: Report, status: Mapping[str, Any]) -> Child:
    """What comparisons found, why calls were not compared, and how the sidecar is."""
    parts = [
        _outcomes(report.outcomes),
        _outputs(report.outputs),
        _skipped(report.skipped),
        _state(status, report.shadow or "shadow"),
        _sidecars(report),
    ]
    if not any(parts):
        return None
    return section("traffic", "Traffic", tag("div", parts, class_="columns"))


def _block(title: str, heads: list[str], rows: list[Markup], note: str = "") -> Child:
    if not rows:
        return None
    return tag(
        "div",
        tag("h3", title),
        table(heads, rows, title),
        tag("p", note, class_="note") if note else None,
        class_="block",
    )


def _outcomes(outcomes: Mapping[str, int]) -> Child:
    whole = sum(outcomes.values())
    rows = [
        tag(
            "tr",
            row_head(OUTCOMES.get(name, name)),
            tag("td", count(n), class_="number"),
            tag("td", percent(n / whole), class_="number"),
        )
        for name, n in outcomes.items()
        if n
    ]
    return _block("What comparisons found", ["Found", "#Calls", "#Share"], rows)


def _outputs(outputs: Iterable[OutputRow]) -> Child:
    """Each output: how often it agrees and differs, how, and the most it does."""
    rows = [
        tag(
            "tr",
            row_head(
                tag("code", _cut(row.name)),
                "in nearly every call: noise?" if row.noise else _how(row.how),
            ),
            tag("td", count(row.agree), class_="number"),
            tag("td", count(row.differ), class_="number"),
            tag("td", significant(row.largest), class_="number"),
        )
        for row in outputs
    ]
    note = "The largest difference is on a scale from 0 to 1, after the output's own rule."
    heads = ["Output", "#Agree", "#Differ", "#Largest"]
    return _block("Outputs", heads, rows[:MOST_OUTPUTS], note)


def _how(how: Mapping[str, int]) -> str:
    return ", ".join(f"{OUTCOMES.get(name, name)} {count(n)}" for name, n in how.items())


def _skipped(skipped: Mapping[str, int]) -> Child:
    rows = [
        tag(
            "tr",
            tag("th", SKIPS.get(name, name), tag("code", name, class_="more"), scope="row"),
            tag("td", count(n), class_="number"),
            tag("td", "by choice" if is_by_choice(name) else "lost", class_="number"),
        )
        for name, n in skipped.items()
        if n
    ]
    note = "What was lost lowers coverage; what was left out by choice does not."
    return _block("Calls not compared", ["Why", "#Calls", "#Coverage"], rows, note)


def _state(status: Mapping[str, Any], shadow: str) -> Child:
    if not status:
        return None
    connections = status.get("connections") or {}
    wire, blind = status.get("wire") or {}, status.get("blind") or {}
    own = (status.get("shadows") or {}).get(shadow) or {}
    queue = own.get("queue") or {}
    facts: list[tuple[str, Child, bool]] = [
        ("Tap", "attached" if status.get("attached") else "not attached", False),
        ("Connections open", count(connections.get("open")), False),
        ("… opaque: not HTTP/2 that we read", count(connections.get("opaque")), True),
        ("… bytes on those", count(wire.get("opaque_bytes")), True),
        ("… bytes on such ones, ever", count(wire.get("opaque_bytes_total")), True),
        ("… blind: forwarded, not seen", count(connections.get("blind")), True),
        ("Calls that only the wire saw", count(blind.get("calls")), False),
    ]
    if own:
        facts += [
            ("Shadow's breaker", str(own.get("breaker", "")).replace("_", " "), False),
            ("Waiting for the shadow", f"{count(queue.get('calls'))} calls", False),
            ("Running on the shadow", f"{count(own.get('running'))} calls", False),
        ]
    if status.get("paused"):
        facts.insert(0, ("Sampling", "paused", False))
    elif status.get("sample") is not None:
        facts.insert(0, ("Sampled", percent(status["sample"]), False))
    facts += _added(status.get("production_added_latency") or {})
    rows = [
        tag("tr", tag("th", name, scope="row", class_="inner" if inner else None),
            tag("td", value, class_="number"))
        for name, value, inner in facts
    ]  # fmt: skip
    return _block("This sidecar", ["", "#Now"], rows)


def _added(found: Mapping[str, Any]) -> list[tuple[str, Child, bool]]:
    """What the tee adds to production's latency, as far as is known."""
    if found.get("state") in {None, "off"}:
        return []
    low, high = found.get("low_ms"), found.get("high_ms")
    said = "not known yet"
    if low is not None and high is not None:
        said = f"{low:+.2f} to {high:+.2f} ms"
    if found["state"] == "harmed":
        said = f"too much, so paused: {said}"
    return [("Added to production's latency", said, False)]


def _sidecars(report: Report) -> Child:
    found = report.sidecars
    if len(found) < 2:
        return None
    rows = [
        tag(
            "tr",
            row_head(
                tag("code", _cut(row.source or row.instance)),
                _cut(row.instance) if row.source else None,
            ),
            tag("td", count(row.calls), class_="number"),
            tag("td", "yes" if row.counted else "no: older or other rules", class_="number"),
        )
        for row in found
    ]
    return _block("Sidecars", ["Sidecar", "#Calls", "#Counted"], rows)
