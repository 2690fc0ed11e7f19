"""`shadow-sidecar config`: the configuration's reference and its JSON schema."""

from __future__ import annotations

import json

import typer

config = typer.Typer(no_args_is_help=True, help="The configuration's reference, and its schema.")


@config.command("reference")
def reference_command() -> None:
    """Every setting with its meaning, bounds, default, and whether it is live, as Markdown."""
    from sidecar.settings.reference import reference

    typer.echo(reference(), nl=False)


@config.command("schema")
def schema_command() -> None:
    """The JSON schema of the configuration file, for editors.

    With the YAML language server: # yaml-language-server: $schema=shadow-sidecar.schema.json
    """
    from sidecar.settings.reference import schema

    typer.echo(json.dumps(schema(), indent=2))
