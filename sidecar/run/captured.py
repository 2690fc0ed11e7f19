"""`shadow-sidecar captured DIR`: what is there, and how to get at it or rid of it.

Counterparts: `capture.reader`, which reads; `capture.forget`, which rewrites.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

if TYPE_CHECKING:
    from sidecar.capture.reader import Captured

EXIT_USAGE = 2
FOLLOW_SECONDS = 1.0
_SUMMARY = ("time", "method", "shadow", "outcome", "production_version", "shadow_version")


def captured(
    places: Annotated[
        list[str], typer.Argument(help="Folders or files, or one URI.", metavar="DIR|FILE...")
    ],
    where: Annotated[
        str,
        typer.Option(help="Only these: outcome == 'value' and 'score' in detail.", metavar="EXPR"),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON.")] = False,
    follow: Annotated[bool, typer.Option(help="Tell pairs as their files appear.")] = False,
    export: Annotated[str, typer.Option(help="Print the rows instead.", metavar="jsonl|csv")] = "",
    forget: Annotated[
        list[str] | None,
        typer.Option(
            help="Rewrite the files without these calls, by correlation or trace id "
            "(the right to be forgotten).",
            metavar="ID",
        ),
    ] = None,
) -> None:
    """Tell what was captured: by day, method, outcome and version.

    The files are plain Parquet: DuckDB, pandas, polars and Spark read them as they are.
    """
    from sidecar.capture.reader import CapturedError, open_captured

    if export not in {"", "jsonl", "csv"}:
        _refuse([f"--export {export!r}: must be jsonl or csv"])
    try:
        found = open_captured(places, where)
        if forget:
            _forget(places, forget)
            return
        if export:
            _export(found, "csv" if export == "csv" else "jsonl")
        elif as_json:
            typer.echo(
                json.dumps(
                    [
                        dict(zip((*_KEYS, "pairs"), (*k, n), strict=True))
                        for k, n in sorted(summary(found).items())
                    ],
                    indent=1,
                )
            )
        else:
            _table(found)
        if follow:
            _follow(places, where, set(found.files))
    except CapturedError as error:
        _refuse(error.errors)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


_KEYS = ("day", "method", "production", "shadow", "outcome")


def summary(found: Captured) -> Counter[tuple[str, str, str, str, str]]:
    """Pairs by day, method, both versions and outcome."""
    counts: Counter[tuple[str, str, str, str, str]] = Counter()
    for row in found.rows(_SUMMARY):
        shadow = row["shadow"] + (f" {row['shadow_version']}" if row["shadow_version"] else "")
        key = (
            row["time"].date().isoformat(),
            row["method"],
            row["production_version"] or "",
            shadow,
            row["outcome"],
        )
        counts[key] += 1
    return counts


def _table(found: Captured) -> None:
    from rich.console import Console
    from rich.table import Table

    counts = summary(found)
    table = Table(box=None, pad_edge=False)
    for key in (*_KEYS, "pairs"):
        table.add_column(key, justify="right" if key == "pairs" else "left", overflow="fold")
    for row, n in sorted(counts.items()):
        table.add_row(*row, f"{n:,}")
    console = Console()
    console.print(table)
    console.print(f"{counts.total():,} pairs in {len(found.files):,} files")


def _export(found: Captured, how: Literal["jsonl", "csv"]) -> None:
    rows = (_plain(row) for row in found.rows())
    if how == "jsonl":
        for row in rows:
            sys.stdout.write(json.dumps(row) + "\n")
        return
    writer = csv.DictWriter(sys.stdout, found.schema.names)
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {k: json.dumps(v) if isinstance(v, (list, dict)) else v for k, v in row.items()}
        )


def _plain(value: Any) -> Any:
    """A row as JSON has it: bytes become base64."""
    import base64
    from datetime import datetime

    match value:
        case dict():
            return {k: _plain(v) for k, v in value.items()}
        case list():
            return [_plain(v) for v in value]
        case bytes():
            return base64.b64encode(value).decode()
        case datetime():
            return value.isoformat()
    return value


def _follow(places: Sequence[str], where: str, seen: set[str]) -> None:
    for row in _new_rows(places, where, seen):
        typer.echo(
            f"{row['time']:%Y-%m-%d %H:%M:%S} {row['shadow']} {row['outcome']} {row['method']} "
            f"{row['correlation_id'] or row['trace_id'] or row['call']} {row['detail']}"
        )


def _new_rows(places: Sequence[str], where: str, seen: set[str]) -> Iterator[dict[str, Any]]:
    from sidecar.capture.reader import open_captured

    while True:
        time.sleep(FOLLOW_SECONDS)
        files = {str(f) for place in places for f in sorted(Path(place).glob("*.parquet"))}
        for file in sorted(files - seen):
            seen.add(file)
            yield from open_captured([file], where).rows()


def _forget(places: Sequence[str], ids: Sequence[str]) -> None:
    from sidecar.capture.forget import forget

    found = forget(places, ids)
    typer.echo(f"{found.pairs:,} pairs forgotten, {found.files:,} files rewritten")
    if found.being_written:
        typer.echo(
            f"{found.being_written:,} files are being written now and were not looked into: "
            "forget again when they are whole (capture.file_seconds)",
            err=True,
        )


def _refuse(errors: Sequence[str]) -> NoReturn:
    for line in errors:
        typer.echo(f"error: {line}", err=True)
    raise typer.Exit(EXIT_USAGE)
