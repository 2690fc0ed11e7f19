"""Distributions and confusion matrices on the page. Pure.

Rule: they decide nothing and say so; of a part of the calls, with how many. Counterparts: `drift`,
the figures; `table`, which has them for a terminal.
"""

from __future__ import annotations

from sidecar.report.drift import ConfusionRow, DistributionRow
from sidecar.report.figures import UNKNOWN, count, percent, significant
from sidecar.report.layout import row_head, section, table
from sidecar.report.markup import Child, tag
from sidecar.report.report import Report

ALIKE, APART = 0.1, 0.25  # of the population stability index, by custom
MOST_CLASSES = 12  # of a matrix
_TALL = 44


def distributions(report: Report) -> Child:
    """How far both sides' values, and inputs over time, are apart; who decided what."""
    drift = report.drift
    name = report.shadow or "shadow"
    blocks = [
        _rows("Outputs", drift.outputs, ("production", name)),
        _rows("Inputs", drift.inputs, ("first day", "latest hours")),
        *(_confusion(row, name) for row in drift.confusions),
    ]
    if not any(blocks):
        return None
    return section(
        "distributions",
        "Distributions",
        blocks,
        note=f"Of {count(drift.calls)} calls that were looked at (judge.drift), for people: "
        "nothing is decided by them.",
    )


def psi_words(row: DistributionRow) -> str:
    """A stability index, by custom; of few values it is mostly chance."""
    if row.psi is None:
        return "no values"
    if not row.is_told:
        return "too few to tell"
    return "alike" if row.psi < ALIKE else "somewhat apart" if row.psi <= APART else "apart"


def _rows(title: str, found: tuple[DistributionRow, ...], sides: tuple[str, str]) -> Child:
    if not found:
        return None
    rows = [
        tag(
            "tr",
            row_head(tag("code", row.name), _counted(row)),
            tag("td", _chart(row, sides), class_="wide"),
            tag(
                "td",
                UNKNOWN if row.psi is None else significant(row.psi, 2),
                tag("span", f"PSI: {psi_words(row)}", class_="more"),
                class_="number",
            ),
            tag(
                "td",
                UNKNOWN if row.wasserstein is None else significant(row.wasserstein),
                tag("span", "Wasserstein", class_="more"),
                class_="number",
            ),
        )
        for row in found
    ]
    heads = [title, "Share of values, smallest to largest", "#Apart", "#In its unit"]
    key = zip(("production", "shadow"), sides, strict=True)
    return tag(
        "div",
        table(heads, rows, f"Distributions: {title.lower()}", "judged"),
        tag("figcaption", [tag("span", side, class_=f"key {kind}") for kind, side in key]),
    )


def _counted(row: DistributionRow) -> str:
    said = f"{count(row.n[0])} and {count(row.n[1])} values"
    if any(row.broken):
        said += f", {count(row.broken[0])} and {count(row.broken[1])} not finite"
    return said


def _chart(row: DistributionRow, sides: tuple[str, str]) -> Child:
    """A pair of columns for each bin; what lies between two bins is not drawn."""
    if not row.bins:
        return None
    most = max(max(a, b) for _, _, a, b in row.bins) or 1.0
    wide = 1000 / len(row.bins)

    def columns(side: int) -> str:
        return "".join(
            f"M{(i + 0.06 + 0.44 * side) * wide:.0f} {_TALL}"
            f"v-{_TALL * one[2 + side] / most:.1f}h{0.42 * wide:.1f}V{_TALL}z"
            for i, one in enumerate(row.bins)
            if one[2 + side] > 0
        )

    low, high = significant(row.bins[0][0]), significant(row.bins[-1][1])
    title = f"{row.name}: {sides[0]} and {sides[1]}, from {low} to {high}"
    drawn = tag(
        "svg",
        tag("path", d=columns(0), class_="calls"),
        tag("path", d=columns(1), class_="differing"),
        height=_TALL,
        width="100%",
        viewBox=f"0 0 1000 {_TALL}",
        preserveAspectRatio="none",
    )
    ends = [
        tag("text", low, x="0%", y=_TALL + 13, class_="start"),
        tag("text", f"at most {percent(most)}", x="50%", y=_TALL + 13, class_="mid"),
        tag("text", high, x="100%", y=_TALL + 13, class_="end"),
    ]
    return tag("svg", tag("title", title), drawn, ends, role="img", height=_TALL + 16, width="100%")


def _confusion(row: ConfusionRow, name: str) -> Child:
    """Production's decisions down, the shadow's across."""
    if not row.classes:
        return None
    shown = range(min(len(row.classes), MOST_CLASSES))
    whole = sum(map(sum, row.counts))
    alike = sum(row.counts[i][i] for i in range(len(row.classes)))
    rows = [
        tag(
            "tr",
            row_head(row.classes[i]),
            [
                tag(
                    "td",
                    count(row.counts[i][j]) if row.counts[i][j] else "\u00b7",
                    class_="number same" if i == j else "number",
                )
                for j in shown
            ],
        )
        for i in shown
    ]
    heads = [f"production \u2193 {name} \u2192", *(f"#{row.classes[j]}" for j in shown)]
    left = len(row.classes) - len(shown)
    note = f"{count(alike)} of {count(whole)} rows were decided alike, on the diagonal."
    if left:
        note += f" {left} more classes are in the report as JSON."
    return tag(
        "div",
        tag("h3", f"What {row.criterion} decides by"),
        table(heads, rows, f"Confusion matrix of {row.criterion}", "matrix"),
        tag("p", note, class_="note"),
        class_="block",
    )
