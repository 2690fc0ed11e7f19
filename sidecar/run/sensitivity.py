"""`shadow-sidecar replay --perturb`: what an input that is a little wrong does to each version.

Counterpart: `sidecar.replay.sensitivity`, which measures.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sidecar.fields import ConfigError
from sidecar.run.offline import EXIT_STOPPED, chosen_settings, opened, refuse

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sidecar.capture.reader import Captured
    from sidecar.replay.changes.base import Change
    from sidecar.replay.sensitivity import Sensitivity
    from sidecar.settings.settings import Settings

CALLS = 1000  # unless --limit says otherwise: each is asked once for every change and version
SEED = 20260101
WIDTH = 30
LOOKED_AT = 100  # calls whose inputs are known before anything is sent


def perturbed(
    places: Sequence[str],
    shadow: Sequence[str] | None,
    against: str,
    where: str,
    limit: int,
    changes: Sequence[str],
    config: Path | None,
    flags: list[str] | None,
    html: Path | None,
    errors: list[str],
) -> None:
    """Measure and show; production takes part when it is given as `against`."""
    from rich.console import Console

    from sidecar.capture.reader import CapturedError
    from sidecar.replay.changes.base import PerturbError, parse_change

    parsed, settings = [], None
    if not shadow:
        errors.append("--shadow: no candidate given; use --shadow [NAME=]HOST:PORT")
    for text in changes:
        try:
            parsed.append(parse_change(text))
        except PerturbError as error:
            errors.append(f"--perturb {error}")
    try:
        settings = chosen_settings(config, flags, shadow or (), against)
    except ConfigError as error:
        errors += error.errors
    captured = opened(places, where, errors)
    if not errors and settings is not None and captured is not None:
        errors += _impossible(settings, captured, parsed)
    if errors or settings is None or captured is None:
        refuse(errors)
    import uvloop

    try:
        found = uvloop.run(_measure(settings, captured, against, parsed, limit or CALLS))
    except CapturedError as error:
        refuse(error.errors)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_STOPPED) from None
    Console().print(table(found))
    if html is not None:
        html.write_text(page(found), encoding="utf-8")


def _impossible(settings: Settings, captured: Captured, changes: Sequence[Change]) -> list[str]:
    """What of the changes nobody can make, in these calls, and why; a line each."""
    from sidecar.capture.reader import CapturedError
    from sidecar.compare.payload import UndecodableError
    from sidecar.compare.readers.registry import Registry
    from sidecar.replay.changes.changers import changer, why_not
    from sidecar.replay.recorded import recorded

    registry = Registry.from_settings(settings.compare)
    wrong: dict[str, None] = {}
    inputs: dict[str, None] = {}
    calls = 0
    try:
        for row in captured.rows(["method"]):
            method = row["method"]
            if changer(registry.reader(method)) is None:
                wrong[why_not(method, registry.reader(method))] = None
        for call in islice(recorded(captured), LOOKED_AT):
            calls += 1
            for message in call.request:
                try:
                    read = registry.reader(call.method).read_request(message)
                except UndecodableError:
                    continue
                for output in read.outputs:
                    inputs[output.name] = None
                    if output.name == "names":  # Seldon's columns
                        inputs |= dict.fromkeys(
                            n.decode(errors="replace") for n in output.array.reshape(-1).tolist()
                        )
    except CapturedError as error:
        return error.errors
    if not calls:
        return ["no call matches --where"]
    errors = [f"--perturb: {line}" for line in wrong]
    if not errors:
        errors += [
            f"--perturb {str(change)!r}: the first {calls:,} requests have no input "
            f"{change.input!r}; there are {', '.join(list(inputs)[:20]) or 'none'}"
            for change in changes
            if change.input not in inputs
        ]
    return errors


async def _measure(
    settings: Settings, captured: Captured, against: str, changes: Sequence[Change], limit: int
) -> list[Sensitivity]:
    import numpy as np
    from rich.console import Console
    from rich.progress import track

    from sidecar.compare.comparer import Comparer
    from sidecar.compare.readers.registry import Registry
    from sidecar.replay.candidate import Candidate
    from sidecar.replay.recorded import recorded
    from sidecar.replay.sensitivity import measure
    from sidecar.tee.settings import ShadowSettings

    asked = list(settings.shadows)
    if against != "captured":
        deadline = asked[0].deadline_seconds
        asked.insert(
            0, ShadowSettings(name="production", address=against, deadline_seconds=deadline)
        )
    versions = [Candidate(s, time.monotonic_ns) for s in asked]
    comparer = Comparer(settings.compare, Registry.from_settings(settings.compare))
    total = min(limit, captured.count())
    calls = track(
        islice(recorded(captured), limit),
        "Perturbing",
        total=total,
        console=Console(stderr=True),
        transient=True,
    )
    try:
        return await measure(
            comparer, versions, calls, changes, np.random.default_rng(SEED), lambda _: None
        )
    finally:
        for version in versions:
            await version.close()


def table(found: Sequence[Sensitivity]) -> RenderableType:
    """A row for every change and version, with a bar for the share of flips."""
    from rich.table import Table

    shown = Table(
        title="What a wrong input does, each version against itself",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for name in ("change", "version", "flips", "mean change", "elasticity", "failed", "calls", ""):
        shown.add_column(name, justify="left" if name in {"change", "version", ""} else "right")
    last = ""
    for one in found:
        low, high = one.flip_interval
        share = one.flips / one.calls if one.calls else 0.0
        shown.add_row(
            "" if str(one.change) == last else str(one.change),
            one.version,
            f"{share:.1%} ({low:.1%} to {high:.1%})" if one.calls else "-",
            _mean(one.change_mean.value, one.change_mean.half_width),
            _mean(one.elasticity.value, one.elasticity.half_width),
            f"{one.failed:,}",
            f"{one.calls:,}" + (f" ({one.left_out:,} left out)" if one.left_out else ""),
            "█" * round(WIDTH * share),
        )
        last = str(one.change)
    return shown


def _mean(value: float, half: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:.3g}" + (f" ± {half:.2g}" if math.isfinite(half) else "")


def page(found: Sequence[Sensitivity]) -> str:
    """The same as a page: a bar of flips for each change and version, with its interval."""
    from html import escape

    rows, y = [], 30
    colors = ("#2a6f97", "#c1121f", "#6a994e", "#7b2cbf")
    names = list(dict.fromkeys(one.version for one in found))
    for one in found:
        low, high = one.flip_interval
        share = one.flips / one.calls if one.calls else 0.0
        color = colors[names.index(one.version) % len(colors)]
        label = escape(f"{one.change} · {one.version}")
        rows.append(
            f'<text x="290" y="{y + 11}" text-anchor="end" font-size="12">{label}</text>'
            f'<rect x="300" y="{y}" width="{400 * share:.1f}" height="14" fill="{color}"/>'
            f'<line x1="{300 + 400 * low:.1f}" x2="{300 + 400 * high:.1f}" y1="{y + 7}" '
            f'y2="{y + 7}" stroke="#222"/>'
            f'<text x="{310 + 400 * high:.1f}" y="{y + 11}" font-size="11">{share:.1%}</text>'
        )
        y += 22
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Sensitivity</title>"
        "<h1>What a wrong input does</h1><p>Share of calls whose answer changes, with its 95 % "
        "interval; each version against itself.</p>"
        f'<svg viewBox="0 0 800 {y + 10}" width="100%" role="img" aria-label="share of flips" '
        f'font-family="sans-serif">{"".join(rows)}</svg></html>'
    )
