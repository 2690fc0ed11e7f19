"""`shadow-sidecar replay`: captured calls against a candidate, with the verdict as live.

Rule: everything that is wrong with what was asked for is said before anything is sent, with exit
code 2; Ctrl-C, and a pod's SIGTERM, end with what there is. Counterparts: `replay.session`, which
does it; `offline`, what commands over captured calls share; `replayed`, what is shown.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sidecar.fields import ConfigError
from sidecar.run.offline import (
    CAPTURED,
    EXIT_STOPPED,
    Config,
    Labels,
    Places,
    Set,
    Where,
    check_writable,
    chosen_settings,
    opened,
    read_labels,
    refuse,
    worst_exit,
)

if TYPE_CHECKING:
    from sidecar.replay.results import Results
    from sidecar.replay.session import Chosen, Session


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
    labels: Labels = None,
    shard: Annotated[
        str,
        typer.Option(help="Only the I-th of N parts, from 0: for a Job of N pods.", metavar="I/N"),
    ] = "",
    add: Annotated[
        list[Path] | None,
        typer.Option(
            help="Add the results of all shards up to one; sends nothing. Of a folder, its *.json.",
            metavar="FILE|DIR",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Also write a page.", metavar="FILE", dir_okay=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Also write the result, for --compare, --add and --resume.",
            metavar="FILE",
            dir_okay=False,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from --out FILE, if it is there: what is done stays."),
    ] = False,
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
    from sidecar.run.replayed import show

    errors: list[str] = []
    results = _read("--compare", compare or (), errors)
    parts = _read("--add", _inside(add or ()), errors)
    check_writable({"--out": out, "--html": html}, errors)
    if perturb:
        beside = {"--shard": shard, "--out": out, "--resume": resume, "--gate": gate, "--add": add}
        errors += [
            f"--perturb measures each version by itself: not with {flag}"
            for flag, given in beside.items()
            if given
        ]
    if resume and out is None:
        errors.append("--resume: name the result that it goes on from with --out FILE")
    if add and not parts and not errors:
        errors.append(f"--add {add[0]}: no results (*.json) there")
    elif not places and not results and not parts:
        errors.append("DIR|FILE: where are the captured calls? (or --compare, --add FILE...)")
    if places and parts:
        errors.append("--add: adds results, and sends nothing; leave DIR out")
    found = None
    if parts and not errors:
        found = _added(parts)
    elif places:
        if perturb:
            from sidecar.run.sensitivity import perturbed

            perturbed(
                places, shadow, against, where, limit, perturb, config, settings, html, errors
            )
            return
        chosen = _chosen(
            places, shadow, against, speed, where, limit, labels, shard, config, settings, errors
        )
        found = _replayed(chosen, out, resume, errors)
    if errors:
        refuse(errors)
    show(found, results, out=out, html=html)
    if found is not None and gate:
        raise typer.Exit(worst_exit(found.reports))
    if found is not None and found.unfinished:
        raise typer.Exit(EXIT_STOPPED)


def _chosen(
    places: Sequence[str],
    shadow: Sequence[str] | None,
    against: str,
    speed: str,
    where: str,
    limit: int,
    labels: Path | None,
    shard: str,
    config: Path | None,
    flags: list[str] | None,
    errors: list[str],
) -> Chosen:
    from sidecar.replay.pace import Pace, SpeedError, parse_speed

    settings, pace = None, Pace()
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
    truth = read_labels(labels, errors)
    captured = opened(places, where, errors)
    if errors or settings is None or captured is None:
        refuse(errors)
    from sidecar.replay.session import Chosen

    return Chosen(settings, captured, where, against, speed, pace, limit, part, truth)


def _replayed(chosen: Chosen, out: Path | None, resume: bool, errors: list[str]) -> Results:
    from sidecar.capture.reader import CapturedError
    from sidecar.replay.replay import SilentError
    from sidecar.replay.results import ResultsError, read_results
    from sidecar.replay.session import Session

    try:
        if not chosen.total():
            refuse([f"no call matches --where {chosen.where!r}, --limit and --shard"])
        before = None
        if resume and out is not None and out.exists():
            before = read_results(out)
        session = Session(chosen, before)
    except ResultsError as error:
        refuse([f"--resume: {out}: {error}"])
    except CapturedError as error:
        refuse(error.errors)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_STOPPED) from None
    if before is not None and not before.unfinished:
        typer.echo(f"{out}: is finished; nothing is left to send", err=True)
        return before

    def save(found: Results) -> None:
        if out is not None:
            found.write(out)

    import uvloop

    try:
        finished = uvloop.run(_until_stopped(session, save if out is not None else None))
    except CapturedError as error:
        refuse(error.errors, sent=session.sent)
    except SilentError as error:
        refuse([str(error)], sent=session.sent)
    except OSError as error:
        refuse([f"{error.filename}: {error.strerror}"], sent=session.sent)
    return session.results(unfinished=not finished)


async def _until_stopped(session: Session, save: Callable[[Results], None] | None) -> bool:
    """Whether it came to its end. One Ctrl-C or SIGTERM ends it well, a second one at once."""
    loop = asyncio.get_running_loop()
    running = loop.create_task(session.run(save))

    def stop() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await running
    except asyncio.CancelledError:
        return False
    return True


def _added(parts: Sequence[tuple[str, Results]]) -> Results:
    from sidecar.replay.judged import added_up
    from sidecar.replay.results import ResultsError, add

    try:
        whole, messages = add(parts)
    except ResultsError as error:
        refuse([f"--add: {error}"])
    return replace(whole, reports=added_up(messages, time.time()))


def _shard(text: str, errors: list[str]) -> tuple[int, int] | None:
    if not text:
        return None
    index, slash, shards = text.partition("/")
    if slash and index.isdecimal() and shards.isdecimal() and 0 <= int(index) < int(shards):
        return int(index), int(shards)
    errors.append(f"--shard {text!r}: must be I/N with I from 0 to N - 1")
    return None


def _inside(places: Sequence[Path]) -> list[Path]:
    """The files that are named, and those in the folders that are."""
    return [
        file
        for place in places
        for file in (sorted(place.glob("*.json")) if place.is_dir() else [place])
    ]


def _read(flag: str, files: Sequence[Path], errors: list[str]) -> list[tuple[str, Results]]:
    from sidecar.replay.results import ResultsError, read_results

    found = []
    for file in files:
        try:
            found.append((str(file), read_results(file)))
        except ResultsError as error:
            errors.append(f"{flag} {error}")
    return found
