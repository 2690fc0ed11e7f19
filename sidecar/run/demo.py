"""`shadow-sidecar demo`: what the command line says and asks. Counterpart: `sidecar.demo.loop`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")
    ] = False,
    rate: Annotated[float, typer.Option(min=1, help="Calls a second.", metavar="CALLS")] = 100,
    report: Annotated[
        Path, typer.Option(help="Where the report page is written.", metavar="FILE")
    ] = Path("shadow-report.html"),
) -> None:
    """Shadow one digit classifier with another on this machine, and see what is found.

    Trains both, serves both over gRPC, runs the sidecar between, and sends 1,000 images that
    neither has seen. Spans go to Jaeger if one listens on 127.0.0.1:4317.
    """
    from rich.console import Console

    from sidecar.demo import loop
    from sidecar.demo.data import DemoError
    from sidecar.demo.process import ProcessError
    from sidecar.demo.render import addresses, render
    from sidecar.report.page import render_html

    console = Console()
    # A plain kill, too, must take the children along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with loop.running(console) as (stand, candidate):
            summary = loop.drive(console, stand, candidate, rate=rate)
            console.print()
            console.print(render(summary))
            console.print()
            trace_url = stand.trace_page and stand.trace_page + "{trace_id}"
            if summary.report is not None:
                page = render_html(summary.report, trace_url=trace_url)
                report.write_text(page, encoding="utf-8")
            console.print(addresses(summary, stand, report, keep=keep))
            if keep:
                stand.sidecar.wait()
                raise stand.sidecar.error("ended")
    except KeyboardInterrupt:
        console.print("Stopped.")
    except (DemoError, ProcessError, OSError) as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(1) from None
