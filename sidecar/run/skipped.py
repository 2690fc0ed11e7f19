"""`shadow-sidecar skipped`: why calls were not compared, one line a call.

Rule: the latest of each reason, so that what is rare is there too; oldest first, as a log reads.
Counterparts: `ListSkipped`, which is asked; `experiment.skipped`, which remembers.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Annotated, Any

import typer

from sidecar.call import SkipReason
from sidecar.run.report import (
    CA,
    EXIT_UNASKED,
    Addresses,
    Cert,
    Key,
    ServerName,
    Service,
    Timeout,
    reach_by,
    where,
)

POLL_SECONDS = 1.0


def skipped(
    addresses: Addresses = None,
    service: Service = None,
    reason: Annotated[
        SkipReason | None,
        typer.Option(help="Of this reason only, as `/status` names it.", metavar="R"),
    ] = None,
    most: Annotated[int, typer.Option(help="How many.", min=1, max=5000)] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they happen.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    timeout: Timeout = 5.0,
    ca: CA = None,
    cert: Cert = None,
    key: Key = None,
    server_name: ServerName = None,
) -> None:
    """Say why calls were not compared: when, reason, step, receiver, method, ids.

    The step is where on its way a call was left out: admitted (its header had been read), queued
    (its request was complete), shadowed (it waited for the shadow, or was with it), paired (its
    request or production's answer could not be had whole). docs/operations.md has all reasons.
    A call's trace is its caller's traceparent; its id is what `judge.labels.correlation` names.
    """
    from sidecar.pb.shadow.v1 import admin_pb2 as pb
    from sidecar.serve.client import Asked, ask, call

    reach = reach_by(timeout, ca, cert, key, server_name)
    seen: dict[str, int] = {}

    async def one(address: str) -> list[Any]:
        request = pb.ListSkippedRequest(reason=reason or "", most=most, after=seen.get(address, 0))
        answer = await call(address, "ListSkipped", request, reach)
        found = list(answer.skipped)
        if found:
            seen[address] = found[0].number
        return found

    async def look() -> Asked:
        known, unknown = await where(addresses, service)
        asked = await ask(known, one)
        return Asked(asked.answers, {**asked.missing, **unknown})

    while True:
        asked = asyncio.run(look())
        rows = [row for found in asked.answers.values() for row in found]
        for row in sorted(rows, key=lambda r: r.unix_ns):
            typer.echo(_json(row) if as_json else _line(row))
        for address, why in asked.missing.items():
            typer.echo(f"error: {address}: {why}", err=True)
        if not follow or not asked.answers:
            raise typer.Exit(EXIT_UNASKED if asked.missing else 0)
        time.sleep(POLL_SECONDS)


def _line(row: Any) -> str:
    clock = time.strftime("%H:%M:%S", time.gmtime(row.unix_ns // 10**9))
    ids = " ".join(
        f"{name}={value}"
        for name, value in (("trace", row.trace_id), ("id", row.correlation_id))
        if value
    )
    fraction = row.unix_ns // 10**6 % 1000
    receiver = row.receiver or "all"
    return f"{clock}.{fraction:03} {row.reason} ({row.step}) {receiver} {row.method} {ids}".rstrip()


def _json(row: Any) -> str:
    from google.protobuf.json_format import MessageToDict

    return json.dumps(MessageToDict(row, preserving_proto_field_name=True))
