"""Rule `json`: the share of paths, of all that either document has, whose values differ.

Numbers differ by tolerance, as FP64. What is not JSON on both sides is compared as text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final

from sidecar.compare.rules.finding import Tuning, tolerances
from sidecar.compare.rules.texts import same_text, text_rule


def _distance(a: bytes, b: bytes, rule: Tuning) -> float:
    try:
        x, y = (dict(_paths((), json.loads(data))) for data in (a, b))
    except (ValueError, RecursionError):
        return same_text(a, b)
    atol, rtol = tolerances("FP64", rule)
    paths = x.keys() | y.keys()
    differing = sum(not _alike(x.get(p, _ABSENT), y.get(p, _ABSENT), atol, rtol) for p in paths)
    return differing / len(paths)


_ABSENT: Final = object()


def _paths(path: tuple[str | int, ...], value: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every leaf by its path; an empty mapping or list is a leaf."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _paths((*path, key), inner)
    elif isinstance(value, list) and value:
        for i, inner in enumerate(value):
            yield from _paths((*path, i), inner)
    else:
        yield path, value


def _alike(a: Any, b: Any, atol: float, rtol: float) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        if a == b or (_is_nan(a) and _is_nan(b)):  # Python's JSON knows NaN
            return True
        try:
            return abs(b - a) <= atol + rtol * abs(a) < float("inf")
        except OverflowError:  # an integer beyond any float
            return False
    return bool(type(a) is type(b) and a == b)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


RULE: Final = text_rule("json", _distance, "atol", "rtol")
