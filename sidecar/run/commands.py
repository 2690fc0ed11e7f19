"""Every command: run, observe, check-config, demo, report, gate, labels, baseline, ...

Rule: flags only fill in settings; what is wrong with them is said by `config`, all at once, with
exit code 2. `wire` is here for its help: `cli` hands it on before any of this is loaded, and `run`
starts it as `sidecar.wire`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sidecar import __version__
from sidecar.build import BUILD
from sidecar.fields import ConfigError
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
from sidecar.run.flags import refuse
from sidecar.run.gate import gate as gate_command
from sidecar.run.judge import judge as judge_command
from sidecar.run.kube import inject_command, uninject_command, webhook_command
from sidecar.run.labels import labels as labels_commands
from sidecar.run.plan import plan as plan_command
from sidecar.run.processes import CONTEXT, observe, run
from sidecar.run.replay import replay as replay_command
from sidecar.run.report import report as report_command
from sidecar.run.rules import rules as rules_commands
from sidecar.run.skipped import skipped as skipped_command
from sidecar.settings.sources import load

app = typer.Typer(
    name="shadow-sidecar",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
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


app.command()(run)
app.command()(observe)


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
