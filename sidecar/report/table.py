"""A report for a terminal. Counterparts: `build`, which makes it; `page`, for a browser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sidecar.judge.evidence.interval import Interval
from sidecar.judge.report import Verdict
from sidecar.report.figures import OUTCOMES
from sidecar.report.report import CallRow, Latency, OutputRow, Report

STYLES = {
    "PASS": "bold green",
    "FAIL": "bold red",
    "WATCHING": "bold yellow",
    "INCONCLUSIVE": "bold magenta",
}
WORST_SHOWN = 5
OUTPUTS_SHOWN = 12
NUMBERS = frozenset(
    [
        "agree",
        "differ",
        "largest",
        "margin",
        "estimate",
        "calls",
        "share",
        "p50",
        "p95",
        "p99",
        "mean",
    ]
)
SLICES_SHOWN = 10
NOTHING = "-"


def render(report: Report) -> RenderableType:
    """Lay a report out."""
    return Group(*_sections(report))


def line(report: Report) -> str:
    """The verdict in one line."""
    verdict = report.verdict
    name = f" {report.shadow}:" if report.shadow else ""
    return f"{verdict.state}{name} {verdict.reason} ({_basis(report)})"


def _basis(report: Report) -> str:
    verdict = report.verdict
    sidecars = verdict.judges
    return (
        f"{verdict.calls:,} calls, coverage {_share(verdict.coverage)}, "
        f"{sidecars} sidecar{'' if sidecars == 1 else 's'}"
    )


def _sections(report: Report) -> Iterator[RenderableType]:
    verdict = report.verdict
    yield Text.assemble((verdict.state, STYLES[verdict.state]), f"  {report.shadow}", style="bold")
    yield Text(f"{verdict.reason}\n{_basis(report)}")
    for notice in report.notices:
        yield Text(f"! {notice}", style="yellow")
    if verdict.criteria:
        yield Text()
        yield _criteria(verdict)
        for told in verdict.evidence:
            yield Text(f"Evidence of {told}" if ":" in told else told, style="dim")
    if verdict.slices:
        yield Text()
        yield _slices(verdict)
    if any(row.differ for row in report.outputs):
        yield Text()
        yield _outputs(report.outputs)
    if report.latency.production.count:
        yield Text()
        yield _latency(report.latency)
    worst = [row for row in report.worst if not row.slice]
    if worst:
        yield Text()
        yield _worst(worst)
    left_out = [row for row in report.sidecars if not row.counted]
    if left_out:
        names = ", ".join(row.source or row.instance for row in left_out)
        yield Text(f"\nNot counted, for other versions or rules: {names}", style="yellow")
    if report.service is not None:
        facts = report.service
        yield Text(
            f"\nOf the collector of {', '.join(facts.names)}: {facts.answering:,} answer, "
            f"{facts.gone:,} are gone and still count; attempt {facts.attempt}",
            style="dim",
        )
    for address, why in report.missing.items():
        yield Text(f"Could not be asked: {address}: {why}", style="yellow")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        right = column in NUMBERS
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    return table


def _outputs(outputs: Sequence[OutputRow]) -> Table:
    table = _table("Outputs", "output", "agree", "differ", "how", "largest")
    for row in [row for row in outputs if row.differ][:OUTPUTS_SHOWN]:
        how = ", ".join(f"{OUTCOMES.get(name, name)} {n:,}" for name, n in row.how.items())
        table.add_row(
            row.name + (" (noise?)" if row.noise else ""),
            f"{row.agree:,}",
            f"{row.differ:,}",
            how,
            _number(row.largest),
        )
    return table


def _criteria(verdict: Verdict) -> Table:
    table = _table(
        "Criteria", "criterion", "verdict", "margin", "estimate", "interval", "calls", "reason"
    )
    for row in verdict.criteria:
        table.add_row(
            row.name + ("" if row.required else " (informative)"),
            Text(row.state, style=STYLES[row.state]),
            _number(row.margin),
            _number(row.estimate),
            _interval(row.interval),
            f"{row.n:,.0f}",
            row.reason,
        )
    return table


def _slices(verdict: Verdict) -> Table:
    table = _table("Slices", "slice", "criterion", "", "estimate", "interval", "calls", "share")
    for row in verdict.slices[:SLICES_SHOWN]:
        table.add_row(
            row.slice,
            row.criterion,
            Text("worse", style=STYLES["FAIL"]) if row.flagged else "",
            _number(row.estimate),
            _interval(row.interval),
            f"{row.n:,.0f}",
            _share(row.share),
        )
    return table


def _latency(latency: Latency) -> Table:
    table = _table("Latency in ms, of the same calls", "side", "p50", "p95", "p99", "mean")
    for name, side in (("production", latency.production), ("shadow", latency.shadow)):
        table.add_row(name, *map(_number, (side.p50_ms, side.p95_ms, side.p99_ms, side.mean_ms)))
    return table


def _worst(rows: list[CallRow]) -> Table:
    table = _table("Worst calls", "criterion", "call", "outcome", "outputs", "trace")
    shown: dict[str, int] = {}
    for row in rows:
        shown[row.criterion] = shown.get(row.criterion, 0) + 1
        if shown[row.criterion] <= WORST_SHOWN:
            table.add_row(
                row.criterion,
                row.correlation_id,
                row.outcome,
                ", ".join(output.name for output in row.outputs) or row.detail or NOTHING,
                row.trace_id or NOTHING,
            )
    return table


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4g}"


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return NOTHING
    return f"{_number(interval[0])} to {_number(interval[1])}"
