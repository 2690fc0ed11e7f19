"""Rule `tokens`: 1 - F1 of the words, each counted as often as it comes."""

from __future__ import annotations

from collections import Counter
from typing import Final

from sidecar.compare.rules.finding import Tuning
from sidecar.compare.rules.texts import normalized, text_rule


def _distance(a: bytes, b: bytes, rule: Tuning) -> float:
    del rule
    x, y = normalized(a), normalized(b)
    if x is None or y is None:
        return 1.0
    p, q = Counter(x.split()), Counter(y.split())
    total = p.total() + q.total()
    return 1 - 2 * (p & q).total() / total if total else 0.0


RULE: Final = text_rule("tokens", _distance)
