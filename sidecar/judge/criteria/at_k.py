"""Kinds about the first k items of a ranking, by labels that list the relevant ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sidecar.fields import Count
from sidecar.judge.criteria.labelled import MAX_ROWS, Decisions, Labelled, whole
from sidecar.judge.decision import Decided
from sidecar.judge.labels import Label
from sidecar.judge.pair import Value


class AtK(Labelled):
    """What is among the first k, not in which order."""

    k: Count = 10

    def rows(self, value: Value) -> tuple[Decided, ...]:
        """See `Labelled.rows`: item numbers as ranked, or of scores the indices of the best."""
        array = np.atleast_1d(np.asarray(value))
        if array.dtype.kind not in "biuf" or array.size == 0:
            return ()
        rows = array.reshape(-1, array.shape[-1])[: MAX_ROWS + 1]
        if array.dtype.kind == "f":
            rows = np.argsort(-rows, axis=1, kind="stable")
        return tuple(frozenset(int(i) for i in row[: self.k]) for row in rows)

    def lead(self, rows: Decisions, label: Label) -> float | None:
        """See `Labelled.lead`: shares of the relevant items that were found, by `size`."""
        relevant = relevant_of(label, len(rows.production))
        if relevant is None:
            return None
        scores = []
        for i, items in enumerate(relevant):
            if not items:
                continue  # nothing to be found: no score
            a, b = rows.production[i], rows.shadow[i] if i < len(rows.shadow) else frozenset()
            if isinstance(a, frozenset) and isinstance(b, frozenset):
                scores.append((len(a & items) - len(b & items)) / self.size(len(items)))
        return sum(scores) / len(scores) if scores else None

    def size(self, relevant: int) -> int:
        """What the items that were found are a share of."""
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
