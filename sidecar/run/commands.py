"""Every command: run, observe, check-config, demo, report, gate, labels, baseline, ...

Rule: flags only fill in settings; what is wrong with them is said by `config`, all at once, with
exit code 2. `wire` is here for its help: `cli` hands it on before any of this is loaded, and `run`
starts it as `sidecar.wire`.
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

from sidecar import __version__
from sidecar.address import nth_address
from sidecar.build import BUILD
from sidecar.fields import ConfigError
from sidecar.log import FORMAT, FORMATS, Log
from sidecar.run.baseline import baseline as baseline_command
from sidecar.run.capacity import capacity as capacity_command
from sidecar.run.captured import captured as captured_command
from sidecar.run.checks import file_errors, untrusted_latency
from sidecar.run.collect import collect as collect_command
from sidecar.run.config import config as config_commands
from sidecar.run.demo import demo as demo_command
from sidecar.run.doctor import doctor as doctor_command
from sidecar.run.experiment import experiment as experiment_commands
from sidecar.run.finish import finish as finish_command
from sidecar.run.flags import load_from, refuse, shared_flags, tree_of
from sidecar.run.forked import Forked
from sidecar.run.gate import gate as gate_command
from sidecar.run.judge import judge as judge_command
from sidecar.run.kube import inject_command, uninject_command, webhook_command
from sidecar.run.labels import labels as labels_commands
from sidecar.run.plan import plan as plan_command
from sidecar.run.priority import step_back
from sidecar.run.replay import replay as replay_command
from sidecar.run.report import report as report_command
from sidecar.run.rules import rules as rules_commands
from sidecar.run.skipped import skipped as skipped_command
from sidecar.settings.settings import Settings
from sidecar.settings.sources import load

app = typer.Typer(
    name="shadow-sidecar",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Shows production's gRPC predictions to a new model version and says, with a bound on "
    "the error, whether it may replace the old one.\n\n"
    "Try it: shadow-sidecar demo. Put it beside your server: shadow-sidecar run --listen :9000 "
    "--upstream 127.0.0.1:9001 --shadow 127.0.0.1:9002",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"shadow-sidecar {__version__} ({BUILD})")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which it is.")
    ] = False,
) -> None:
    """What every command has."""


@app.command()
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


@app.command()
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
    from sidecar.run.observer import main as observe_main

    def again() -> Settings:
        return load(config, flags=tree)

    def on_ready(http: str, admin: str) -> None:
        if ready_fd is not None:
            with os.fdopen(ready_fd, "w") as pipe:
                pipe.write(json.dumps({"http": http, "admin": admin, "pid": os.getpid()}) + "\n")

    return observe_main(again(), config, again, on_ready)


@app.command("check-config")
def check_config(
    file: Annotated[Path, typer.Argument(help="YAML settings.", metavar="FILE")],
    show: Annotated[bool, typer.Option(help="Print the whole configuration as it is.")] = False,
) -> None:
    """Say everything that is wrong with a configuration file; exit code 2 if anything is."""
    try:
        settings = load(file)
    except ConfigError as error:
        refuse(error.errors)
    if errors := [*untrusted_latency(settings), *file_errors(settings)]:
        refuse(errors)
    if show:
        import yaml

        typer.echo(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False), nl=False)
    else:
        typer.echo(f"{file}: good")


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
)
def wire(context: typer.Context) -> None:
    """Start the wire alone: production's path (`shadow-sidecar wire --help`)."""
    from sidecar.wire.cli import main as wire_main

    raise SystemExit(wire_main(context.args))


app.command("demo")(demo_command)
app.command("report")(report_command)
app.command("gate")(gate_command)
app.command("collect")(collect_command)
app.command("doctor")(doctor_command)
app.command("finish")(finish_command)
app.command("skipped")(skipped_command)
app.add_typer(experiment_commands, name="experiment")
app.add_typer(labels_commands, name="labels")
app.command("captured")(captured_command)
app.command("capacity")(capacity_command)
app.command("judge")(judge_command)
app.command("plan")(plan_command)
app.command("replay")(replay_command)
app.add_typer(config_commands, name="config")
app.add_typer(rules_commands, name="rules")
app.command("baseline")(baseline_command)
app.command("inject")(inject_command)
app.command("uninject")(uninject_command)
app.command("webhook")(webhook_command)
