"""`shadow-sidecar replay`: captured calls against a candidate, with the verdict as live.

Rule: everything that is wrong with what was asked for is said before anything is sent, with exit
code 2; Ctrl-C ends with what there is. Counterparts: `sidecar.replay`, which does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from sidecar.fields import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sidecar.replay.results import Results
    from sidecar.settings.settings import Settings

EXIT_USAGE = 2
CAPTURED = "captured"

Places = Annotated[
    list[str] | None,
    typer.Argument(help="Folders or files of captured calls, or one URI.", metavar="DIR|FILE..."),
]
Where = Annotated[
    str,
    typer.Option(
        help="Only these: outcome == 'value' and production_latency_ms > 10.", metavar="EXPR"
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="compare, judge: as live.", metavar="FILE"),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any other setting, by its path.", metavar="KEY.PATH=YAML"),
]


def replay(
    places: Places = None,
    shadow: Annotated[
        list[str] | None,
        typer.Option(
            help="A candidate that is asked; named if several.", metavar="[NAME=]HOST:PORT"
        ),
    ] = None,
    against: Annotated[
        str,
        typer.Option(
            help="What it is compared with: captured answers, or a server that is asked too.",
            metavar="captured|HOST:PORT",
        ),
    ] = CAPTURED,
    speed: Annotated[
        str, typer.Option(help="As captured, as fast as answered, or a rate.", metavar="1x|max|N")
    ] = "max",
    where: Where = "",
    limit: Annotated[int, typer.Option(help="At most so many calls; 0 is all.", min=0)] = 0,
    shard: Annotated[
        str,
        typer.Option(help="Only the I-th of N parts, from 0: for a Job of N pods.", metavar="I/N"),
    ] = "",
    html: Annotated[
        Path | None, typer.Option(help="Also write a page.", metavar="FILE", dir_okay=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Also write the result, for --compare.", metavar="FILE", dir_okay=False),
    ] = None,
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            help="Show results of --out side by side; sends nothing when no DIR is given.",
            metavar="FILE",
            dir_okay=False,
        ),
    ] = None,
    perturb: Annotated[
        list[str] | None,
        typer.Option(
            help="What a wrong input does instead: INPUT:noise=0.01, INPUT=missing, INPUT:swap.",
            metavar="CHANGE",
        ),
    ] = None,
    gate: Annotated[
        bool,
        typer.Option(
            "--gate",
            help="The verdict is the exit code: 0 PASS, 1 FAIL, 3 WATCHING, 4 INCONCLUSIVE.",
        ),
    ] = False,
    config: Config = None,
    settings: Set = None,
) -> None:
    """Ask a candidate what production was asked, and judge as live traffic is judged.

    The calls come from files that `capture` wrote with payloads. Criteria, rules and metadata
    policy are those of the configuration. Latencies of captured answers were measured elsewhere and
    then: with --against captured latency criteria say nothing about the candidate.
    """
    from rich.console import Console

    console = Console()
    results = _read(compare or ())
    if not places and results:
        console.print(_side_by_side(results))
        return
    if not places:
        refuse(["DIR|FILE: where are the captured calls? (or --compare FILE... to show results)"])
    if perturb:
        _perturb(places, shadow, against, where, limit, perturb, config, settings, html)
        return
    found = _replay(places, shadow, against, speed, where, limit, shard, config, settings)
    for report in found.reports:
        from sidecar.report.table import render

        console.print(render(report))
    console.print(_summary(found))
    try:
        if out is not None:
            found.write(out)
        if html is not None:
            from sidecar.report.page import render_html

            html.write_text("".join(render_html(r) for r in found.reports), encoding="utf-8")
    except OSError as error:
        refuse([f"{error.filename}: {error.strerror}"])
    if results:
        console.print(_side_by_side([*results, found]))
    if gate:
        raise typer.Exit(worst_exit(found.reports))


def _perturb(
    places: list[str],
    shadow: list[str] | None,
    against: str,
    where: str,
    limit: int,
    changes: list[str],
    config: Path | None,
    flags: list[str] | None,
    html: Path | None,
) -> None:
    from sidecar.capture.reader import CapturedError, open_captured
    from sidecar.replay.perturb import PerturbError, parse_change
    from sidecar.run import sensitivity

    errors: list[str] = []
    parsed, settings, captured = [], None, None
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
    try:
        captured = open_captured(places, where)
    except CapturedError as error:
        errors += error.errors
    if errors or settings is None or captured is None:
        refuse(errors)
    try:
        sensitivity.run(settings, captured, against, parsed, limit, html)
    except CapturedError as error:
        refuse(error.errors)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def worst_exit(reports: Sequence[Any]) -> int:
    """One exit code for several candidates: FAIL, then what is undecided, then PASS."""
    codes = [report.exit_code for report in reports]
    return next((code for code in (1, 4, 3, 0) if code in codes), 4)


def _replay(
    places: list[str],
    shadow: list[str] | None,
    against: str,
    speed: str,
    where: str,
    limit: int,
    shard: str,
    config: Path | None,
    flags: list[str] | None,
) -> Results:
    from sidecar.capture.reader import CapturedError, open_captured
    from sidecar.replay.pace import SpeedError, parse_speed

    errors: list[str] = []
    settings = captured = pace = None
    if not shadow:
        errors.append("--shadow: no candidate given; use --shadow [NAME=]HOST:PORT")
    try:
        settings = chosen_settings(config, flags, shadow or (), against)
    except ConfigError as error:
        errors += error.errors
    try:
        pace = parse_speed(speed)
    except SpeedError as error:
        errors.append(f"--speed: {error}")
    part = _shard(shard, errors)
    try:
        captured = open_captured(places, where)
    except CapturedError as error:
        errors += error.errors
    except ModuleNotFoundError:
        errors.append("pyarrow is missing: pip install 'shadow-sidecar[capture]'")
    if errors or settings is None or captured is None or pace is None:
        refuse(errors)
    total = captured.count()
    if not total:
        refuse([f"{', '.join(places)}: no call matches --where {where!r}"])
    from sidecar.replay.session import Session

    session = Session(settings, captured, against, pace, limit, part)
    try:
        found = asyncio.run(session.run(min(total, limit or total) // (part[1] if part else 1)))
    except CapturedError as error:
        refuse(error.errors)
    except KeyboardInterrupt:
        found = session.found(unfinished=True)
    return found.results(files=list(captured.files), where=where, against=against, speed=speed)


def chosen_settings(
    config: Path | None, flags: list[str] | None, shadow: Sequence[str], against: str
) -> Settings:
    """The configuration of a replay, with the candidates as shadows.

    Raises:
        ConfigError: with every error at once.
    """
    from sidecar.replay.book import offline
    from sidecar.settings.sources import load, put

    tree: dict[str, Any] = {}
    errors: list[str] = []
    if shadow:
        names = [text.partition("=") for text in shadow]
        tree["shadows"] = [
            {"name": name, "address": address} if equals else {"name": "candidate", "address": name}
            for name, equals, address in names
        ]
    for item in flags or ():
        path, equals, value = item.partition("=")
        try:
            put(tree, path.split("."), value)
        except ValueError as error:
            errors.append(f"--set {item!r}: {error}")
        if not equals:
            errors.append(f"--set {item!r}: write it as key.path=value")
    if against != CAPTURED:
        from sidecar.address import parse_address

        try:
            parse_address(against)
        except ValueError as error:
            errors.append(f"--against {against!r}: must be captured or HOST:PORT: {error}")
    try:
        settings = load(config, flags=tree)
    except ConfigError as error:
        raise ConfigError([*errors, *error.errors]) from None
    if errors:
        raise ConfigError(errors)
    return offline(settings, timed=against != CAPTURED)


def _shard(text: str, errors: list[str]) -> tuple[int, int] | None:
    if not text:
        return None
    index, slash, shards = text.partition("/")
    if slash and index.isdecimal() and shards.isdecimal() and 0 <= int(index) < int(shards):
        return int(index), int(shards)
    errors.append(f"--shard {text!r}: must be I/N with I from 0 to N - 1")
    return None


def _read(files: Sequence[Path]) -> list[Results]:
    from sidecar.replay.results import ResultsError, read_results

    found, errors = [], []
    for file in files:
        try:
            found.append(read_results(file))
        except ResultsError as error:
            errors.append(f"--compare {error}")
    if errors:
        refuse(errors)
    return found


def _summary(found: Results) -> RenderableType:
    from rich.text import Text

    rate = found.calls / found.seconds if found.seconds else 0.0
    text = f"{found.calls:,} calls in {found.seconds:,.1f} s ({rate:,.0f} a second)"
    if found.unfinished:
        text += "; interrupted: the rest was not sent"
    if found.late:
        text += f"; {found.late:,} were sent over a second late: the candidate is slower than asked"
    for name, codes in found.status.items():
        failed = sum(n for code, n in codes.items() if code != "0")
        if failed:
            kinds = ", ".join(f"{n:,} x status {code}" for code, n in codes.items() if code != "0")
            text += f"\n{name} failed {failed:,} calls: {kinds}"
    return Text("\n".join([text, *found.notes]))


def _side_by_side(results: Sequence[Results]) -> RenderableType:
    from rich.table import Table

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


def refuse(errors: Sequence[str]) -> NoReturn:
    """End with everything that is wrong."""
    for line in errors:
        typer.echo(f"error: {line}", err=True)
    typer.echo("Nothing was sent. `shadow-sidecar replay --help` shows what is allowed.", err=True)
    raise typer.Exit(EXIT_USAGE)
