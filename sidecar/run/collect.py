"""`shadow-sidecar collect`: one verdict for a service, kept on disk, over HTTP.

Rule: exit code 2 with what is wrong before anything is asked; SIGTERM and SIGINT end it with 0.
Counterpart: the package `collect`.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sidecar.run.report import CA, Cert, Key, ServerName, Timeout, reach_by, usage

if TYPE_CHECKING:
    from sidecar.serve.client import Reach


def collect(
    service: Annotated[
        list[str],
        typer.Option(
            help="A headless service's name: every address behind it is asked, by the Admin API "
            "or with http:// over HTTP.",
            metavar="NAME[:PORT]",
        ),
    ],
    data: Annotated[
        Path, typer.Option(help="The SQLite file; made where there is none.", metavar="FILE")
    ] = Path("collect.sqlite"),
    listen: Annotated[str, typer.Option(metavar="HOST:PORT")] = "127.0.0.1:9097",
    every: Annotated[
        float, typer.Option(help="Between two rounds.", metavar="SECONDS", min=0.1)
    ] = 10.0,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Let PASS stand although pods are missing.")
    ] = False,
    trace_url: Annotated[
        str, typer.Option(help="Where the page's links open a trace.", metavar="URL")
    ] = "",
    timeout: Timeout = 5.0,
    ca: CA = None,
    cert: Cert = None,
    key: Key = None,
    server_name: ServerName = None,
) -> None:
    """Ask every sidecar of a service again and again, and serve their common verdict."""
    from sidecar.collect.ledger import LedgerError
    from sidecar.serve.client import with_port
    from sidecar.wire.listen import ListenError

    reach = reach_by(timeout, ca, cert, key, server_name)
    try:
        for name in service:
            with_port(name)
        asyncio.run(_serve(service, reach, data, listen, every, allow_missing, trace_url))
    except (LedgerError, ListenError, ValueError) as error:
        usage(str(error))


async def _serve(
    services: list[str],
    reach: Reach,
    data: Path,
    listen: str,
    every: float,
    allow_missing: bool,
    trace_url: str,
) -> None:
    from sidecar.collect.collector import Collector
    from sidecar.collect.ledger import Ledger
    from sidecar.collect.pages import Pages, serve
    from sidecar.log import Log

    log = Log("collect")
    ledger = Ledger(data)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        collector = Collector(
            services, reach, ledger, log, every_seconds=every, allow_missing=allow_missing
        )
        pages = Pages(collector, every_seconds=every, trace_url=trace_url)
        runner, address = await serve(pages, listen)
        log.info("collecting", http=address, services=", ".join(services), data=str(data))
        turning = asyncio.create_task(collector.run())
        stopping = asyncio.create_task(ended.wait())
        try:
            await asyncio.wait({turning, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if turning.done():
                turning.result()  # a defect of ours: let it be seen, and be started again
        finally:
            for task in (turning, stopping):
                task.cancel()
            await asyncio.gather(turning, stopping, return_exceptions=True)
            await runner.cleanup()
    finally:
        ledger.close()
    log.info("ended")
