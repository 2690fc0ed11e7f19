"""How much less often the shadow is right than production, by labels."""

from __future__ import annotations

from typing import Literal

from sidecar.judge.criteria.labelled import ByDecision, Decisions, told
from sidecar.judge.labels import Label


class Accuracy(ByDecision):
    """Is the shadow right less often."""

    kind: Literal["accuracy"] = "accuracy"

    def lead(self, rows: Decisions, label: Label) -> float | None:
        """See `Labelled.lead`: shares of right rows."""
        found = told(rows, label)
        if not found:
            return None
        return sum((a == y) - (b == y) for a, b, y in found) / len(found)
