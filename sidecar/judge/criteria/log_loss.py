"""How much higher the shadow's log loss is, in nats, by labels: -ln of the truth's probability.

An output holds one probability a row; the label is 0 or 1. A probability below `smallest` counts as
that, for one certain mistake would outweigh everything; a shadow that gave none, likewise.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.brier import STEPS, Brier
from sidecar.judge.criteria.labelled import Decisions, told
from sidecar.judge.criteria.shapes import Unit
from sidecar.judge.decision import Decided
from sidecar.judge.evidence.splat import even_edges
from sidecar.judge.labels import Label
from sidecar.judge.number import number


class LogLoss(Brier):
    """Is the shadow surer of what is wrong."""

    kind: Literal["log_loss"] = "log_loss"  # type: ignore[assignment]  # narrowed as pydantic wants it
    smallest: Annotated[float, Field(gt=0, le=0.25)] = 0.01  # probability that counts

    @property
    def _most(self) -> float:
        return -math.log(self.smallest)

    def problems(self) -> list[str]:
        """See `Criterion.problems`."""
        fits = 0 <= self.margin < self._most
        return [] if fits else [f"margin must be at least 0 and below {number(self._most)} nats"]

    def plan(self, control_fraction: float = 0.0) -> Plan:
        """See `Criterion.plan`."""
        return Plan(self, control_fraction, edges=even_edges(-self._most, self._most))

    def lead(self, rows: Decisions, label: Label) -> float | None:
        """See `Labelled.lead`: the shadow's loss less production's."""
        found = told(rows, label)
        if not found or any(y not in (0, 1) for _, _, y in found):
            return None
        return sum(self._loss(b, y) - self._loss(a, y) for a, b, y in found) / len(found)

    def _loss(self, probability: Decided | None, truth: int) -> float:
        if not isinstance(probability, int):
            return self._most
        p = probability / STEPS
        return -math.log(max(self.smallest, p if truth else 1 - p))

    @property
    def unit(self) -> Unit:
        """See `Criterion.unit`."""
        return Unit.PLAIN

    @property
    def about(self) -> str:
        """See `Criterion.about`."""
        return f"log loss gained, by labels, probabilities at least {number(self.smallest)}"

    def said(self, plan: object, figure: str) -> str:
        """See `Criterion.said`."""
        return (
            f"the log loss (probabilities at least {number(self.smallest)}) is {figure} nats higher"
        )
