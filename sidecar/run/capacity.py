"""`shadow-sidecar capacity`: how much traffic a candidate takes before mirroring begins.

Counterpart: `sidecar.replay.capacity`, which measures.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sidecar.fields import ConfigError
from sidecar.run.offline import (
    Config,
    Set,
    Where,
    check_writable,
    chosen_settings,
    opened,
    refuse,
)

if TYPE_CHECKING:
    from sidecar.replay.capacity import SLO, Advice, Capacity, Step

CALLS_KEPT = 2000
WIDTH = 40


def capacity(
    shadow: Annotated[str, typer.Option(help="The candidate that is loaded.", metavar="HOST:PORT")],
    source: Annotated[
        list[str], typer.Option("--from", help="Captured calls.", metavar="DIR|FILE")
    ],
    slo: Annotated[str, typer.Option(help="What is good enough.", metavar="pNN=TIME")] = "",
    where: Where = "",
    first: Annotated[float, typer.Option(help="The first rate, calls a second.", min=0.1)] = 10.0,
    most: Annotated[float, typer.Option(help="The highest rate that is tried.", min=1)] = 20_000.0,
    seconds: Annotated[float, typer.Option(help="How long each rate is held.", min=0.1)] = 5.0,
    even_production: Annotated[
        bool,
        typer.Option("--even-production", help="Load it although it is an upstream of --config."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Steps, knee and advice as JSON.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(help="Also write the plot as a page.", metavar="FILE", dir_okay=False),
    ] = None,
    config: Config = None,
    settings: Set = None,
) -> None:
    """Find the rate at which a candidate stops keeping up, and say what to configure.

    Captured calls are sent at rates that double and then close in on the knee, in an open loop. The
    knee is told as an interval: the highest rate that held in every repetition, and the lowest that
    did not. Give --config so that production's own address is known and refused.
    """
    from sidecar.capture.reader import CapturedError
    from sidecar.replay.capacity import SLO, advise

    errors: list[str] = []
    chosen = None
    try:
        wanted = SLO.parse(slo) if slo else SLO()
    except ValueError as error:
        wanted = SLO()
        errors.append(f"--slo {error}")
    try:
        chosen = chosen_settings(config, settings, [shadow], "captured")
    except ConfigError as error:
        errors += error.errors
    if chosen is not None and not even_production:
        upstreams = {route.upstream for route in chosen.wire.routes}
        if shadow in upstreams:
            errors.append(
                f"--shadow {shadow!r}: is production (wire.routes in {config}); "
                "say --even-production if you mean it"
            )
    captured = opened(source, where, errors)
    check_writable({"--html": html}, errors)
    if errors or chosen is None or captured is None:
        refuse(errors)
    import uvloop

    try:
        found, rate = uvloop.run(_measure(chosen, captured, wanted, first, most, seconds, as_json))
    except CapturedError as error:
        refuse(error.errors)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    advice = advise(found, rate)
    if as_json:
        typer.echo(json.dumps(_plain(found, advice, rate), indent=1))
    else:
        _print(found, advice, rate, wanted)
    if html is not None:
        html.write_text(page(found, wanted, shadow), encoding="utf-8")


async def _measure(
    settings: Any,
    captured: Any,
    slo: SLO,
    first: float,
    most: float,
    seconds: float,
    quiet: bool,
) -> tuple[Capacity, float | None]:
    from rich.console import Console

    from sidecar.replay.candidate import Candidate
    from sidecar.replay.capacity import UNDER_WAY, find
    from sidecar.replay.recorded import recorded

    calls = list(islice(recorded(captured), CALLS_KEPT))
    if not calls:
        refuse(["--from: no call is there"])
    # Enough of them in the captured time tell production's rate, if all of them were captured.
    span = (calls[-1].started_ns - calls[0].started_ns) / 1e9
    rate = (len(calls) - 1) / span if span > 0 else None
    shadow = settings.shadows[0].model_copy(update={"concurrency": UNDER_WAY})
    candidate = Candidate(shadow, time.monotonic_ns)
    console = Console(stderr=True, quiet=quiet)
    try:
        found = await find(
            candidate,
            calls,
            slo,
            first=first,
            most=most,
            seconds=seconds,
            told=lambda one: console.print(_line(one, slo)),
        )
    finally:
        await candidate.close()
    return found, rate


def _line(one: Step, slo: SLO) -> str:
    mark = "holds" if one.holds(slo) else "breaks"
    return (
        f"{one.rate:>9,.0f}/s  p50 {_ms(one.p50)}  p99 {_ms(one.p99)}  "
        f"{one.failed + one.overflowed:,} lost  {mark}"
    )


def _ms(seconds: float) -> str:
    return "     -   " if not math.isfinite(seconds) else f"{seconds * 1e3:7.1f} ms"


def _print(found: Capacity, advice: Advice | None, rate: float | None, slo: SLO) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(box=None, pad_edge=False, title="Latency against rate", title_justify="left")
    for name in ("calls/s", "p50", "p99", "lost", ""):
        table.add_column(name, justify="left" if not name else "right")
    finite = [one.p99 for one in found.steps if math.isfinite(one.p99)]
    largest = max(finite, default=1.0)
    for one in sorted(found.steps, key=lambda s: s.rate):
        length = round(WIDTH * min(1.0, one.p99 / largest)) if math.isfinite(one.p99) else WIDTH
        style = "green" if one.holds(slo) else "red"
        table.add_row(
            f"{one.rate:,.0f}",
            _ms(one.p50),
            _ms(one.p99),
            f"{one.failed + one.overflowed:,}",
            f"[{style}]{'█' * max(1, length)}[/]",
        )
    console.print(table)
    if found.breaks is None:
        console.print(f"Holds at {found.holds:,.0f} calls a second; nothing higher was tried.")
    elif not found.holds:
        console.print(f"Does not hold even {found.breaks:,.0f} calls a second.")
    else:
        console.print(
            f"Holds {found.holds:,.0f} calls a second, and no longer {found.breaks:,.0f}."
        )
    if advice is None:
        return
    console.print("Configure, with a fifth to spare:")
    console.print(f"  shadows[].rate.calls_per_second: {advice.rate:.0f}")
    console.print(f"  shadows[].concurrency: {advice.concurrency}")
    console.print(f"  shadows[].queue.calls: {advice.queue_calls}")
    if rate is not None and advice.fraction is not None:
        console.print(
            f"  sample.fraction: {advice.fraction:.3g}   # the captured calls came at "
            f"{rate:,.1f} a second; more, if only a part of them was captured"
        )


def _plain(found: Capacity, advice: Advice | None, rate: float | None) -> dict[str, Any]:
    return {
        "holds": found.holds,
        "breaks": found.breaks,
        "captured_rate": rate,
        "steps": [
            {k: v if math.isfinite(v) else None for k, v in asdict(one).items()}
            for one in found.steps
        ],
        "advice": None if advice is None else asdict(advice),
    }


def page(found: Capacity, slo: SLO, name: str) -> str:
    """The plot of latency and errors against rate, as a page of its own."""
    from html import escape

    steps = sorted(found.steps, key=lambda one: one.rate)
    left, top, width, height = 60, 20, 640, 300
    rates = [math.log(one.rate) for one in steps]
    span = (max(rates) - min(rates)) or 1.0
    finite = [v for one in steps for v in (one.p50, one.p99) if math.isfinite(v)]
    largest = max(finite, default=1.0)

    def x(rate: float) -> float:
        return left + width * (math.log(rate) - min(rates)) / span

    def y(value: float) -> float:
        return top + height * (1 - min(1.0, value / largest))

    def line(points: Sequence[tuple[float, float]], color: str) -> str:
        text = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        return f'<polyline points="{text}" fill="none" stroke="{color}" stroke-width="2"/>'

    parts = [
        line([(x(s.rate), y(getattr(s, q))) for s in steps if math.isfinite(getattr(s, q))], c)
        for q, c in (("p50", "#2a6f97"), ("p99", "#c1121f"))
    ]
    for one in steps:
        color = "#2b9348" if one.holds(slo) else "#c1121f"
        parts.append(f'<circle cx="{x(one.rate):.1f}" cy="{top + height}" r="4" fill="{color}"/>')
        parts.append(
            f'<text x="{x(one.rate):.1f}" y="{top + height + 18}" font-size="10" '
            f'text-anchor="middle">{one.rate:,.0f}</text>'
        )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Capacity</title>"
        f"<h1>Capacity of {escape(name)}</h1>"
        f"<p>p50 (blue) and p99 (red) in milliseconds, up to {largest * 1e3:,.1f}, against calls a "
        "second; a green dot held, a red one did not.</p>"
        f'<svg viewBox="0 0 {left + width + 20} {top + height + 30}" width="100%" role="img" '
        f'aria-label="latency against rate" font-family="sans-serif">'
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" '
        f'stroke="#999"/>{"".join(parts)}</svg></html>'
    )
