"""`shadow-sidecar doctor`: what works and what does not, in order, with the next step for each.

Rule: it only looks. Exit code: 0 nothing is wrong, 1 something is, 5 no sidecar could be asked.
Counterpart: `serve.diagnosis`, which judges what is gathered here.
"""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import quote

import typer

from sidecar.run.report import EXIT_UNASKED

if TYPE_CHECKING:
    from sidecar.serve.diagnosis import Check

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
    service: Annotated[
        str,
        typer.Option(
            help="Look at a Kubernetes Service's pods instead, and at what leads past their "
            "sidecars; kubectl is asked, with whatever cluster it is set to.",
            metavar="NAME[.NAMESPACE]",
        ),
    ] = "",
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--file", "-f", help="With --service: the objects, instead of kubectl's; - is stdin."
        ),
    ] = None,
) -> None:
    """Say in order what works and what does not, with the next step for each.

    Listeners, upstream, shadows, traffic, readers, traces, labels, exporter, configuration, clock,
    disk, limits; with --service: pods without the sidecar and why, ways past the wire, policies.
    Exit code: 0 nothing is wrong, 1 something is, 5 the sidecar or cluster cannot be asked.
    """
    from sidecar.serve.diagnosis import diagnose

    if service:
        from sidecar.kube.service_doctor import examine

        name, _, namespace = service.partition(".")
        namespace = namespace.partition(".")[0]
        _tell(examine(_objects(files or [], namespace, timeout), name), as_json)
    if files:
        typer.echo("error: --file goes with --service", err=True)
        raise typer.Exit(2)

    base = http if http.startswith(("http://", "https://")) else f"http://{http}"
    base = base.rstrip("/")
    try:
        checks = diagnose(_facts(base, timeout))
    except (OSError, ValueError, KeyError) as error:
        why = getattr(error, "reason", None) or error
        typer.echo(f"error: {base} could not be asked: {why}", err=True)
        typer.echo("Is the sidecar running, and is this its `http.listen`?", err=True)
        raise typer.Exit(EXIT_UNASKED) from None
    _tell(checks, as_json)


def _tell(checks: Sequence[Check], as_json: bool) -> NoReturn:
    from dataclasses import asdict

    from sidecar.serve.diagnosis import Finding

    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            sign = typer.style(f"{check.finding.value:>5}", fg=STYLES[check.finding.value])
            typer.echo(f"{sign}  {check.what}: {check.seen}")
            if check.next_step:
                typer.echo(f"       -> {check.next_step}")
    raise typer.Exit(EXIT_WRONG if any(c.finding is Finding.WRONG for c in checks) else 0)


def _objects(files: Sequence[str], namespace: str, timeout: float) -> list[Any]:
    """What the files hold, or kubectl gets: flat, without lists."""
    import yaml

    from sidecar.kube.service_doctor import KINDS

    space = ["-n", namespace] if namespace else []
    texts = [_text(name) for name in files]
    if not files:
        texts.append(_kubectl(["get", KINDS, *space], timeout))
        # Only where Istio is: an unknown kind would be an error.
        known = _kubectl(["api-resources", "--api-group=security.istio.io", "-o", "name"], timeout)
        if "authorizationpolicies" in known:
            texts.append(_kubectl(["get", "authorizationpolicies", *space], timeout))
    found: list[Any] = []
    for text in texts:
        try:
            documents = list(yaml.safe_load_all(text))
        except yaml.YAMLError as error:
            _unasked(f"not YAML: {' '.join(str(error).split())}")
        while documents:
            one = documents.pop(0)
            if isinstance(one, dict):
                items = one.get("items")
                documents += items if isinstance(items, list) else []
                found += [] if isinstance(items, list) else [one]
    return found


def _text(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        _unasked(f"--file {name}: {error}")


def _kubectl(arguments: Sequence[str], timeout: float) -> str:
    command = ["kubectl", *arguments, f"--request-timeout={max(1, int(timeout))}s"]
    if arguments[0] == "get":
        command += ["-o", "json"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=timeout + 5
        )
    except FileNotFoundError:
        _unasked("there is no kubectl: get the objects elsewhere and give them with --file")
    except subprocess.TimeoutExpired:
        _unasked("kubectl did not end in time")
    if done.returncode:
        _unasked(f"kubectl {' '.join(arguments[:2])}: {' '.join(done.stderr.split())}")
    return done.stdout


def _unasked(why: str) -> NoReturn:
    typer.echo(f"error: {why}", err=True)
    raise typer.Exit(EXIT_UNASKED)


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
