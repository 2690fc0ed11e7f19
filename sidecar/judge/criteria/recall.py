"""How many fewer of the positive rows the shadow finds than production, by labels.

A paired mean over the calls with a positive row: a call without any says nothing about recall.
"""

from __future__ import annotations

from typing import Literal

from sidecar.judge.criteria.labelled import Decisions, OfOneClass, told
from sidecar.judge.labels import Label


class Recall(OfOneClass):
    """Does the shadow find less."""

    kind: Literal["recall"] = "recall"

    def lead(self, rows: Decisions, label: Label) -> float | None:
        """See `Labelled.lead`: shares of positive rows that were found."""
        found = told(rows, label)
        if found is None:
            return None
        found = [row for row in found if row[2] == self.positive]
        return sum((a == y) - (b == y) for a, b, y in found) / len(found) if found else None
