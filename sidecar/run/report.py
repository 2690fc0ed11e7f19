"""`shadow-sidecar report`: one verdict from the counts of many sidecars.

Rule: the exit code is the verdict: 0 PASS, 1 FAIL, 3 WATCHING, 4 INCONCLUSIVE; 2 is a mistake, 5
that no sidecar could be asked. A sidecar that cannot be asked forbids PASS unless --allow-missing
says otherwise; a FAIL stands, since evidence of harm needs no further witness. Counterparts:
`serve.client`, `gate`, `build`, `table`, `page`.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sidecar.run.collected import CollectorAddress, collected

if TYPE_CHECKING:  # what a command needs is imported when it runs, so that --help is quick
    from sidecar.report.report import Report
    from sidecar.serve.client import Asked, Reach

EXIT_USAGE = 2
EXIT_UNASKED = 5  # no sidecar could be asked

Addresses = Annotated[
    list[str] | None,
    typer.Argument(
        help="Admin addresses, or http://HOST:PORT for the counts over HTTP.",
        metavar="[ADDRESS]...",
        show_default=False,
    ),
]
Service = Annotated[
    list[str] | None,
    typer.Option(
        help="Every address behind a DNS name, as a headless service has one for each pod.",
        metavar="NAME[:PORT]",
    ),
]
ShadowName = Annotated[
    str | None, typer.Option("--shadow", help="Which one, where there are several.", metavar="NAME")
]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="Let PASS stand although sidecars are missing.")
]
TraceURL = Annotated[
    str,
    typer.Option(
        help="Where the page's links open a trace: http://jaeger:16686/trace/{trace_id}.",
        metavar="URL",
    ),
]
Timeout = Annotated[
    float, typer.Option(help="For each sidecar.", metavar="SECONDS", min=0.01, show_default=True)
]
CA = Annotated[
    Path | None, typer.Option(help="Who signed the sidecars' certificates.", exists=True)
]
Cert = Annotated[Path | None, typer.Option(help="Our certificate, for mutual TLS.", exists=True)]
Key = Annotated[Path | None, typer.Option(help="Its private key.", exists=True)]
ServerName = Annotated[
    str | None, typer.Option(help="The name in the sidecars' certificates.", metavar="NAME")
]

_WORST = (0, 3, 4, 1)  # exit codes of PASS, WATCHING, INCONCLUSIVE and FAIL


def report(
    addresses: Addresses = None,
    service: Service = None,
    shadow: ShadowName = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report as JSON.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(help="Also write a self-contained page.", metavar="FILE", dir_okay=False),
    ] = None,
    trace_url: TraceURL = "",
    collector: CollectorAddress = "",
    allow_missing: AllowMissing = False,
    timeout: Timeout = 5.0,
    ca: CA = None,
    cert: Cert = None,
    key: Key = None,
    server_name: ServerName = None,
) -> None:
    """Pull the counts of every sidecar, add them up, and print one verdict.

    Exit code: 0 PASS, 1 FAIL, 2 a mistake, 3 WATCHING, 4 INCONCLUSIVE, 5 no sidecar could be asked.
    Without an address the sidecar on this machine is asked, with all its observers. A service's
    collector is asked before its pods, for it knows what pods that are gone have told. Several
    shadows are told side by side, and the exit code is the worst of theirs.
    """
    from sidecar.report.build import empty_report

    if trace_url and "{trace_id}" not in trace_url:
        usage(f"--trace-url {trace_url!r}: where a trace opens, with {{trace_id}} in it")

    reach = reach_by(timeout, ca, cert, key, server_name)
    # Several candidates are told beside each other; a machine asks for one of them.
    reports, missing = reports_from(
        addresses, service, shadow, reach, collector, allow_missing, several=not as_json
    )
    found = reports[0] if reports else empty_report(missing, time.time())
    if html is not None:
        from sidecar.report.page import render_html

        try:
            text = render_html(found, trace_url=trace_url, beside=reports)
            html.write_text(text, encoding="utf-8")
        except OSError as error:
            usage(f"--html {html}: {error.strerror}")
    if as_json:
        from sidecar.report.as_json import to_json

        typer.echo(json.dumps(to_json(found), indent=2))
    else:
        from rich.console import Console

        from sidecar.report.table import render_all

        Console().print(render_all(reports or [found]))
    if not reports:
        raise typer.Exit(EXIT_UNASKED)
    raise typer.Exit(max((each.exit_code for each in reports), key=_WORST.index))


def reports_from(
    addresses: list[str] | None,
    service: list[str] | None,
    shadow: str | None,
    reach: Reach,
    collector: str,
    allow_missing: bool,
    *,
    several: bool = False,
) -> tuple[list[Report], Mapping[str, str]]:
    """The reports that are asked for, of the collector or of the sidecars; and who is missing.

    None when nobody could be asked.
    """
    if not addresses and not (allow_missing and not collector):
        try:
            found = collected(service, collector, reach)
        except OSError as error:
            return [], {collector: error.strerror or str(error)}
        except ValueError as error:
            usage(f"--collector {collector}: {error}")
        if found:
            names = chosen(sorted(found), shadow, several=several)
            return [found[name] for name in names], {}
    asked = gather(addresses, service, reach)
    return reports_of(asked, shadow, allow_missing, several=several), asked.missing


def chosen(names: Sequence[str], shadow: str | None, *, several: bool) -> Sequence[str]:
    """The shadows that are asked for; what cannot be answered as it was asked ends the command."""
    if not names:
        usage("no shadow is configured: start the sidecar with --shadow [NAME=]HOST:PORT")
    if shadow is None and len(names) > 1 and not several:
        usage(f"--shadow: name one of {', '.join(names)}")
    if shadow is not None and shadow not in names:
        usage(f"--shadow {shadow!r}: the sidecars have {', '.join(names)}")
    return names if shadow is None else [shadow]


def gather(addresses: list[str] | None, service: list[str] | None, reach: Reach) -> Asked:
    """Ask every sidecar that is named or stands behind a service, else the one on this machine."""
    from sidecar.serve.client import Asked, pull, pull_here

    async def pulled() -> Asked:
        if not addresses and not service:
            return await pull_here(reach)
        known, unknown = await where(addresses, service)
        asked = await pull(known, reach)
        return Asked(asked.answers, {**asked.missing, **unknown})

    return asyncio.run(pulled())


def reports_of(
    asked: Asked, shadow: str | None, allow_missing: bool, *, several: bool = False
) -> list[Report]:
    """A report for the shadow that is named, or the only one, or if wanted for each.

    Empty when no sidecar could be asked. What cannot be answered as it was asked ends the command.
    """
    from sidecar.report.build import build, empty_report
    from sidecar.report.copies import copies
    from sidecar.serve.client import parts_of, shadow_names

    if not asked.answers:
        return []
    found = []
    for name in chosen(shadow_names(asked), shadow, several=several):
        parts, missing = parts_of(asked, name)
        copied = copies(parts)
        missing = {**missing, **copied}
        parts = [part for part in parts if part.source not in copied]
        if not parts:
            found.append(replace(empty_report(missing, time.time()), shadow=name))
            continue
        found.append(build(parts, time.time(), missing=missing, allow_missing=allow_missing))
    return found


async def where(
    addresses: list[str] | None, services: list[str] | None
) -> tuple[list[str], dict[str, str]]:
    """The addresses that were named or stand behind a service, and the services not found."""
    from sidecar.serve.client import resolve, with_port

    if not addresses and not services:
        addresses = ["127.0.0.1"]
    known, unknown = [], {}
    try:
        known = [with_port(address) for address in addresses or ()]
        for name in services or ():
            try:
                known += await resolve(name)
            except OSError as error:
                unknown[name] = error.strerror or str(error)
    except ValueError as error:
        usage(f"{error}")
    return known, unknown


def reach_by(
    timeout: float,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    server_name: str | None,
) -> Reach:
    """How the flags say that sidecars are reached."""
    from sidecar.serve.client import Reach
    from sidecar.serve.token import found, places

    if (cert is None) != (key is None):
        usage("--cert and --key go together")
    return Reach(timeout, ca, cert, key, server_name, found(places(os.environ)))


def usage(message: str) -> NoReturn:
    """End with what is wrong on the command line."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(EXIT_USAGE)
