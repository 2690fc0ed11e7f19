"""The commands `run` and `observe`, which are at work all day: they load no other command.

Rule: as of `commands`, which has them among the others. Counterparts: `supervise` and `observer`,
which do it; `cli`, which chooses.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from sidecar.address import nth_address
from sidecar.log import FORMAT, FORMATS, Log
from sidecar.run.flags import load_from, refuse, shared_flags, tree_of
from sidecar.run.forked import Forked
from sidecar.run.later import load as load_now
from sidecar.run.priority import step_back
from sidecar.settings.settings import Settings
from sidecar.settings.sources import load

CONTEXT = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(name="shadow-sidecar", pretty_exceptions_enable=False, context_settings=CONTEXT)


@shared_flags
def run(
    context: typer.Context,
    log_format: Annotated[
        str, typer.Option(help="auto (text on a terminal), json or text.", metavar="FORMAT")
    ] = "auto",
    print_ready: Annotated[
        bool, typer.Option(help="Print one JSON line with the bound addresses when ready.")
    ] = False,
) -> None:
    """Start wire and observer on this machine; restart the observer when it dies.

    Clients connect to --listen and reach --upstream untouched; each --shadow gets copies. Spans
    go where OTEL_EXPORTER_OTLP_ENDPOINT says. SIGHUP, or a change of the file, takes over sample,
    rate and pause without a restart.
    """
    from sidecar.run import supervise

    if log_format not in FORMATS:
        refuse([f"--log-format {log_format!r}: one of {', '.join(FORMATS)}"])
    if log_format != "auto":
        os.environ[FORMAT] = log_format  # for both processes
    chosen = load_from(context)
    if not chosen.wire.routes:
        refuse(["wire.routes: none given; use --listen HOST:PORT --upstream HOST:PORT"])

    private = None
    if "tap" not in chosen.wire.model_fields_set:
        # A directory that nobody else can look into, and that no other sidecar here uses. Where
        # none can be made, production is forwarded all the same: the wire says that it has no tap.
        with contextlib.suppress(OSError):
            private = tempfile.TemporaryDirectory(prefix="shadow-sidecar-")
            wire_settings = chosen.wire.model_copy(update={"tap": Path(private.name, "tap.sock")})
            chosen = chosen.model_copy(update={"wire": wire_settings})

    def observer_command(number: int, before: Mapping[str, str]) -> list[str]:
        command = [sys.executable, "-m", "sidecar", "observe", "--tap", str(chosen.wire.tap)]
        if config := context.params["config"]:
            command += ["--config", str(config)]
        command += ["--tree", json.dumps(tree_of(context.params))]
        for name, first in (("http", chosen.http.listen), ("admin", chosen.admin.listen)):
            command += [f"--{name}", before.get(name) or nth_address(first, number)]
        return command

    def observer(number: int, ready_fd: int) -> int:
        """In a child of ours."""
        supervise.prepare(chosen.observer.priority)
        tree = tree_of(context.params)
        tree.setdefault("wire", {})["tap"] = str(chosen.wire.tap)
        for name, first in (("http", chosen.http.listen), ("admin", chosen.admin.listen)):
            tree.setdefault(name, {})["listen"] = nth_address(first, number)
        return _observe(context.params["config"], tree, ready_fd)

    def on_ready(ready: supervise.Ready) -> None:
        if print_ready:
            # One write: a line in pieces could be cut by a child that logs to the same pipe.
            sys.stdout.write(ready.line() + "\n")
            sys.stdout.flush()
        else:
            Log("run").info("ready", listen=ready.listen, http=ready.http, admin=ready.admin)

    born: list[Forked] = []
    with contextlib.suppress(OSError):  # who is not born is started by its command, again and again
        born.extend(Forked(partial(observer, n)) for n in range(chosen.observer.processes))
    try:
        code = asyncio.run(supervise.run(chosen, observer_command, Log("run"), on_ready, born))
    finally:
        if private is not None:
            private.cleanup()
    raise SystemExit(code)


@shared_flags
def observe(
    context: typer.Context,
    tree: Annotated[str | None, typer.Option(hidden=True)] = None,
    ready_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Start the observer alone: it attaches to a wire's tap and may come and go.

    --listen and --upstream are the wire's business and are accepted so that both processes can be
    given the same flags.
    """
    chosen = load_from(context)
    step_back(chosen.observer.priority)  # before what it takes to get going is loaded
    raise SystemExit(_observe(context.params["config"], tree_of(context.params), ready_fd))


def _observe(config: Path | None, tree: dict[str, Any], ready_fd: int | None) -> int:
    """Be an observer; the exit code."""
    from sidecar.run.observer import CALLS_NEED
    from sidecar.run.observer import main as observe_main

    if ready_fd is not None:  # who waits for "ready" wants the first calls compared, all of them
        for name in CALLS_NEED:
            load_now(name)

    def again() -> Settings:
        return load(config, flags=tree)

    def on_ready(http: str, admin: str) -> None:
        if ready_fd is not None:
            with os.fdopen(ready_fd, "w") as pipe:
                pipe.write(json.dumps({"http": http, "admin": admin, "pid": os.getpid()}) + "\n")

    return observe_main(again(), config, again, on_ready)


app.command()(run)
app.command()(observe)
