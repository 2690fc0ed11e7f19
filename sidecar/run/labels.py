"""`shadow-sidecar labels`: what turned out to be true, from files into running sidecars.

Rule: every sidecar gets every label, because nobody knows which pod saw a call; the others count
it as early and let it go with age. Sending a file again changes nothing that is joined; a row that
was wrong, or that no criterion could use, is named with why, and a corrected file replaces it.
Counterparts: `admin.labels`, `RecordLabels`, `WantedLabels`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sidecar.run.report import (
    CA,
    Addresses,
    Cert,
    Key,
    ServerName,
    Service,
    ShadowName,
    Timeout,
    reach_by,
    usage,
    where,
)

if TYPE_CHECKING:
    from sidecar.serve.client import Asked, Reach

EXIT_UNREACHED = 1
EXIT_WRONG = 2
MOST_ROWS_NAMED = 20
BATCH = 1000
FATES = ("joined", "early", "late", "unmatched", "duplicate", "unusable")

labels = typer.Typer(
    no_args_is_help=True, help="True labels for calls, and which of them are wanted."
)


@labels.command("import")
def import_labels(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet.", metavar="FILE")],
    addresses: Addresses = None,
    service: Service = None,
    shadow: ShadowName = None,
    id_column: Annotated[str, typer.Option(help="Names the call.")] = "correlation_id",
    value_column: Annotated[str, typer.Option(help="The right decision.")] = "value",
    timeout: Timeout = 30.0,
    ca: CA = None,
    cert: Cert = None,
    key: Key = None,
    server_name: ServerName = None,
) -> None:
    """Send the labels in a file to every sidecar, and say what became of them.

    Columns: correlation_id, value, and if there are any weight and time. Exit code: 0, 1 when a
    sidecar could not be told, 2 when a row is wrong or of no use: each is named with why, and the
    others count. Correct the file and send it again: what is joined stays as it is.
    """
    from sidecar.serve.labels import LabelFileError, read_rows

    reach = reach_by(timeout, ca, cert, key, server_name)
    totals: dict[str, dict[str, int]] = {}
    missing: dict[str, str] = {}
    sent = wrong = 0

    def refuse(number: int, why: str) -> None:
        nonlocal wrong
        wrong += 1
        if wrong <= MOST_ROWS_NAMED:
            typer.echo(f"error: {file}: row {number}: {why}", err=True)

    async def send() -> None:
        nonlocal sent
        known, unknown = await where(addresses, service)
        missing.update(unknown)
        rows = read_rows(file, id_column, value_column)
        while batch := list(islice(rows, BATCH)):
            right = {row.number: row.label for row in batch if row.label is not None}
            asked = await _record(known, shadow or "", list(right.values()), reach)
            missing.update(asked.missing)
            sent += len(right)
            why = {row.number: row.why_not for row in batch if row.label is None}
            useless: dict[str, str] = {}
            for answer in asked.answers.values():
                for name, counts in answer.shadows.items():
                    total = totals.setdefault(name, dict.fromkeys(FATES, 0))
                    for fate in FATES:
                        total[fate] += getattr(counts, fate)
                    useless |= {one.correlation_id: f"{name}: {one.why}" for one in counts.why}
            for number, label in right.items():
                if label.correlation_id in useless:
                    told = useless.pop(label.correlation_id)
                    why[number] = f"{label.correlation_id}: {told}"
            for number, told in sorted(why.items()):
                refuse(number, told)

    try:
        asyncio.run(send())
    except LabelFileError as error:
        usage(str(error))
    typer.echo(f"{sent} labels sent")
    for name, total in sorted(totals.items()):
        told = ", ".join(f"{count} {fate}" for fate, count in total.items() if count)
        typer.echo(f"{name}: {told or 'nothing changed'}")
    if wrong:
        more = wrong - MOST_ROWS_NAMED
        if more > 0:
            typer.echo(f"error: {file}: {more:,} more rows are wrong", err=True)
        typer.echo(f"error: correct {wrong:,} rows and import the file again", err=True)
    _tell_missing(missing)
    if wrong:
        raise typer.Exit(EXIT_WRONG)


async def _record(known: list[str], shadow: str, batch: list[Any], reach: Reach) -> Asked:
    from sidecar.pb.shadow.v1 import admin_pb2 as pb
    from sidecar.serve.client import ask, call
    from sidecar.serve.convert import label_message

    request = pb.RecordLabelsRequest(shadow=shadow, labels=map(label_message, batch))
    return await ask(known, lambda address: call(address, "RecordLabels", request, reach))


@labels.command("wanted")
def wanted(
    addresses: Addresses = None,
    service: Service = None,
    shadow: ShadowName = None,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
    timeout: Timeout = 5.0,
    ca: CA = None,
    cert: Cert = None,
    key: Key = None,
    server_name: ServerName = None,
) -> None:
    """Print the correlation ids whose labels would decide soonest, most wanted first."""
    from sidecar.pb.shadow.v1 import admin_pb2 as pb
    from sidecar.serve.client import ask, call

    reach = reach_by(timeout, ca, cert, key, server_name)
    request = pb.WantedLabelsRequest(shadow=shadow or "", most=most)

    async def asked() -> Asked:
        known, unknown = await where(addresses, service)
        found = await ask(known, lambda address: call(address, "WantedLabels", request, reach))
        found.missing.update(unknown)
        return found

    answers = asyncio.run(asked())
    ids = list(islice(_in_turn([a.correlation_ids for a in answers.answers.values()]), most))
    for name in ids:
        typer.echo(name)
    if answers.answers and not ids:
        typer.echo("no label is wanted: no call waits for one that would decide", err=True)
    _tell_missing(answers.missing)


def _in_turn(lists: list[Any]) -> Iterator[str]:
    """The first of each, the second of each, and so on, without repeats."""
    ids = chain.from_iterable(zip_longest(*lists))
    return iter(dict.fromkeys(name for name in ids if name is not None))


def _tell_missing(missing: dict[str, str]) -> None:
    for address, why in sorted(missing.items()):
        typer.echo(f"error: {address}: {why}", err=True)
    if missing:
        raise typer.Exit(EXIT_UNREACHED)
