"""What rules share for BYTES that hold text.

Each gives every element a distance in [0, 1]; a call's is their mean, and it agrees up to
`max_score`. Texts are compared in Unicode's NFC with white space folded; bytes that are not UTF-8
are compared as bytes. Counterparts: `text`, `tokens`, `edit`, `json`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import TypeAlias

from sidecar.compare.payload import Output
from sidecar.compare.rules.finding import Compare, Finding, Rule, Tuning, graded

Element: TypeAlias = Callable[[bytes, bytes, Tuning], float]


def text_rule(name: str, distance: Element, *settings: str) -> Rule:
    """Make a rule of the distances of elements; `settings` are the keys it uses itself."""
    return Rule(name, "O", frozenset({"max_score", *settings}), _comparing(name, distance))


def _comparing(name: str, distance: Element) -> Compare:
    def compare(a: Output, b: Output, rule: Tuning) -> Finding:
        pairs = zip(a.array.ravel(), b.array.ravel(), strict=True)
        distances = [0.0 if x == y else distance(x, y, rule) for x, y in pairs]
        return graded(name, sum(distances) / max(len(distances), 1), rule)

    return compare


def same_text(a: bytes, b: bytes) -> float:
    """Give 0 if two texts are the same, else 1."""
    x = normalized(a)
    return float(x is None or x != normalized(b))


def normalized(data: bytes) -> str | None:
    """Decode UTF-8 to NFC with white space folded; None if it is not UTF-8."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return " ".join(unicodedata.normalize("NFC", text).split())
