"""`shadow-sidecar gate`: one line and an exit code, for scripts and jobs.

Rule: the exit code says what to do. 0 PASS; 1 FAIL; 2 a mistake: in the command, or no shadow is
configured; 3 WATCHING; 4 INCONCLUSIVE; 5 no sidecar could be asked. Counterparts: `report`, which
shows the same verdict whole; `serve.gate`, which controllers ask over HTTP.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from sidecar.run.collected import CollectorAddress
from sidecar.run.report import (
    CA,
    EXIT_UNASKED,
    Addresses,
    AllowMissing,
    Cert,
    Key,
    ServerName,
    Service,
    ShadowName,
    Timeout,
    reach_by,
    reports_from,
    usage,
)

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|)")

# What several shadows come to together: the first of these that any of them has.
_ALL = ("FAIL", "INCONCLUSIVE", "WATCHING", "PASS")
_ANY = ("PASS", "WATCHING", "INCONCLUSIVE", "FAIL")


def seconds(text: str) -> float:
    """A duration as people write it: 90, 90s, 1.5m, 2h.

    Raises:
        typer.BadParameter: it is none.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r}: a duration is a number with s, m, h or d, as in 30m")
    return float(found[1]) * _UNITS[found[2]]


def gate(
    addresses: Addresses = None,
    service: Service = None,
    shadow: ShadowName = None,
    every: Annotated[
        bool, typer.Option("--all", help="Of several shadows, all have to PASS.")
    ] = False,
    any_: Annotated[bool, typer.Option("--any", help="Of several, one PASS will do.")] = False,
    wait: Annotated[
        str, typer.Option(help="Ask again until it is decided, at most so long.", metavar="TIME")
    ] = "0",
    poll: Annotated[str, typer.Option(help="Between two questions.", metavar="TIME")] = "10s",
    collector: CollectorAddress = "",
    allow_missing: AllowMissing = False,
    timeout: Timeout = 5.0,
    ca: CA = None,
    cert: Cert = None,
    key: Key = None,
    server_name: ServerName = None,
) -> None:
    """The verdict in one line, for scripts and jobs: `shadow-sidecar gate ADDRESS && promote`.

    Exit code: 0 PASS, 1 FAIL, 2 a mistake, 3 WATCHING, 4 INCONCLUSIVE, 5 no sidecar could be asked.
    With --wait, WATCHING and a sidecar that cannot be asked are waited out.
    """
    from sidecar.report.report import EXIT_CODES
    from sidecar.report.table import line

    if every and any_:
        usage("--all and --any exclude each other")
    if shadow is not None and (every or any_):
        usage("--shadow names one: leave out --all and --any")
    longest, pause = seconds(wait), max(0.1, seconds(poll))
    reach = reach_by(timeout, ca, cert, key, server_name)
    until = time.monotonic() + longest
    while True:
        reports, missing = reports_from(
            addresses, service, shadow, reach, collector, allow_missing, several=every or any_
        )
        if reports:
            state = together([r.state for r in reports], _ANY if any_ else _ALL)
            code = EXIT_CODES[state]
            said = "\n".join(line(report) for report in reports)
            notices = list(dict.fromkeys(n for report in reports for n in report.notices))
            done = state in {"PASS", "FAIL"} or all(r.verdict.ended for r in reports)
        else:
            code, said, done = EXIT_UNASKED, unasked(missing), False
            notices = []
        left = until - time.monotonic()
        if done or left <= 0:
            typer.echo(said, err=code == EXIT_UNASKED)
            for notice in notices:
                typer.echo(f"! {notice}", err=True)
            raise typer.Exit(code)
        typer.echo(f"{said}\n  waiting, at most {left:.0f} s more", err=True)
        time.sleep(min(pause, left))


def together(states: list[Any], order: tuple[str, ...]) -> Any:
    """What several verdicts come to: the first in this order that any of them has."""
    return min(states, key=lambda state: order.index(str(state)))


def unasked(missing: Mapping[str, str]) -> str:
    """That nobody could be asked: each address, and why."""
    if not missing:
        return "error: no sidecar was found"
    return "\n".join(
        f"error: {address} could not be asked: {why}" for address, why in sorted(missing.items())
    )
