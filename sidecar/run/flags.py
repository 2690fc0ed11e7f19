"""The flags that `run` and `observe` share, and the settings that they make.

Rule: a flag only fills in a setting; what is wrong with any of them is said at once, with exit
code 2. Both processes are given the same flags. Counterparts: `settings.sources`, which merges them
with file and environment; `commands`, whose commands have them.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from sidecar.fields import ConfigError
from sidecar.run.checks import file_errors, untrusted_latency
from sidecar.run.gate import seconds
from sidecar.settings.settings import Settings
from sidecar.settings.sources import load, put

EXIT_CONFIG = 2

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML settings; flags win over it.", metavar="FILE"),
]
Listen = Annotated[
    list[str] | None,
    typer.Option(help="Where clients connect. Once for each --upstream.", metavar="HOST:PORT"),
]
Upstream = Annotated[
    list[str] | None,
    typer.Option(help="The production server behind it.", metavar="HOST:PORT"),
]
Shadow = Annotated[
    list[str] | None,
    typer.Option(
        help="A server that receives copies; a name of its own when there are several.",
        metavar="[NAME=]HOST:PORT",
    ),
]
Sample = Annotated[
    float | None, typer.Option(help="Share of the calls to shadow, 0 to 1.", metavar="FRACTION")
]
Rate = Annotated[
    float | None,
    typer.Option(help="At most so many calls a second to each shadow.", metavar="CALLS"),
]
HTTP = Annotated[
    str | None,
    typer.Option(help="Health, metrics, status and the live page.", metavar="HOST:PORT"),
]
Admin = Annotated[
    str | None,
    typer.Option(help="The gRPC Admin API: report, gate, labels.", metavar="HOST:PORT"),
]
Tap = Annotated[
    str | None,
    typer.Option(help="Unix socket between wire and observer.", metavar="PATH"),
]
Traces = Annotated[
    str | None,
    typer.Option(help="comparison, joined or off.", metavar="LAYOUT"),
]
StateDir = Annotated[
    str | None,
    typer.Option(
        "--state",
        help="A directory of ours alone for evidence, decisions and labels; or: none.",
        metavar="DIR",
    ),
]
WaitShadow = Annotated[
    str | None,
    typer.Option(
        help="A shadow that cannot be reached at the start is waited for, at most so long.",
        metavar="TIME",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any other setting, by its path.", metavar="KEY.PATH=YAML"),
]


def _flags(
    config: Config = None,
    listen: Listen = None,
    upstream: Upstream = None,
    shadow: Shadow = None,
    sample: Sample = None,
    rate: Rate = None,
    http: HTTP = None,
    admin: Admin = None,
    tap: Tap = None,
    traces: Traces = None,
    state: StateDir = None,
    wait_shadow: WaitShadow = None,
    settings: Set = None,
) -> None:
    """What is shared, as typer reads it."""


SHARED = inspect.signature(_flags, eval_str=True).parameters


def shared_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags that are shared; it finds them in its context's `params`."""
    own = inspect.signature(command, eval_str=True)

    @wraps(command)
    def with_flags(**given: Any) -> None:
        command(**{name: value for name, value in given.items() if name not in SHARED})

    both = [*SHARED.values(), *own.parameters.values()]
    vars(with_flags)["__signature__"] = own.replace(
        parameters=[p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in both]
    )
    del with_flags.__wrapped__  # typer would read its annotations instead
    with_flags.__annotations__ = {p.name: p.annotation for p in both}
    return with_flags


def tree_of(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The given flags as the nested mapping that `config.load` takes.

    Raises:
        ConfigError: when flags contradict each other.
    """
    tree: dict[str, Any] = json.loads(flags.get("tree") or "{}")
    errors = []
    if flags["listen"] or flags["upstream"]:
        listens, upstreams = flags["listen"] or [], flags["upstream"] or []
        if len(listens) != len(upstreams):
            errors.append(
                f"--listen was given {len(listens)} times and --upstream {len(upstreams)} times; "
                "they come in pairs"
            )
        routes = [
            {"listen": _any_host(a), "upstream": b}
            for a, b in zip(listens, upstreams, strict=False)
        ]
        tree.setdefault("wire", {})["routes"] = routes
    rate = flags["rate"]
    if flags["shadow"]:
        tree["shadows"] = [_shadow(text, rate) for text in flags["shadow"]]
    elif rate is not None:
        errors.append(f"--rate {rate}: give --shadow too, or set shadows[].rate in the file")
    for flag in ("http", "admin"):
        if flags[flag] is not None:
            tree.setdefault(flag, {})["listen"] = _any_host(flags[flag])
    for flag, section, key in (
        ("sample", "sample", "fraction"),
        ("tap", "wire", "tap"),
        ("traces", "telemetry", "traces"),
        ("state", "state", "dir"),
    ):
        if flags[flag] is not None:
            tree.setdefault(section, {})[key] = flags[flag]
    if flags["wait_shadow"] is not None:
        waited = seconds(flags["wait_shadow"])
        tree.setdefault("observer", {})["wait_shadow_seconds"] = waited
    # Last, so that --set can refine what --shadow made: --set shadows.0.deadline_seconds=1.
    for item in flags["settings"] or ():
        path, equals, value = item.partition("=")
        if not equals:
            errors.append(f"--set {item!r}: write it as key.path=value")
            continue
        try:
            put(tree, path.split("."), value)
        except ValueError as error:
            errors.append(f"--set {item!r}: {error}")
    if errors:
        raise ConfigError(errors)
    return tree


def _any_host(address: str) -> str:
    return f"0.0.0.0{address}" if address.startswith(":") else address


def _shadow(text: str, rate: float | None) -> dict[str, Any]:
    name, equals, address = text.partition("=")
    shadow: dict[str, Any] = {"name": name, "address": address} if equals else {"address": text}
    if rate is not None:
        shadow["rate"] = {"calls_per_second": rate}
    return shadow


def load_from(context: typer.Context) -> Settings:
    from sidecar.telemetry.environment import environment_errors

    errors = environment_errors(os.environ)
    try:
        settings = load(context.params["config"], flags=tree_of(context.params))
    except ConfigError as error:
        refuse([*error.errors, *errors])
    from sidecar.run.state import state_errors

    errors += [*untrusted_latency(settings), *file_errors(settings), *state_errors(settings)]
    if errors:
        refuse(errors)
    return settings


def refuse(errors: list[str]) -> NoReturn:
    for line in errors:
        typer.echo(f"error: {line}", err=True)
    typer.echo("Nothing was started. `shadow-sidecar run --help` shows what is allowed.", err=True)
    raise typer.Exit(EXIT_CONFIG)
