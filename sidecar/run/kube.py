"""The commands `inject`, `uninject` and `webhook` of `shadow-sidecar`.

Rule: arguments in, exit status out; the work is done by `manifests` and `webhook`. Exit status 2
with every error on standard error, and nothing on standard output, when something is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sidecar.kube.manifests import Outcome

EXIT_WRONG = 2

Defaults = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A default for pods that do not say otherwise: an annotation's name without its "
        "prefix, as in shadow=candidate:9000 or image=registry/shadow-sidecar:1.",
        metavar="NAME=VALUE",
    ),
]


def inject_command(
    files: Annotated[
        list[str], typer.Option("--file", "-f", help="Manifests; - is standard input.")
    ],
    defaults: Defaults = None,
) -> None:
    """Print manifests with the sidecar in every pod that is labelled shadow-sidecar/inject: "true".

    What another version of shadow-sidecar injected is injected anew. A Namespace among them gives
    its annotations as defaults to what is in it.

    The label and the annotations may stand on the pod template or on the object around it.
    """
    from sidecar.kube.manifests import inject_text

    chosen = _read_defaults(defaults)
    outcomes = _read(files, lambda text: inject_text(text, chosen))
    _print(outcomes, "injected")
    if not any(outcome.injected for outcome in outcomes):
        typer.echo("nothing asked to be injected, or everything has been already", err=True)


def uninject_command(
    files: Annotated[
        list[str], typer.Option("--file", "-f", help="Manifests; - is standard input.")
    ],
) -> None:
    """Print manifests without the sidecar: what `inject` did, of this version or an older one.

    The label and annotations that ask for it stay, so that it can be injected again; where the
    webhook is there, set the label to "false", too.
    """
    from sidecar.kube.manifests import uninject_text

    outcomes = _read(files, uninject_text)
    _print(outcomes, "sidecar taken out")
    if not any(outcome.injected for outcome in outcomes):
        typer.echo("nothing here has the sidecar", err=True)


def _read(files: list[str], change: Callable[[str], Outcome]) -> list[Outcome]:
    """Change every file's text; ends the process, with every error, if one is wrong."""
    from sidecar.kube.options import InjectError

    errors: list[str] = []
    outcomes = []
    for name in files:
        try:
            # As bytes, so that the ends of lines stay as they are.
            read = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
            outcomes.append(change(read.decode("utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            errors.append(f"{name}: {error}")
        except InjectError as error:
            errors += [f"{name}: {line}" for line in error.errors]
    _refuse(errors)
    return outcomes


def _print(outcomes: list[Outcome], what: str) -> None:
    texts = [outcome.text for outcome in outcomes if outcome.text]
    for number, text in enumerate(texts):
        separate = number > 0 and not text.startswith("---")
        sys.stdout.write(("---\n" if separate else "") + text)
        if not text.endswith("\n"):
            sys.stdout.write("\n")
    for outcome in outcomes:
        for line in outcome.injected:
            typer.echo(f"{what}: {line}", err=True)
        for line in outcome.warnings:
            typer.echo(f"warning: {line}", err=True)


def webhook_command(
    cert: Annotated[Path, typer.Option(help="The server's certificate chain, PEM.")],
    key: Annotated[Path, typer.Option(help="Its private key, PEM.")],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT")] = "[::]:8443",
    defaults: Defaults = None,
    api: Annotated[
        bool,
        typer.Option(
            "--api",
            help="Ask the API server for namespaces' annotations, which are defaults of their "
            "pods, and write an Event where a pod gets no sidecar that asked for one. Needs the "
            "right to get namespaces and to create events.",
        ),
    ] = False,
) -> None:
    """Serve the mutating admission webhook over TLS; a changed certificate is read again."""
    import asyncio

    from sidecar.address import TCP, parse_address
    from sidecar.collect.api_server import ApiServer, ApiServerError
    from sidecar.kube.certificate import CertificateError
    from sidecar.kube.webhook import API_SECONDS, serve
    from sidecar.wire.listen import ListenError

    chosen = _read_defaults(defaults)
    try:
        address = parse_address(listen)
    except ValueError as error:
        _refuse([f"--listen {listen}: {error}"])
        raise
    if not isinstance(address, TCP):
        _refuse([f"--listen {listen}: the webhook listens on host:port"])
        return
    try:
        server = ApiServer(seconds=API_SECONDS) if api else None
        asyncio.run(serve(address, cert, key, chosen, server))
    except ApiServerError as error:
        _refuse([f"--api: {error}"])
    except (CertificateError, ListenError, OSError) as error:
        _refuse([str(error)])


def _read_defaults(given: list[str] | None) -> dict[str, str]:
    """The defaults, checked: a wrong one would refuse every pod."""
    from sidecar.kube.options import InjectError, read_options

    errors = [f"--set {text!r}: write it as name=value" for text in given or () if "=" not in text]
    defaults = dict(text.split("=", 1) for text in given or () if "=" in text)
    try:
        read_options({}, defaults)
    except InjectError as error:
        errors += [f"--set: {line}" for line in error.errors]
    _refuse(errors)
    return defaults


def _refuse(errors: list[str]) -> None:
    for line in errors:
        typer.echo(f"error: {line}", err=True)
    if errors:
        raise typer.Exit(EXIT_WRONG)
