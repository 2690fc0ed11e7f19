"""Kinds about the first k items of a ranking, by labels that list the relevant ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sidecar.fields import Count
from sidecar.judge.criteria.labelled import MAX_ROWS, Decisions, Labelled, whole
from sidecar.judge.decision import Decided
from sidecar.judge.labels import Label
from sidecar.judge.pair import Value


def firsts(value: Value, k: int) -> tuple[tuple[int, ...], ...]:
    """The first k items of each row in their order; none where a score is NaN.

    Args:
        value: item numbers as ranked, or scores, float, [rows, items] or [items].
        k: how many.
    """
    array = np.atleast_1d(np.asarray(value))
    if array.dtype.kind not in "biuf" or array.size == 0:
        return ()
    rows = array.reshape(-1, array.shape[-1])[: MAX_ROWS + 1]
    if array.dtype.kind != "f":
        return tuple(tuple(int(i) for i in row[:k]) for row in rows)
    if np.isnan(rows).any():
        return tuple(() for _ in rows)  # no order: nothing is found
    order = np.argsort(-rows, axis=1, kind="stable")
    return tuple(tuple(int(i) for i in row[:k]) for row in order)


class AtK(Labelled):
    """What is among the first k, not in which order."""

    k: Count = 10  # items that are looked at, from the first

    def rows(self, value: Value) -> tuple[Decided, ...]:
        """See `Labelled.rows`: item numbers as ranked, or of scores the indices of the best."""
        return tuple(frozenset(row) for row in firsts(value, self.k))

    def lead(self, rows: Decisions, label: Label) -> float | None:
        """See `Labelled.lead`: shares of the relevant items that were found, by `size`."""
        relevant = relevant_of(label, len(rows.production))
        if relevant is None:
            return None
        scores = []
        for i, items in enumerate(relevant):
            if not items:
                continue  # nothing to be found: no score
            ours = self.found(rows.production[i], items)
            theirs = self.found(rows.shadow[i], items) if i < len(rows.shadow) else 0.0
            scores.append((ours - theirs) / self.size(len(items)))
        return sum(scores) / len(scores) if scores else None

    def found(self, row: Decided, items: frozenset[int]) -> float:
        """How much of what is relevant is in a row: so many items."""
        return len(row & items) if isinstance(row, frozenset) else 0.0

    def size(self, relevant: int) -> float:
        """What that is a share of, where so many items are relevant."""
        raise NotImplementedError


def relevant_of(label: Label, rows: int) -> list[frozenset[int]] | None:
    """The relevant items of each row; None for a label that does not fit the rows."""
    value = label.value
    if isinstance(value, str):
        value = value.replace(",", " ").split()
    if not isinstance(value, Sequence):
        value = [value]
    nested = [v for v in value if isinstance(v, Sequence) and not isinstance(v, str)]
    groups = [whole(group) for group in nested] if nested else [whole(value)]
    known = [frozenset(group) for group in groups if group is not None]
    return known if len(known) == len(groups) == rows else None
