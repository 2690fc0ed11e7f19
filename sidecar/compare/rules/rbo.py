"""Rule `rbo`: 1 - rank-biased overlap of the first k, extrapolated, with `persistence` p.

Source: Webber, Moffat, Zobel 2010, A similarity measure for indefinite rankings.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

from sidecar.compare.payload import Array
from sidecar.compare.rules.finding import Tuning
from sidecar.compare.rules.rankings import ranked
from sidecar.compare.rules.vectors import vector_rule


def _distances(x: Array, y: Array, rule: Tuning) -> Array:
    p = rule.persistence

    def distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> float:
        depth = max(len(one), len(other))
        seen_one: set[Hashable] = set()
        seen_other: set[Hashable] = set()
        common, total = 0, 0.0
        for d in range(1, depth + 1):
            for item, seen, against in (
                (one[d - 1 : d], seen_one, seen_other),
                (other[d - 1 : d], seen_other, seen_one),
            ):
                common += sum(i in against for i in item)
                seen.update(item)
            total += common / d * p**d
        return 1 - (common / depth * p**depth + (1 - p) / p * total)

    return ranked(x, y, rule, distance)


RULE: Final = vector_rule("rbo", "fiuO", _distances, "k", "persistence")
