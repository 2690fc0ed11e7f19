"""One call as a page: what each shadow answered beside production, output by output. Pure.

Rule: as the report's page, no payload values and nothing that loads from elsewhere.
Counterparts: `experiment.recent`, which remembers calls; a span's `shadow.url`, which leads here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.report import layout
from sidecar.report.figures import OUTCOMES, instant, milliseconds, significant
from sidecar.report.layout import section, table
from sidecar.report.markup import Child, Markup, join, raw, tag
from sidecar.report.page import STYLE
from sidecar.report.traffic import trace_link
from sidecar.status import status_name

MOST_OUTPUTS = 100
MOST_TEXT = 160


def render_call(rows: Sequence[Mapping[str, Any]], trace_id: str, trace_url: str = "") -> str:
    """Write what is remembered of one call.

    Args:
        rows: as `RecentPairs.rows` gives them, one a shadow; empty: nothing is remembered.
        trace_id: the call's, as it was asked for.
        trace_url: where a trace can be opened, with `{trace_id}` in it; empty: no links.
    """
    said = "agrees" if rows and all(row["agrees"] for row in rows) else "differs"
    title = f"{said if rows else 'not remembered'} · call {trace_id[:8]} · shadow-sidecar"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", STYLE),
    )
    body = tag(
        "body",
        layout.signs(),
        tag(
            "header",
            tag("p", tag("b", "shadow-sidecar"), tag("span", "one call", class_="who")),
            tag("nav", tag("a", "Report", href="../"), aria_label="Pages"),
        ),
        tag("main", [_shadow(row, trace_url) for row in rows] if rows else _unknown(trace_id)),
    )
    return join([raw("<!doctype html>\n"), tag("html", head, body, lang="en"), "\n"])


def _unknown(trace_id: str) -> Markup:
    return section(
        "call",
        "Not remembered",
        note=(
            f"{trace_id[:MOST_TEXT]} is not among the latest calls that this process compared. "
            "The trace itself may still be in Jaeger."
        ),
    )


def _shadow(row: Mapping[str, Any], trace_url: str) -> Markup:
    status, latency = row["status"], row["latency_ms"]
    moment = instant(row["time"])
    facts: list[tuple[str, Child]] = [
        ("Call", tag("code", str(row["method"])[:MOST_TEXT])),
        ("Time", "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC"),
        *(
            (
                side.capitalize(),
                f"{status_name(status[side])}, {milliseconds(latency[side])}",
            )
            for side in ("production", "shadow")
        ),
        (
            "Traces",
            [
                tag("div", trace_link(name, row[key], trace_url))
                for name, key in (("comparison", "shadow_trace_id"), ("production", "trace_id"))
                if row.get(key)
            ],
        ),
    ]
    found = OUTCOMES.get(row["outcome"], row["outcome"])
    outputs = row["outputs"][:MOST_OUTPUTS]
    return section(
        f"call-{row['shadow']}",
        f"{row['shadow']}: {'agrees' if row['agrees'] else 'differs'} ({found})",
        tag("dl", [tag("div", tag("dt", name), tag("dd", said)) for name, said in facts]),
        table(
            ["Output", "What differs", "Rule", "#Score", "Figures", "Allowed"],
            [_output(output) for output in outputs],
            f"Outputs of {row['shadow']}",
        )
        if outputs
        else None,
        note=str(row["detail"])[:MOST_TEXT] or None,
    )


def _output(output: Mapping[str, Any]) -> Markup:
    return tag(
        "tr",
        tag("th", tag("code", str(output["name"])[:MOST_TEXT]), scope="row"),
        tag("td", OUTCOMES.get(output["outcome"], output["outcome"])),
        tag("td", output["rule"]),
        tag("td", significant(output["score"]), class_="number"),
        tag("td", _figures(output["raw"])),
        tag("td", _figures(output["limits"])),
    )


def _figures(figures: Mapping[str, float]) -> Child:
    return ", ".join(f"{name} {significant(figure)}" for name, figure in figures.items() if figure)
