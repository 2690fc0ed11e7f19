"""Rule `topk`: 1 - |first k of production's and of the shadow's in common| / k."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

from sidecar.compare.payload import Array
from sidecar.compare.rules.finding import Tuning
from sidecar.compare.rules.rankings import ranked
from sidecar.compare.rules.vectors import vector_rule


def _distances(x: Array, y: Array, rule: Tuning) -> Array:
    def distance(p: Sequence[Hashable], q: Sequence[Hashable]) -> float:
        return 1 - len(set(p) & set(q)) / max(len(p), len(q))

    return ranked(x, y, rule, distance)


RULE: Final = vector_rule("topk", "fiuO", _distances, "k")
