"""A call that waits for its label: where it counts, and what both sides decided.

Counterparts: `labels`, which keeps them in bounded room; `judge`, which counts them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.labelled import Decisions, Labelled
from sidecar.judge.labels import Label
from sidecar.judge.slices import Place

MOST_SHOWN = 40  # characters of a label in an error


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a label will be joined to."""

    unix_ns: int  # when the call arrived
    places: tuple[Place, ...]
    decisions: tuple[tuple[Plan, Labelled, Decisions], ...]
    weight: float = 1.0  # the call's, in its block

    @property
    def interest(self) -> float:
        """How much a label would tell: by how many criteria the call differs."""
        return math.fsum(
            2.0 if criterion.required else 1.0
            for _, criterion, decided in self.decisions
            if decided.differ
        )

    def misfit(self, label: Label) -> str:
        """Why no criterion can use a label."""
        rows = max((len(decided.production) for _, _, decided in self.decisions), default=0)
        items = label.value if isinstance(label.value, (list, tuple)) else None
        what = f"a list of {len(items)}" if items is not None else repr(label.value)[:MOST_SHOWN]
        kinds = ", ".join(dict.fromkeys(criterion.kind for _, criterion, _ in self.decisions))
        many = "1 row" if rows == 1 else f"{rows} rows"
        return f"{kinds} cannot use {what} for a call of {many}"
