"""`python -m sidecar.kube inject|webhook`: the two commands without the rest."""

from __future__ import annotations

import typer

from sidecar.kube.command import inject_command, webhook_command

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
app.command("inject")(inject_command)
app.command("webhook")(webhook_command)

if __name__ == "__main__":
    app(prog_name="shadow-sidecar")
