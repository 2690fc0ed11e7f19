"""`shadow-sidecar experiment`: what is kept on disk, with or without a running sidecar.

Rule: reading changes nothing and waits for nobody; a reset ends experiments, keeps what they
counted, and is an attempt, which the next experiment on the same candidate pays for. Counterparts:
`store.reading`, which does it; `run.state`, where the directories are.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from sidecar.store.reading import Found

EXIT_USAGE = 2

experiment = typer.Typer(
    no_args_is_help=True,
    help="What was counted and decided, as it is kept on disk: one experiment for each shadow, "
    "pair of versions and set of rules.",
)
State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        help="The directory; else every one of this user's.",
        metavar="DIR",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
Shadow = Annotated[
    str | None, typer.Option("--shadow", help="Of this shadow only.", metavar="NAME")
]
Version = Annotated[
    str | None, typer.Option("--version", help="Of this shadow version only.", metavar="VERSION")
]
Number = Annotated[
    str | None, typer.Argument(help="Its number, as `list` tells it.", metavar="[NUMBER]")
]


@experiment.command("list")
def list_(state: State = None, as_json: Json = False) -> None:
    """List the experiments, latest seen first."""
    found = _found(state)
    if as_json:
        typer.echo(json.dumps([_plain(one) for one in found], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("number", "shadow", "production", "version", "state", "calls", "attempt",
                 "seen", "rules", "ended"):  # fmt: skip
        table.add_column(name, justify="right" if name in {"calls", "attempt"} else "left")
    for one in found:
        row = one.row
        table.add_row(
            _number(one),
            row.key.name,
            row.key.production or "-",
            row.key.shadow or "-",
            row.state,
            f"{row.calls:,}",
            str(row.attempt),
            _when(row.seen_unix_ns),
            row.key.digest[:8],
            row.ended,
        )
    Console(width=None if os.isatty(1) else 200).print(table)
    for folder in sorted({one.file.parent for one in found}):
        typer.echo(f"in {folder}")


@experiment.command()
def show(number: Number = None, state: State = None, as_json: Json = False) -> None:
    """Show one experiment: what it was about, what was decided and why, when nobody watched."""
    from sidecar.store.folder import StoreError
    from sidecar.store.reading import whole

    found = _chosen(_found(state), number)
    try:
        kept = whole(found)
    except StoreError as error:
        _refuse(str(error))
    gaps = kept.pieces.get("row/gaps") or []
    away = [{"from": a / 1e9, "seconds": max(0, b - a) / 1e9, "lost_calls": n} for a, b, n in gaps]
    if as_json:
        typer.echo(
            json.dumps({**_plain(found), "pieces": len(kept.pieces), "away": away}, indent=2)
        )
        return
    row = found.row
    decided = _when(row.decided_unix_ns) if row.decided_unix_ns else "not yet"
    for name, value in (
        ("experiment", f"{_number(found)} in {found.file}"),
        ("shadow", row.key.name),
        ("versions", f"production {row.key.production or '?'}, shadow {row.key.shadow or '?'}"),
        ("rules", row.key.digest),
        ("attempt", f"{row.attempt} on this candidate"),
        ("state", row.state),
        ("reason", row.reason),
        ("calls", f"{row.calls:,}"),
        ("began", _when(row.began_unix_ns)),
        ("decided", decided),
        ("last call", _when(row.seen_unix_ns)),
        ("written", _when(row.written_unix_ns)),
        ("ended", row.ended or "no"),
        ("kept", f"{len(kept.pieces):,} pieces"),
    ):
        typer.echo(f"{name:<12}{value}")
    for gap in away:
        lost = "" if gap["lost_calls"] is None else f", {gap['lost_calls']:,.0f} calls unseen"
        typer.echo(f"{'away':<12}{_when(int(gap['from'] * 1e9))}, {gap['seconds']:.1f} s{lost}")


@experiment.command()
def reset(
    state: State = None,
    shadow: Shadow = None,
    version: Version = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Begin anew: end the experiments that live, also while a sidecar runs.

    What they counted stays on disk. Each was an attempt, also if it decided nothing: the next
    experiment on the same candidate may err with less, so that all together keep alpha.
    """
    from sidecar.store.folder import StoreError
    from sidecar.store.kept import Row
    from sidecar.store.reading import reset as reset_in

    def chosen(row: Row) -> bool:
        return shadow in {None, row.key.name} and version in {None, row.key.shadow}

    found = [one for one in _found(state) if not one.row.ended and chosen(one.row)]
    if not found:
        _refuse("no experiment that lives is meant: see `shadow-sidecar experiment list`")
    folders = sorted({one.file.parent for one in found})
    if len(folders) > 1:
        _refuse(f"there are several directories, name one with --state: {_words(folders)}")
    if not yes:
        for one in found:
            row = one.row
            typer.echo(f"{row.key.name} {row.key.shadow or '?'}: {row.state}, {row.calls:,} calls")
        typer.confirm("End them? Each is an attempt", abort=True)
    try:
        ended = reset_in(folders[0], chosen)
    except StoreError as error:
        _refuse(str(error))
    if as_json:
        typer.echo(json.dumps([_plain(one) for one in ended], indent=2))
        return
    for one in ended:
        row = one.row
        typer.echo(
            f"ended {_number(one)}: {row.key.name} {row.key.shadow or '?'}, {row.state}; the next "
            "one is a further attempt"
        )
    typer.echo("A running sidecar begins anew within two seconds.")


def _found(state: Path | None) -> list[Found]:
    from sidecar.run.state import base
    from sidecar.store.folder import StoreError
    from sidecar.store.reading import listed

    folders = [state] if state else _folders(base(os.environ))
    if not folders:
        _refuse("this user has no kept state: name a directory with --state")
    found: list[Found] = []
    problems = []
    for folder in folders:
        try:
            found += listed(folder)
        except StoreError as error:
            problems.append(str(error))
    for problem in problems:
        typer.echo(f"error: {problem}", err=True)
    if problems and not found:
        raise typer.Exit(EXIT_USAGE)
    return sorted(found, key=lambda one: -one.row.seen_unix_ns)


def _folders(under: Path | None) -> list[Path]:
    if under is None or not under.is_dir():
        return []
    return sorted(path for path in under.iterdir() if any(path.glob("evidence-*.db")))


def _chosen(found: Sequence[Found], number: str | None) -> Found:
    if number is None:
        if not found:
            _refuse("nothing is kept yet")
        return found[0]
    one = [f for f in found if _number(f) == number]
    if len(one) != 1:
        _refuse(f"{number!r}: one of {_words(_number(f) for f in found)}")
    return one[0]


def _number(found: Found) -> str:
    return f"{found.identity[:4]}-{found.row.number}"


def _plain(found: Found) -> dict[str, Any]:
    row = asdict(found.row)
    key = found.row.key._asdict()
    del row["key"]
    return {"id": _number(found), "file": str(found.file), **key, **row}


def _when(unix_ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(unix_ns / 1e9)) if unix_ns else "-"


def _words(items: Iterable[object]) -> str:
    return ", ".join(map(str, items)) or "none"


def _refuse(text: str) -> NoReturn:
    typer.echo(f"error: {text}", err=True)
    raise typer.Exit(EXIT_USAGE)
