"""Reads the settings, and tells everything that is wrong with them at once.

A configuration comes from, in rising precedence: the defaults in `config`, a YAML file, environment
variables (`SHADOW_SIDECAR_` and the path of the key joined by `__`, as in
`SHADOW_SIDECAR_SAMPLE__FRACTION=0.1`; values are read as YAML), and command-line flags.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from sidecar.fields import ConfigError
from sidecar.settings.settings import Settings

ENV_PREFIX = "SHADOW_SIDECAR_"

# A date that does not exist and a number of 5,000 digits are a ValueError to PyYAML, deep nesting
# a RecursionError.
_NOT_YAML = (yaml.YAMLError, ValueError, RecursionError)

# What Kubernetes puts into every pod of a namespace for a Service whose name begins like ours.
SERVICE_LINK = re.compile(
    r"(^|_)(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$"
)


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
    if file is not None:
        _merge(tree, _read_yaml(file, errors))
    _merge(tree, _from_environment(os.environ if environ is None else environ, errors))
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
            if not (part or "").isdecimal() or int(part or "") >= len(node):
                raise ValueError(f"{part!r} is not a position in a list of {len(node)}")
            key = int(part or "")
        if following is None:
            node[key] = value
            return
        if isinstance(node, dict) and not isinstance(node.get(key), (dict, list)):
            node[key] = {}
        node = node[key]


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _sentence(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"]) or "configuration"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key; allowed: {', '.join(_siblings(error['loc']))}"
    if error["type"] == "missing":
        return f"{key}: required, and not given"
    value = error["input"]
    shown = f" {value!r}:" if isinstance(value, (str, int, float, bool)) else ""
    return f"{key}:{shown} {message[0].lower()}{message[1:]}"


def _siblings(loc: tuple[int | str, ...]) -> list[str]:
    model: Any = Settings
    for part in loc[:-1]:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return sorted(model.model_fields)
