"""How much larger the shadow's mean absolute error is, by labels; each error clips."""

from __future__ import annotations

from typing import Literal

from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.labelled import Decisions
from sidecar.judge.criteria.of_errors import OfErrors
from sidecar.judge.criteria.shapes import Unit
from sidecar.judge.evidence.splat import even_edges
from sidecar.judge.labels import Label
from sidecar.judge.number import number


class MAE(OfErrors):
    """Is the shadow further from the truth."""

    kind: Literal["mae"] = "mae"

    def problems(self) -> list[str]:
        """See `Criterion.problems`."""
        fits = 0 <= self.margin < self.largest_error
        return [] if fits else ["margin must be at least 0 and below largest_error"]

    def plan(self, control_fraction: float = 0.0) -> Plan:
        """See `Criterion.plan`."""
        edges = even_edges(-self.largest_error, self.largest_error)
        return Plan(self, control_fraction, edges=edges)

    def lead(self, rows: Decisions, label: Label) -> float | None:
        """See `Labelled.lead`: the shadow's error less production's, in the label's unit."""
        found = self.errors(rows, label)
        if not found:
            return None
        return sum(b - a for a, b in found) / len(found) * self.largest_error

    @property
    def unit(self) -> Unit:
        """See `Criterion.unit`."""
        return Unit.PLAIN

    @property
    def about(self) -> str:
        """See `Criterion.about`."""
        return f"mean absolute error gained, by labels, each error at most {self._most}"

    @property
    def _most(self) -> str:
        return number(self.largest_error)

    def said(self, plan: Plan, figure: str) -> str:
        """See `Criterion.said`."""
        return f"the mean absolute error (each at most {self._most}) is {figure} higher"
