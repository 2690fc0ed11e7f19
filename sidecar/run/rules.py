"""`shadow-sidecar rules`: the rules that would ignore what looks like noise, and never silently.

Rule: a suggestion is printed ready to paste; the configuration is changed only when --apply names
it, its comments stay, and a restart takes it over. Counterpart: `report.notices`, what noise is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sidecar.run.report import (
    CA,
    EXIT_UNASKED,
    Addresses,
    Cert,
    Key,
    ServerName,
    Service,
    ShadowName,
    Timeout,
    gather,
    reach_by,
    reports_of,
    usage,
)

rules = typer.Typer(no_args_is_help=True, help="Rules for outputs that look like noise.")


@rules.callback()
def _rules() -> None:
    """Rules for outputs that look like noise."""


@rules.command("suggest")
def suggest(
    addresses: Addresses = None,
    service: Service = None,
    shadow: ShadowName = None,
    apply: Annotated[
        Path | None,
        typer.Option(help="Write them into this configuration file too; made if there is none."),
    ] = None,
    timeout: Timeout = 5.0,
    ca: CA = None,
    cert: Cert = None,
    key: Key = None,
    server_name: ServerName = None,
) -> None:
    """Print the rules that would ignore outputs that differ in nearly every call: ids, times.

    Exit code: 0, 2 a mistake, 5 no sidecar could be asked.
    """
    from sidecar.report.notices import DESCRIPTORS, noise_rules, rules_text

    asked = gather(addresses, service, reach_by(timeout, ca, cert, key, server_name))
    found = reports_of(asked, shadow, allow_missing=True)
    if not found:
        for address, why in asked.missing.items():
            typer.echo(f"error: {address} could not be asked: {why}", err=True)
        raise typer.Exit(EXIT_UNASKED)
    patterns = noise_rules(found[0].outputs)
    if not patterns:
        unread = ", ".join(found[0].unread)
        why = f"; answers of {unread} are compared as bytes: {DESCRIPTORS}" if unread else ""
        typer.echo(f"no output looks like noise{why}", err=True)
        return
    typer.echo(rules_text(patterns))
    if apply is not None:
        added = add_rules(apply, patterns)
        typer.echo(f"{apply}: {added} rules added; restart the sidecar to take them over", err=True)


def add_rules(file: Path, outputs: list[str]) -> int:
    """Put rules that ignore these outputs before the others; those that are there are left.

    Returns:
        How many were added.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    try:
        tree: Any = (yaml.load(file) if file.exists() else None) or {}
        section = tree.setdefault("compare", {})
        listed = section.setdefault("rules", [])
        known = {rule["output"] for rule in listed if rule.get("rule") == "ignore"}
        new = [name for name in outputs if name not in known]
        for name in reversed(new):  # the first match wins
            listed.insert(0, {"output": name, "rule": "ignore"})
        yaml.dump(tree, file)
    except (YAMLError, OSError, AttributeError, TypeError, KeyError) as error:
        usage(f"--apply {file}: {' '.join(str(error).split())}")
    return len(new)
