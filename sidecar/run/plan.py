"""`shadow-sidecar plan`: how long a verdict takes, before one begins.

Counterpart: `judge.evidence.power`, which computes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from sidecar.judge.evidence.mixtures import Side

    Row = tuple[float, float, Side | None, float | None]  # in margins, effect, verdict, seconds

EFFECTS = (0.0, 0.2, 0.5, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0)
WIDTH = 22
EXIT_WRONG = 2


def plan(
    margin: Annotated[float, typer.Option(help="The margin, in the criterion's unit.")] = 0.01,
    calls_per_second: Annotated[
        float, typer.Option(help="Calls that will be compared.", metavar="CALLS")
    ] = 10.0,
    low: Annotated[
        float, typer.Option(help="Least score of a call: 0 for a rate, -1 for a difference.")
    ] = 0.0,
    high: Annotated[float, typer.Option(help="Largest score of a call.")] = 1.0,
    spread: Annotated[
        float | None,
        typer.Option(
            help="Standard deviation of a call's score. Default: that of events for a rate, for a "
            "difference that of calls of which 5 % differ.",
        ),
    ] = None,
    alpha: Annotated[float, typer.Option(help="As judge.alpha: half for each claim.")] = 0.05,
    swing: Annotated[float, typer.Option(help="As judge.swing.")] = 2.0,
    shadows: Annotated[int, typer.Option(help="Shadows that are tried at once.")] = 1,
) -> None:
    """Say how long PASS and FAIL take, for a range of true effects.

    A rate of 1 % at 50 calls a second: shadow-sidecar plan --margin 0.01 --calls-per-second 50.
    Accuracy within 2 points: --margin 0.02 --low -1. The times are of typical streams of
    independent calls; half of them take longer, and calls in bursts take longer still.
    """
    from rich.console import Console

    from sidecar.judge.evidence.combine import pass_alpha
    from sidecar.judge.evidence.mean_bets import MeanBets
    from sidecar.judge.evidence.mixtures import Side
    from sidecar.judge.evidence.power import seconds_until, spread_of_rate

    errors = [
        f"--{name} {value}: {why}"
        for name, value, right, why in (
            ("margin", margin, low < margin < high, f"between --low {low} and --high {high}"),
            ("calls-per-second", calls_per_second, 0 < calls_per_second < math.inf, "above 0"),
            ("alpha", alpha, 0 < alpha < 0.5, "between 0 and 0.5"),
            ("swing", swing, 1 <= swing <= 1000, "between 1 and 1000"),
            ("shadows", shadows, shadows >= 1, "at least 1"),
            ("spread", spread, spread is None or spread >= 0, "at least 0"),
        )
        if not right
    ]
    if errors:
        for line in errors:
            typer.echo(f"error: {line}", err=True)
        raise typer.Exit(EXIT_WRONG)
    claim = MeanBets(margin, swing, low, high)
    rows: list[Row] = []
    for effect in EFFECTS:
        mean = effect * margin
        if not low <= mean <= high or effect == 1:
            rows.append((effect, mean, None, None))
            continue
        side = Side.PASS if mean < margin else Side.FAIL
        error = pass_alpha(alpha / 2, shadows) if side is Side.PASS else alpha / 2
        own = spread
        if own is None:
            own = spread_of_rate(mean) if low == 0 else math.sqrt(0.05) * max(-low, high)
        rows.append((effect, mean, side, seconds_until(claim, side, mean, own, calls_per_second,
                                                       error)))  # fmt: skip
    Console().print(_table(rows, calls_per_second))


def _table(rows: list[Row], rate: float) -> Table:
    from rich.table import Table
    from rich.text import Text

    from sidecar.report.figures import count, span

    table = Table(box=None, pad_edge=False, title_justify="left",
                  title="Until a decision, by the true effect")  # fmt: skip
    for name in ("margins", "effect"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for name in ("after", "calls"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("10 s .. 100 d, log scale", no_wrap=True)
    low, high = math.log10(10), math.log10(100 * 86_400)
    for effect, mean, side, seconds in rows:
        if seconds is None:
            said = "none" if side is None else "> 400 d"
            table.add_row(f"{effect:g}", f"{mean:.4g}", said, "", "", "")
            continue
        share = (math.log10(min(max(seconds, 10), 100 * 86_400)) - low) / (high - low)
        style = "green" if side == "pass" else "red"
        table.add_row(
            f"{effect:g}",
            f"{mean:.4g}",
            Text(str(side).upper(), style=f"bold {style}"),
            span(seconds),
            count(seconds * rate),
            Text("█" * max(1, round(share * WIDTH)), style=style),
        )
    return table
