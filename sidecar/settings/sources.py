"""Reads the settings, and tells everything that is wrong with them at once.

A configuration comes from, in rising precedence: the defaults in `settings`, a YAML file,
environment variables (`SHADOW_SIDECAR_` and the path of the key joined by `__`, as in
`SHADOW_SIDECAR_SAMPLE__FRACTION=0.1`; values are read as YAML), and command-line flags.

Why not pydantic-settings: it reads values as JSON and leaves a misspelt variable alone, cannot
reach into a list (`SHADOWS__0__ADDRESS`), and stops at the first source that cannot be read. What
it would take over is `_from_environment` and `_merge`, twenty lines; the rest would go around it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from sidecar.fields import ConfigError
from sidecar.settings.settings import Settings

ENV_PREFIX = "SHADOW_SIDECAR_"
_QUOTE = "'"  # pydantic puts the name of a discriminator between them

# A date that does not exist and a number of 5,000 digits are a ValueError to PyYAML, deep nesting
# a RecursionError.
_NOT_YAML = (yaml.YAMLError, ValueError, RecursionError)

# What Kubernetes puts into every pod of a namespace for a Service whose name begins like ours.
SERVICE_LINK = re.compile(
    r"(^|_)(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$"
)


POD_VERSION = "POD_VERSION"  # as `kube.containers` sets it


def load(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Build the settings from a YAML file, the environment and flags.

    Args:
        file: a YAML file, or None.
        environ: environment variables; `os.environ` when None.
        flags: nested mapping of the given flags only; strongest.

    Raises:
        ConfigError: with every error at once, each naming the key, the value and what is allowed.
    """
    errors: list[str] = []
    tree: dict[str, Any] = {}
    environ = os.environ if environ is None else environ
    if environ.get(POD_VERSION):  # the pod's label; anything that is configured wins over it
        tree = {"judge": {"production_version": environ[POD_VERSION]}}
    if file is not None:
        _merge(tree, _read_yaml(file, errors))
    _merge(tree, _from_environment(environ, errors))
    _merge(tree, dict(flags or {}))
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        errors += [_sentence(e) for e in error.errors(include_url=False)]
    if errors:
        raise ConfigError(errors)
    return settings


def _read_yaml(file: Path, errors: list[str]) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        errors.append(f"{file}: {error.strerror}")
        return {}
    except _NOT_YAML as error:
        errors.append(f"{file}: not YAML: {' '.join(str(error).split())}")
        return {}
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        errors.append(f"{file}: the top level must be a mapping, not {type(tree).__name__}")
        return {}
    return tree


def _from_environment(environ: Mapping[str, str], errors: list[str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name in sorted(environ):
        if not name.startswith(ENV_PREFIX) or SERVICE_LINK.search(name.removeprefix(ENV_PREFIX)):
            continue
        path = name.removeprefix(ENV_PREFIX).lower().split("__")
        try:
            put(tree, path, environ[name])
        except ValueError as error:
            errors.append(f"{name}: {error}")
    return tree


def put(tree: dict[str, Any], path: Sequence[str], text: str) -> None:
    """Set the value at a path of keys and list positions, making mappings on the way.

    Raises:
        ValueError: the text is no YAML value, or the path leads through a list that is shorter.
    """
    try:
        value = yaml.safe_load(text)
    except _NOT_YAML:
        raise ValueError(f"{text!r} is not a YAML value") from None
    node: Any = tree
    for part, following in pairwise([*path, None]):
        key: Any = part
        if isinstance(node, list):
            key = _position(node, part or "")
        if following is None:
            node[key] = value
            return
        if isinstance(node, dict) and not isinstance(node.get(key), (dict, list)):
            node[key] = {}
        node = node[key]


def _position(items: Sequence[Any], part: str) -> int:
    """Where an item of a list is, by its position or by its name."""
    named = [item.get("name") if isinstance(item, dict) else None for item in items]
    if part in named:
        return named.index(part)
    if part.isdecimal() and int(part) < len(items):
        return int(part)
    names = ", ".join(str(name) for name in named if name) or "there are none"
    raise ValueError(
        f"{part!r} is no position in a list of {len(items)}, and no name in it: {names}"
    )


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _sentence(error: Any) -> str:
    path, models = _place(error["loc"])
    key = ".".join(path) or "configuration"
    message = error["msg"].removeprefix("Value error, ")
    match error["type"]:
        case "extra_forbidden":
            allowed = sorted({name for model in models for name in model.model_fields})
            return f"{key}: unknown key; allowed: {', '.join(allowed)}"
        case "missing":
            return f"{key}: required, and not given"
        case "union_tag_not_found":
            return f"{key}.{error['ctx']['discriminator'].strip(_QUOTE)}: required, and not given"
        case "union_tag_invalid":
            told, allowed = error["ctx"], error["ctx"]["expected_tags"]
            return (
                f"{key}.{told['discriminator'].strip(_QUOTE)}: {told['tag']!r}: must be {allowed}"
            )
    value = error["input"]
    shown = f" {value!r}:" if isinstance(value, (str, int, float, bool)) else ""
    return f"{key}:{shown} {message[0].lower()}{message[1:]}"


def _place(loc: tuple[int | str, ...]) -> tuple[list[str], list[type[BaseModel]]]:
    """A key as people write it, and the sections that it may be of: a kind is not part of a key."""
    path: list[str] = []
    models: list[type[BaseModel]] = [Settings]
    inside = models
    for part in loc:
        if part in {tag for model in inside for tag in _tags(model)}:
            inside = models = [model for model in inside if part in _tags(model)]
            continue
        path.append(str(part))
        if isinstance(part, int):
            continue
        models = inside
        fields = (m.model_fields[part] for m in models if part in m.model_fields)
        inside = [found for field in fields for found in _sections(field.annotation)]
    return path, models


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    """What tells a section from others in its place."""
    kind = model.model_fields.get("kind")
    return () if kind is None else get_args(kind.annotation)
