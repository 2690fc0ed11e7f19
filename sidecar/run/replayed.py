"""What a replay found, as people read it. Counterparts: `replay`, the command; `replay.results`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sidecar.replay.results import Results

_CODES = {str(code.value[0]): code.name for code in grpc.StatusCode}


def summary(found: Results) -> RenderableType:
    """What was asked, how fast, and what failed."""
    rate = found.calls / found.seconds if found.seconds else 0.0
    text = f"{found.calls:,} calls in {found.seconds:,.1f} s ({rate:,.0f} a second)"
    if found.unfinished:
        text += "; interrupted: the rest was not sent, --resume goes on from here"
    if found.late:
        text += f"; {found.late:,} were sent over a second late: the candidate is slower than asked"
    for name, codes in found.status.items():
        failed = {code: n for code, n in codes.items() if code != "0"}
        if failed:
            kinds = ", ".join(f"{n:,} x {_CODES.get(code, code)}" for code, n in failed.items())
            text += f"\n{name} failed {sum(failed.values()):,} calls: {kinds}"
    return Text("\n".join([text, *found.notes]))


def side_by_side(results: Sequence[Results]) -> RenderableType:
    """Candidates of several results, a column each."""
    table = Table(title="Candidates side by side", title_justify="left", box=None, pad_edge=False)
    columns = [(result, report) for result in results for report in result.reports]
    table.add_column("")
    for number, (_, report) in enumerate(columns, 1):
        table.add_column(f"{number}. {report.shadow}", justify="right")
    table.add_row("verdict", *(report.state.value for _, report in columns))
    table.add_row("calls", *(f"{report.verdict.calls:,}" for _, report in columns))
    names = dict.fromkeys(row.name for _, report in columns for row in report.verdict.criteria)
    for name in names:
        cells = []
        for _, report in columns:
            rows = {row.name: row for row in report.verdict.criteria}
            estimate = rows[name].estimate if name in rows else None
            cells.append("-" if estimate is None else f"{estimate:.4g} {rows[name].state.value}")
        table.add_row(name, *cells)
    table.add_row("p50 ms", *(_ms(report.latency.shadow.p50_ms) for _, report in columns))
    table.add_row("p99 ms", *(_ms(report.latency.shadow.p99_ms) for _, report in columns))
    return table


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def show(
    found: Results | None,
    others: Sequence[tuple[str, Results]],
    *,
    out: Path | None,
    html: Path | None,
) -> None:
    """Print what was found, and write what was asked for.

    Args:
        found: this replay's result; None when only others are shown.
        others: results to set beside it, by their files.
        out: where the result is written.
        html: where the page is written.
    """
    from rich.console import Console

    from sidecar.report.page import render_html
    from sidecar.report.table import render
    from sidecar.run.offline import refuse

    console = Console()
    if found is not None:
        for report in found.reports:
            console.print(render(report))
        console.print(summary(found))
        try:
            if out is not None:
                found.write(out)
            if html is not None:
                html.write_text("".join(map(render_html, found.reports)), encoding="utf-8")
        except OSError as error:
            refuse([f"{error.filename}: {error.strerror}"], sent=found.calls)
    if others:
        console.print(side_by_side([r for _, r in others] + ([found] if found else [])))
