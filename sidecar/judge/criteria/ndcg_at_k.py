"""How much lower the shadow's NDCG@k is, by labels that list the relevant items.

Discounted cumulative gain of the first k, 1 / log2(place + 1) for each relevant item at places 1 to
k, over the best that is possible. Source: Jarvelin and Kekalainen, "Cumulated gain-based evaluation
of IR techniques" (2002), with relevance 0 or 1.
"""

from __future__ import annotations

import math
from typing import Literal

from sidecar.judge.criteria.at_k import AtK, firsts, relevant_of
from sidecar.judge.criteria.labelled import Decisions
from sidecar.judge.decision import Decided
from sidecar.judge.labels import Label
from sidecar.judge.pair import Value


class NDCGAtK(AtK):
    """Are the relevant items further down."""

    kind: Literal["ndcg_at_k"] = "ndcg_at_k"

    def rows(self, value: Value) -> tuple[Decided, ...]:
        """See `Labelled.rows`: the first k items in their order."""
        return firsts(value, self.k)

    def lead(self, rows: Decisions, label: Label) -> float | None:
        """See `Labelled.lead`."""
        relevant = relevant_of(label, len(rows.production))
        if relevant is None:
            return None
        scores = []
        for i, items in enumerate(relevant):
            if not items:
                continue  # nothing to be found: no score
            best = math.fsum(_gain(place) for place in range(min(self.k, len(items))))
            a, b = rows.production[i], rows.shadow[i] if i < len(rows.shadow) else ()
            scores.append((_found(a, items) - _found(b, items)) / best)
        return sum(scores) / len(scores) if scores else None

    def size(self, relevant: int) -> int:
        """See `AtK.size`."""
        return min(self.k, relevant)


def _gain(place: int) -> float:
    return 1 / math.log2(place + 2)


def _found(ranked: Decided, items: frozenset[int]) -> float:
    if not isinstance(ranked, tuple):
        return 0.0
    return math.fsum(_gain(place) for place, item in enumerate(ranked) if item in items)
