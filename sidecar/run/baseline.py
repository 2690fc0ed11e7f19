"""`shadow-sidecar baseline`: the command. Counterpart: `baseline`, the server."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Annotated

import typer

from sidecar.run.report import usage


def baseline(
    output: Annotated[
        list[str],
        typer.Option(
            help="What it always answers for a row: a constant, the majority class, a fixed list.",
            metavar="NAME=VALUE",
        ),
    ],
    listen: Annotated[
        str, typer.Option(help="Where it serves; port 0 binds any.", metavar="HOST:PORT")
    ] = "127.0.0.1:9001",
) -> None:
    """Serve a declared baseline instead of a model, for the first model ever.

    It speaks the Open Inference Protocol v2. Put the sidecar in front of it with --upstream, and
    the new model beside it with --shadow: the report compares the model with doing without one.

    Example: shadow-sidecar baseline --output class=0 --output score=0.5 --output items=[3,1,2]
    """
    from sidecar.demo.baseline import constant, serve

    constants = []
    for text in output:
        try:
            constants.append(constant(text))
        except ValueError as error:
            usage(f"--output {text!r}: {error}")

    def ready(address: str) -> None:
        line = {"ready": True, "address": address, "pid": os.getpid()}
        typer.echo(json.dumps(line))

    try:
        asyncio.run(serve(constants, listen, ready))
    except OSError as error:
        typer.echo(f"error: --listen {error}", err=True)
        raise typer.Exit(1) from None
