"""A service's verdict from its collector, where there is one.

Rule: a collector knows what pods that are gone have told, so it is asked before them; one that is
asked for by name and does not answer is an error, one that is only looked for is told of and done
without. It stands for a service only if it says that it asks that very one. Counterparts: `report`
and `gate`; `collect.pages`, which answers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sidecar.report.report import Report
    from sidecar.serve.client import Reach

PORT = 9097
ENDING = "-verdict"  # of the collector's name, after the service's

CollectorAddress = Annotated[
    str,
    typer.Option(
        help="Who added the service's counts up: HOST[:PORT] of `shadow-sidecar collect`; none: "
        "ask the pods. Default: SERVICE-verdict, where that name is known.",
        metavar="HOST[:PORT]",
        envvar="SHADOW_SIDECAR_COLLECTOR",
    ),
]


def collected(services: list[str] | None, collector: str, reach: Reach) -> dict[str, Report] | None:
    """The reports by shadow; None where the pods are to be asked.

    Raises:
        OSError: the collector that was named does not answer.
        ValueError: its address is none, or it asks another service.
    """
    if collector == "none" or not (collector or (services and len(services) == 1)):
        return None
    if collector:
        return asyncio.run(_ask(_url(collector), services, reach))
    assert services
    found = asyncio.run(_looked_for(services[0]))
    if found is None:
        return None
    try:
        return asyncio.run(_ask(found, services, reach))
    except (OSError, ValueError) as error:
        typer.echo(f"! the collector at {found}: {error}; the pods are asked instead", err=True)
        return None


def _url(address: str) -> str:
    from sidecar.serve.client import HTTP, with_port

    return HTTP + with_port(address.removeprefix(HTTP).rstrip("/"), PORT)


def host_of(service: str) -> str:
    """The host of `name[:port]` or `http://name:port`."""
    from sidecar.serve.client import HTTP, with_port

    return with_port(service).removeprefix(HTTP).rpartition(":")[0].strip("[]")


async def _looked_for(service: str) -> str | None:
    from sidecar.serve.client import resolve

    name, dot, domain = host_of(service).partition(".")
    if not name or name.isdigit() or ":" in name:
        return None  # an address
    address = f"{name}{ENDING}{dot}{domain}:{PORT}"
    try:
        await resolve(address)
    except OSError:
        return None
    return _url(address)


async def _ask(url: str, services: list[str] | None, reach: Reach) -> dict[str, Report]:
    from sidecar.serve.client import ask_collector

    reports = await ask_collector(url, reach)
    wanted = {host_of(name).partition(".")[0] for name in services or ()}
    for report in reports.values():
        told = report.service.names if report.service else ()
        asked = {host_of(name).partition(".")[0] for name in told}
        if not wanted <= asked:
            raise ValueError(f"it asks {', '.join(told)}, not {', '.join(services or ())}")
    return reports
