"""How much lower the shadow's NDCG@k is, by labels that list the relevant items.

Discounted cumulative gain of the first k, 1 / log2(place + 1) for each relevant item at places 1 to
k, over the best that is possible. Source: Jarvelin and Kekalainen, "Cumulated gain-based evaluation
of IR techniques" (2002), with relevance 0 or 1.
"""

from __future__ import annotations

import math
from typing import Literal

from sidecar.judge.criteria.at_k import AtK, firsts
from sidecar.judge.decision import Decided
from sidecar.judge.pair import Value


class NDCGAtK(AtK):
    """Are the relevant items further down."""

    kind: Literal["ndcg_at_k"] = "ndcg_at_k"

    def rows(self, value: Value) -> tuple[Decided, ...]:
        """See `Labelled.rows`: the first k items in their order."""
        return firsts(value, self.k)

    def found(self, row: Decided, items: frozenset[int]) -> float:
        """See `AtK.found`: the gain of each, by its place."""
        if not isinstance(row, tuple):
            return 0.0
        return math.fsum(_gain(place) for place, item in enumerate(row) if item in items)

    def size(self, relevant: int) -> float:
        """See `AtK.size`: the best gain that is possible."""
        return math.fsum(_gain(place) for place in range(min(self.k, relevant)))


def _gain(place: int) -> float:
    return 1 / math.log2(place + 2)
