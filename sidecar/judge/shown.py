"""Payload values beside a call worth a look: only where the configuration allows them.

Rule: what is not revealed by name is masked here, in the process that read it, so that it goes
nowhere; what is revealed is bounded. Pure. Counterparts: `settings.ExampleSettings`, `worst.Note`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from sidecar.judge.pair import Value, Values
from sidecar.judge.settings import ExampleSettings

MASK = "\u2022\u2022\u2022"
MAX_INPUTS = 8
MAX_NAME = 128  # characters, likewise
MAX_ELEMENT = 48
MAX_TEXT = 240


@dataclass(frozen=True, slots=True)
class Shown:
    """Values as text, masked where they are not revealed."""

    outputs: Mapping[str, tuple[str, str]]  # production's and the shadow's; empty: has none
    inputs: tuple[tuple[str, str], ...]  # name and value


def shown(
    settings: ExampleSettings, names: Iterable[str], values: Values, inputs: Mapping[str, Value]
) -> Shown:
    """Write down what may be shown of a call.

    Args:
        settings: what may be.
        names: the outputs that it is about, as the comparison names them.
        values: both sides' outputs by these names.
        inputs: the request's fields.
    """
    most = settings.max_elements
    outputs = {}
    for name in names:
        bare = name.rpartition("]")[2] if name.startswith("[") else name
        clear = _revealed(settings.reveal_outputs, bare)
        a, b = values.get(name, (None, None))
        outputs[name] = (_text(a, most, clear), _text(b, most, clear))
    fields = [
        (name[:MAX_NAME], _text(value, most, _revealed(settings.reveal_inputs, name)))
        for name, value in list(inputs.items())[:MAX_INPUTS]
    ]
    return Shown(outputs, tuple(fields))


def _revealed(globs: Iterable[str], name: str) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _text(value: Value | None, most: int, clear: bool) -> str:
    if value is None:
        return ""
    if not clear:
        return MASK
    array = np.asarray(value)
    first = [_element(element) for element in array.reshape(-1)[:most].tolist()]
    if array.ndim == 0:
        return first[0]
    if array.size > most:
        first.append(f"\u2026 {array.size:,} in all")
    return _cut(f"[{', '.join(first)}]", MAX_TEXT)


def _element(element: Any) -> str:
    if isinstance(element, float):
        return f"{element:.9g}"
    if isinstance(element, bytes):
        element = element[: 4 * MAX_ELEMENT].decode("utf-8", "replace")
    return _cut(repr(element) if isinstance(element, str) else str(element), MAX_ELEMENT)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}\u2026"
