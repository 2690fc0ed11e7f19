"""`shadow-sidecar doctor`: what works and what does not, in order, with the next step for each.

Rule: it only looks. Exit code: 0 nothing is wrong, 1 something is, 5 no sidecar could be asked.
Counterpart: `serve.diagnosis`, which judges what is gathered here.
"""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from sidecar.run.report import EXIT_UNASKED

CONNECT_SECONDS = 1.0
EXIT_WRONG = 1
# How a server ends a handshake with a client that brings no certificate.
WANTS_CERTIFICATE = {"TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_HANDSHAKE_FAILURE"}
STYLES = {"ok": typer.colors.GREEN, "WRONG": typer.colors.RED, "look": typer.colors.YELLOW}


def doctor(
    http: Annotated[
        str, typer.Option(help="Where the sidecar serves HTTP.", metavar="HOST:PORT")
    ] = "127.0.0.1:9095",
    timeout: Annotated[float, typer.Option(min=0.01, metavar="SECONDS")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list.")] = False,
) -> None:
    """Say in order what works and what does not, with the next step for each.

    Listeners, upstream, shadows, traffic, readers, traces, labels, exporter, configuration, clock,
    disk, limits. Exit code: 0 nothing is wrong, 1 something is, 5 the sidecar cannot be asked.
    """
    from dataclasses import asdict

    from sidecar.serve.diagnosis import Finding, diagnose

    base = http if http.startswith(("http://", "https://")) else f"http://{http}"
    base = base.rstrip("/")
    try:
        checks = diagnose(_facts(base, timeout))
    except (OSError, ValueError, KeyError) as error:
        why = getattr(error, "reason", None) or error
        typer.echo(f"error: {base} could not be asked: {why}", err=True)
        typer.echo("Is the sidecar running, and is this its `http.listen`?", err=True)
        raise typer.Exit(EXIT_UNASKED) from None
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            sign = typer.style(f"{check.finding.value:>5}", fg=STYLES[check.finding.value])
            typer.echo(f"{sign}  {check.what}: {check.seen}")
            if check.next_step:
                typer.echo(f"       -> {check.next_step}")
    raise typer.Exit(EXIT_WRONG if any(c.finding is Finding.WRONG for c in checks) else 0)


def _facts(base: str, timeout: float) -> Any:
    from sidecar.serve.diagnosis import Facts

    status = _get(f"{base}/status", timeout)
    here = time.time()
    shadows = {name: own for name, own in status["shadows"].items() if own["role"] == "shadow"}
    reports = {name: _get(f"{base}/report.json?shadow={quote(name)}", timeout) for name in shadows}
    addresses = [a for route in status["routes"] for a in (route["listen"], route["upstream"])]
    targets = [own["address"] for own in status["shadows"].values()]
    failing = [own["address"] for own in status["shadows"].values() if own["failing"]]
    addresses += targets
    folders = [folder for folder in status["folders"] if Path(folder).is_dir()]
    return Facts(
        status=status,
        reports=reports,
        reached={a: _reach(a) for a in addresses if not a.endswith(":0")},
        speaks_tls=frozenset(a for a in failing if _speaks_tls(a)),
        clock_seconds=here - status["time"],
        free_bytes={folder: shutil.disk_usage(folder).free for folder in folders},
        open_files=status["limits"]["open_files"],
    )


def _get(url: str, timeout: float) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise OSError(f"HTTP status {error.code} from {url}") from None


def _speaks_tls(address: str) -> bool:
    """Whether a server answers a TLS handshake, whoever it says it is."""
    from sidecar.address import TCP, parse_address

    where = parse_address(address)
    if not isinstance(where, TCP):
        return False
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((where.host, where.port), CONNECT_SECONDS) as sock:
            context.wrap_socket(sock).close()
    except ssl.SSLError as error:
        return error.reason in WANTS_CERTIFICATE
    except OSError:
        return False
    return True


def _reach(address: str) -> str:
    """Why an address cannot be connected to; empty when it can."""
    from sidecar.address import TCP, parse_address

    where = parse_address(address)
    family = socket.AF_UNIX
    target: Any
    if isinstance(where, TCP):
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(where.host, where.host)
        try:
            socket.create_connection((host, where.port), CONNECT_SECONDS).close()
        except OSError as error:
            return error.strerror or str(error)
        return ""
    target = where.path
    with socket.socket(family) as sock:
        sock.settimeout(CONNECT_SECONDS)
        try:
            sock.connect(target)
        except OSError as error:
            return error.strerror or str(error)
    return ""
