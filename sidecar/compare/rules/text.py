"""Rules for BYTES that hold text.

Each gives every element a distance in [0, 1]; a call's is their mean, and it agrees up to
`max_score`. Texts are compared in Unicode's NFC with white space folded; bytes that are not UTF-8
are compared as bytes.

    text    0 if the texts are the same, else 1
    tokens  1 - F1 of the words, each counted as often as it comes
    edit    edits (Levenshtein) / the longer text's length; an upper bound of it for texts that
            differ over more than 512 characters
    json    the share of paths, of all that either document has, whose values differ; numbers by
            tolerance, as FP64. What is not JSON on both sides is compared as text.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from sidecar.compare.payload import Output
from sidecar.compare.rules.finding import Compare, Finding, graded, tolerances
from sidecar.compare.settings import OutputRule

BLOCK: Final = 512  # characters whose edits are counted exactly: half a million steps
MAX_BLOCKS: Final = 16  # of one output; what is beyond counts as edited

Element = Callable[[bytes, bytes, OutputRule], float]


def _rule(name: str, distance: Element) -> Compare:
    def compare(a: Output, b: Output, rule: OutputRule) -> Finding:
        pairs = zip(a.array.ravel(), b.array.ravel(), strict=True)
        distances = [0.0 if x == y else distance(x, y, rule) for x, y in pairs]
        return graded(name, sum(distances) / max(len(distances), 1), rule)

    return compare


def normalized(data: bytes) -> str | None:
    """Decode UTF-8 to NFC with white space folded; None if it is not UTF-8."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return " ".join(unicodedata.normalize("NFC", text).split())


def _text(a: bytes, b: bytes, rule: OutputRule) -> float:
    del rule
    x = normalized(a)
    return float(x is None or x != normalized(b))


def _tokens(a: bytes, b: bytes, rule: OutputRule) -> float:
    del rule
    x, y = normalized(a), normalized(b)
    if x is None or y is None:
        return 1.0
    p, q = Counter(x.split()), Counter(y.split())
    total = p.total() + q.total()
    return 1 - 2 * (p & q).total() / total if total else 0.0


def _edit(a: Output, b: Output, rule: OutputRule) -> Finding:
    total, blocks = 0.0, MAX_BLOCKS
    for data, other in zip(a.array.ravel(), b.array.ravel(), strict=True):
        if data == other:
            continue
        x, y = normalized(data), normalized(other)
        if x is None or y is None:
            total += 1
        else:
            count, blocks = edits(x, y, blocks)
            total += count / max(len(x), len(y), 1)
    return graded("edit", total / max(a.array.size, 1), rule)


def edits(a: str, b: str, blocks: int = MAX_BLOCKS) -> tuple[int, int]:
    """Count the insertions, deletions and replacements from one text to the other.

    Exact where the texts differ over no more than `BLOCK` characters; else an upper bound: the
    edits of block against block, and all of what is beyond `blocks` of them. Returns the count and
    how many blocks are left.
    """
    a, b = _trimmed(a, b)
    if not a or not b:
        return len(a) + len(b), blocks
    longer = max(len(a), len(b))
    used = min(blocks, -(-longer // BLOCK))
    parts = (slice(i * BLOCK, (i + 1) * BLOCK) for i in range(used))
    count = sum(_levenshtein(a[part], b[part]) for part in parts)
    return count + max(0, longer - used * BLOCK), blocks - used


def _trimmed(a: str, b: str) -> tuple[str, str]:
    """Leave out what both texts begin and end with: it needs no edits."""
    shorter = min(len(a), len(b))
    start = 0
    while start < shorter and a[start] == b[start]:
        start += 1
    end = 0
    while end < shorter - start and a[-1 - end] == b[-1 - end]:
        end += 1
    return a[start : len(a) - end], b[start : len(b) - end]


def _levenshtein(a: str, b: str) -> int:
    """Wagner and Fischer's table, a row at a time.

    Insertions run along a row: the best of them is a running minimum once their cost, one for each
    place, is taken off.
    """
    target = np.array([ord(c) for c in b], np.int32)
    places = np.arange(len(b) + 1, dtype=np.int32)
    row = places.copy()
    for i, character in enumerate(a, start=1):
        best = np.empty_like(row)
        best[0] = i
        best[1:] = np.minimum(row[1:] + 1, row[:-1] + (target != ord(character)))
        row = np.minimum.accumulate(best - places) + places
    return int(row[-1])


def _json(a: bytes, b: bytes, rule: OutputRule) -> float:
    try:
        x, y = (dict(_paths((), json.loads(data))) for data in (a, b))
    except (ValueError, RecursionError):
        return _text(a, b, rule)
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


def _is_nan(value: float) -> bool:
    return isinstance(value, float) and math.isnan(value)


COMPARISONS: Final[dict[str, Compare]] = {
    "text": _rule("text", _text),
    "tokens": _rule("tokens", _tokens),
    "edit": _edit,
    "json": _rule("json", _json),
}
