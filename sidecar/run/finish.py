"""`shadow-sidecar finish`: what is left of a shadow that has been decided about.

Rule: it deletes nothing. It prints manifests, which somebody may hand to kubectl; what it means is
on standard error. Exit code 0 PASS or FAIL, 2 a mistake, 3 WATCHING and 4 INCONCLUSIVE: nothing is
left over before a decision, 5 nobody could be asked. Counterpart: `kube.finish`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sidecar.run.collected import CollectorAddress
from sidecar.run.report import (
    CA,
    EXIT_UNASKED,
    Cert,
    Key,
    ServerName,
    Service,
    ShadowName,
    Timeout,
    reach_by,
    reports_from,
    usage,
)

if TYPE_CHECKING:
    from sidecar.report.report import Report, VerdictChange


def finish(
    files: Annotated[
        list[str],
        typer.Option(
            "--file",
            "-f",
            help="Manifests to look through, as kubectl get -o yaml prints them; - is standard "
            "input.",
        ),
    ],
    service: Service = None,
    shadow: ShadowName = None,
    apply: Annotated[
        bool,
        typer.Option(
            "--apply",
            help="Print the workloads without the shadow, for kubectl apply -f -, instead of what "
            "may go, for kubectl delete -f -.",
        ),
    ] = False,
    collector: CollectorAddress = "",
    timeout: Timeout = 5.0,
    ca: CA = None,
    cert: Cert = None,
    key: Key = None,
    server_name: ServerName = None,
) -> None:
    """Say what nobody needs once a candidate has replaced production, or lost.

    kubectl get deploy,svc,cm,netpol -o yaml | shadow-sidecar finish --service sidecars.prod -f -

    prints the manifests to delete, and with --apply the workloads to apply. It deletes nothing.
    """
    import yaml

    from sidecar.kube.finish import leftovers

    if not service and not collector:
        usage("--service: whose verdict it is that has been reached")
    documents = []
    for name in files:
        try:
            text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
            documents += [d for d in yaml.safe_load_all(text) if isinstance(d, dict)]
        except (OSError, UnicodeDecodeError) as error:
            usage(f"--file {name}: {error}")
        except yaml.YAMLError as error:
            usage(f"--file {name}: not YAML: {' '.join(str(error).split())}")
    reach = reach_by(timeout, ca, cert, key, server_name)
    reports, missing = reports_from(None, service, shadow, reach, collector, allow_missing=False)
    if not reports:
        for address, why in missing.items():
            typer.echo(f"error: {address} could not be asked: {why}", err=True)
        raise typer.Exit(EXIT_UNASKED)
    report = reports[0]
    typer.echo(f"{report.state}: {report.verdict.reason}", err=True)
    if report.exit_code not in {0, 1}:
        typer.echo("Nothing is left over before it is decided.", err=True)
        raise typer.Exit(report.exit_code)
    found = leftovers(documents, report.shadow)
    for note in found.notes or [f"no workload here has the shadow {report.shadow}"]:
        typer.echo(f"  {note}", err=True)
    for line in _rows(report):
        typer.echo(f"  {line}", err=True)
    typer.echo(
        yaml.safe_dump_all(found.apply if apply else found.delete, sort_keys=False), nl=False
    )


def _rows(report: Report) -> list[str]:
    """What the collector still has: the experiments there were, each with where it last stood."""
    said = [
        "the collector keeps what was counted, so that a rollout back goes on with it; its oldest "
        "rows go by themselves"
    ]
    if report.service is None:
        return said
    last: dict[str, VerdictChange] = {}
    for change in report.service.history:  # newest first
        last.setdefault(change.experiment, change)
    for key, change in last.items():
        if key and key != report.service.experiment:
            day = time.strftime("%Y-%m-%d", time.gmtime(change.unix_seconds))
            said.append(
                f"rows of experiment {key}, which nobody asks about: {change.state} since {day}, "
                f"{change.calls:,} calls"
            )
    return said
