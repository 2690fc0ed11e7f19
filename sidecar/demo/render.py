"""The demo's findings as a person reads them, with rich.

Rule: the answer first, then where, then how fast, then where to look on. Counterpart:
`sidecar.demo.summary`.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sidecar.demo.again import Again
from sidecar.demo.loop import Running
from sidecar.demo.summary import ALPHA, ClassRow, Summary
from sidecar.report.report import Report
from sidecar.report.table import STYLES

ACCURACY = "accuracy"  # the criterion, as `loop` declares it
QUANTILES = ("p50", "p95", "p99")


def render(summary: Summary) -> Group:
    """The whole report but for the addresses."""
    parts: list[RenderableType] = [_figures(summary), Text(), _by_class(summary)]
    if summary.latency:
        parts += [Text(), _latency(summary)]
    parts += [Text(), _in_words(summary)]
    if summary.report:
        parts += [Text(), *_verdict(summary.report), Text(f"The gate says: {summary.gate}")]
        parts += [Text(line, style="dim") for line in _why_calls(summary.report)]
    if summary.again:
        parts += [Text(), *_again(summary.again, summary.report)]
    return Group(*parts)


def addresses(summary: Summary, stand: Running, report: Path, *, keep: bool) -> Table:
    """Where to look on: two traces, and what is still there while the demo runs."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    # A line of their own, so that 80 columns hold a whole address.
    for name, trace in (
        ("a pair that agrees", summary.agreeing_trace),
        ("a pair that differs", summary.differing_trace),
    ):
        table.add_row(name, f"trace {trace or 'none'}")
    if stand.collector:
        table.add_row("traces open at", f"{stand.trace_page}TRACE")
    table.add_row(
        "spans",
        f"sent to {stand.collector}"
        if stand.collector
        else "not sent: no Jaeger listens on 127.0.0.1:4317",
    )
    table.add_row("report", str(report))
    if keep:
        table.add_row("live page", f"http://{stand.http}/")
        for path in ("status", "pairs", "metrics"):
            table.add_row(path, f"http://{stand.http}/{path}")
        table.add_row("clients", f"{stand.listen} speaks for production; Ctrl-C ends everything")
    else:
        table.add_row("live page", "--keep leaves everything up and tells its address")
    return table


def _figures(summary: Summary) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    low, high = summary.interval
    share = summary.agreeing / summary.compared if summary.compared else 0.0
    left = ", ".join(f"{reason} {n}" for reason, n in sorted(summary.skipped.items()))
    failed = f", {summary.failed} failed" if summary.failed else ""
    table.add_row("calls", f"{summary.calls:,} seen, {summary.compared:,} compared{failed}")
    table.add_row("coverage", f"{summary.coverage:.1%}" + (f" (skipped: {left})" if left else ""))
    table.add_row(
        "agreement",
        f"{share:.1%}, between {low:.1%} and {high:.1%} "
        f"({1 - ALPHA:.0%} confidence, at every look)",
    )
    return table


def _by_class(summary: Summary) -> Table:
    table = Table(title="Where they differ, by the true digit", title_justify="left")
    table.add_column("digit", justify="right")
    table.add_column("calls", justify="right")
    table.add_column("agree", justify="right")
    table.add_column("production right", justify="right")
    table.add_column("candidate right", justify="right")
    table.add_column("verdict: lost", justify="right")
    worst = summary.worst_class
    lost = _lost(summary.report)
    for row in summary.classes:
        style = "bold red" if row is worst and _loss(row) > 0 else ""
        table.add_row(
            str(row.label),
            str(row.calls),
            f"{row.agreeing / row.calls:.1%}",
            f"{row.production_right / row.calls:.1%}",
            f"{row.candidate_right / row.calls:.1%}",
            _points(lost.get(str(row.label))),
            style=style,
        )
    ours, theirs = summary.accuracy
    total = sum(row.calls for row in summary.classes)
    agree = sum(row.agreeing for row in summary.classes) / max(1, total)
    table.add_section()
    everywhere = _points(lost.get(""))
    table.add_row("all", str(total), f"{agree:.1%}", f"{ours:.1%}", f"{theirs:.1%}", everywhere)
    return table


def _lost(report: Report | None) -> dict[str, tuple[float, float]]:
    """What the verdict says of accuracy, by digit, "" for all: points lost, and of how many calls.

    The sidecar's own figures, as on its page and at its gate. Evidence of a digit begins with the
    call after its first, so it is one call fewer than were sent.
    """
    if report is None:
        return {}
    found = {
        row.slice.partition("=")[2]: (row.estimate, row.n)
        for row in report.verdict.slices
        if row.criterion == ACCURACY and row.estimate is not None
    }
    for criterion in report.verdict.criteria:
        if criterion.name == ACCURACY and criterion.estimate is not None:
            found[""] = (criterion.estimate, criterion.n)
    return found


def _points(lost: tuple[float, float] | None) -> str:
    return "" if lost is None else f"{100 * lost[0]:+.1f} pp of {lost[1]:,.0f}"


def _latency(summary: Summary) -> Table:
    table = Table(title="Latency of the compared calls, ms", title_justify="left")
    table.add_column("")
    for name in QUANTILES:
        table.add_column(name, justify="right")
    for side, values in summary.latency.items():
        table.add_row(side, *(f"{values[name]:.2f}" for name in QUANTILES))
    return table


def _verdict(report: Report) -> list[RenderableType]:
    verdict = report.verdict
    head = Text.assemble((verdict.state, STYLES[verdict.state]), f"  {verdict.reason}")
    table = Table(title="What was declared beforehand, and what came of it", title_justify="left")
    for name in ("criterion", "state", "found", "allowed", "calls"):
        table.add_column(name, justify="left" if name in {"criterion", "state"} else "right")
    for row in verdict.criteria:
        required = "" if row.required else " (informative)"
        table.add_row(
            row.name + required,
            Text(row.state, style=STYLES[row.state]),
            "-" if row.estimate is None else f"{row.estimate:+.1%}",
            f"{row.margin:+.1%}",
            f"{row.n:,.0f}",
        )
    flagged = [row for row in verdict.slices if row.flagged]
    found = [
        f"{row.slice.replace('=', ' ')} ({row.criterion})"
        for row in flagged
        if row.required or not any(other.required for other in flagged)
    ]
    worse = Text.assemble("Worse on ", (", ".join(found), "bold red"), ".")
    return [head, Text(), table, *([worse] if found else [])]


def _in_words(summary: Summary) -> Text:
    ours, theirs = summary.accuracy
    worst = summary.worst_class
    text = Text()
    text.append(f"The candidate is right on {theirs:.1%} of the images, production on {ours:.1%}")
    if _loss(worst) > 0:
        text.append("; but on the digit ")
        text.append(str(worst.label), style="bold red")
        text.append(
            f" it is right {worst.candidate_right / worst.calls:.0%} of the time, "
            f"production {worst.production_right / worst.calls:.0%}"
        )
        if lost := _lost(summary.report).get(str(worst.label)):
            text.append(f" ({100 * lost[0]:.1f} pp lost in {lost[1]:,.0f} calls, by the verdict)")
        text.append(". An average would have hidden that.")
    else:
        text.append(".")
    return text


def _why_calls(report: Report) -> list[str]:
    """What the evidence is made of, and why that is right here."""
    told = [f"Evidence of {line}" for line in report.verdict.evidence]
    if any("independent_calls" in line for line in told):
        told.append(
            "That is right here, for the images are shuffled and none comes twice: no call tells "
            "of the next. Live traffic does; there the evidence is blocks of time."
        )
    return told


def _again(again: Again, live: Report | None) -> list[RenderableType]:
    """The captured calls: one query, and the verdict when they are asked again."""
    table = Table(title=f"What they say instead, asked of {again.engine}", title_justify="left")
    for name in ("production", "candidate", "calls"):
        table.add_column(name, justify="right")
    for row in again.rows:
        table.add_row(*map(str, row))
    state = again.report.state
    text = Text.assemble(
        f"Asked again: {again.calls:,} calls in {again.seconds:.1f} s: ",
        (state, STYLES[state]),
        f"  {again.report.verdict.reason}",
    )
    if live is not None and state is not live.state:
        share = f"{live.verdict.coverage or 0.0:.1%} of the calls were compared"
        text.append(f"\nNot as live ({live.state}), where {share}.")
    return [
        Text(f"Captured: {again.captured:,} pairs in {again.files} Parquet files", style="bold"),
        Text(f"$ {again.command}", style="dim"),
        text,
        Text(),
        Text(again.query, style="dim"),
        table,
    ]


def _loss(row: ClassRow) -> int:
    return row.production_right - row.candidate_right
