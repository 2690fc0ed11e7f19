"""What the commands over captured calls have in common: options, configuration, refusals.

Rule: everything that is wrong with what was asked for is said before anything is sent, all at once,
with exit code 2. Counterparts: `replay`, `capacity`, `judge`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from sidecar.fields import ConfigError

if TYPE_CHECKING:
    from sidecar.capture.reader import Captured
    from sidecar.judge.labels import Label
    from sidecar.settings.settings import Settings

EXIT_USAGE = 2
EXIT_STOPPED = 130
CAPTURED = "captured"

Places = Annotated[
    list[str] | None,
    typer.Argument(help="Folders or files of captured calls, or one URI.", metavar="DIR|FILE..."),
]
Where = Annotated[
    str,
    typer.Option(
        help="Only these: outcome == 'value' and production_latency_ms > 10.", metavar="EXPR"
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="compare, judge: as live.", metavar="FILE"),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any other setting, by its path.", metavar="KEY.PATH=YAML"),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="What turned out to be true, as of `labels import`: CSV or Parquet.",
        metavar="FILE",
        dir_okay=False,
    ),
]


def chosen_settings(
    config: Path | None, flags: list[str] | None, shadow: Sequence[str], against: str
) -> Settings:
    """The configuration of a replay, with the candidates as shadows.

    Raises:
        ConfigError: with every error at once.
    """
    from sidecar.replay.book import offline
    from sidecar.settings.sources import load, put

    tree: dict[str, Any] = {}
    errors: list[str] = []
    if shadow:
        names = [text.partition("=") for text in shadow]
        tree["shadows"] = [
            {"name": name, "address": address} if equals else {"name": "candidate", "address": name}
            for name, equals, address in names
        ]
    for item in flags or ():
        path, equals, value = item.partition("=")
        try:
            put(tree, path.split("."), value)
        except ValueError as error:
            errors.append(f"--set {item!r}: {error}")
        if not equals:
            errors.append(f"--set {item!r}: write it as key.path=value")
    if against != CAPTURED:
        from sidecar.address import parse_address

        try:
            parse_address(against)
        except ValueError as error:
            errors.append(f"--against {against!r}: must be captured or HOST:PORT: {error}")
    try:
        settings = load(config, flags=tree)
    except ConfigError as error:
        raise ConfigError([*errors, *error.errors]) from None
    if errors:
        raise ConfigError(errors)
    return offline(settings, timed=against != CAPTURED)


def opened(places: Sequence[str], where: str, errors: list[str]) -> Captured | None:
    """The captured calls; None if they cannot be used, and why is added to the errors."""
    try:
        from sidecar.capture.once import check_once
        from sidecar.capture.reader import CapturedError, open_captured
        from sidecar.replay.recorded import check_payloads
    except ModuleNotFoundError:
        errors.append("pyarrow is missing: pip install 'shadow-sidecar[capture]'")
        return None
    try:
        found = open_captured(places, where)
        check_payloads(found)
        check_once(found)
    except CapturedError as error:
        errors += error.errors
        return None
    return found


def read_labels(file: Path | None, errors: list[str]) -> dict[str, Label]:
    """The labels by correlation id; the last for a call counts."""
    if file is None:
        return {}
    from sidecar.serve.labels import LabelFileError
    from sidecar.serve.labels import read_labels as rows

    try:
        return {label.correlation_id: label for label in rows(file)}
    except LabelFileError as error:
        errors.append(f"--labels {error}")
        return {}


def check_writable(files: Mapping[str, Path | None], errors: list[str]) -> None:
    """Find out before hours of work whether a result can be written."""
    for flag, file in files.items():
        if file is None:
            continue
        if not file.parent.is_dir():
            errors.append(f"{flag} {file}: there is no folder {file.parent}")
        elif not os.access(file if file.exists() else file.parent, os.W_OK):
            errors.append(f"{flag} {file}: may not be written to")


def worst_exit(reports: Sequence[Any]) -> int:
    """One exit code for several candidates: FAIL, then what is undecided, then PASS."""
    codes = [report.exit_code for report in reports]
    return next((code for code in (1, 4, 3, 0) if code in codes), 4)


def refuse(errors: Sequence[str], *, sent: int = 0) -> NoReturn:
    """End with everything that is wrong."""
    for line in errors:
        typer.echo(f"error: {line}", err=True)
    typer.echo(
        f"{sent:,} calls had been sent; that is no result."
        if sent
        else "Nothing was sent. --help shows what is allowed.",
        err=True,
    )
    raise typer.Exit(EXIT_USAGE)
