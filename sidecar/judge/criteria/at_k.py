"""What the criteria at k share: the relevant items that are among the first k."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np

from sidecar.fields import Count
from sidecar.judge.criteria.labelled import (
    MAX_ROWS,
    Decisions,
    DifferencePlan,
    LabelledCriterion,
    whole,
)
from sidecar.judge.decision import Decided
from sidecar.judge.labels import Label
from sidecar.judge.pair import Value


class AtKCriterion(LabelledCriterion):
    """A criterion about the first k items of a ranking."""

    k: Count = 10  # how many of the first items count
    labels: Literal["disagreements", "sample"] = "disagreements"  # which calls get labels


class AtKPlan(DifferencePlan):
    """Scores the first k items, as sets: which are among them, not in which order."""

    criterion: AtKCriterion

    @property
    def disagreements(self) -> bool:  # type: ignore[override]
        return self.criterion.labels == "disagreements"

    @abstractmethod
    def divisor(self, relevant: frozenset[int]) -> int:
        """What the number of items found is a share of."""

    def rows(self, value: Value) -> tuple[Decided, ...]:
        """The first k items: ranked item numbers as they are, of scores the indices of the best."""
        array = np.atleast_1d(np.asarray(value))
        if array.dtype.kind not in "biuf" or array.size == 0:
            return ()
        rows = array.reshape(-1, array.shape[-1])[:MAX_ROWS]
        if array.dtype.kind == "f":
            rows = np.argsort(-rows, axis=1, kind="stable")
        return tuple(frozenset(int(i) for i in row[: self.criterion.k]) for row in rows)

    def score(self, rows: Decisions, label: Label) -> tuple[bool, float | None]:
        relevant = _relevant(label, len(rows.production))
        if relevant is None:
            return False, None
        scores = []
        for i, items in enumerate(relevant):
            if not items:
                continue  # nothing to be found: no score
            a, b = rows.production[i], rows.shadow[i] if i < len(rows.shadow) else frozenset()
            if isinstance(a, frozenset) and isinstance(b, frozenset):
                scores.append((len(a & items) - len(b & items)) / self.divisor(items))
        return True, sum(scores) / len(scores) if scores else None


def _relevant(label: Label, rows: int) -> list[frozenset[int]] | None:
    value = label.value
    if isinstance(value, str):
        value = value.replace(",", " ").split()
    if not isinstance(value, Sequence):
        value = [value]
    nested = [v for v in value if isinstance(v, Sequence) and not isinstance(v, str)]
    groups = [whole(group) for group in nested] if nested else [whole(value)]
    known = [frozenset(group) for group in groups if group is not None]
    return known if len(known) == len(groups) == rows else None
