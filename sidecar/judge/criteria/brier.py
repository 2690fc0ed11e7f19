"""How much higher the shadow's Brier score is: the mean squared error of a probability, by labels.

Source: G. W. Brier, "Verification of forecasts expressed in terms of probability" (1950). An output
holds one probability a row; the label is 0 or 1. A shadow that gave none is as wrong as can be.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from sidecar.judge.criteria.labelled import MAX_ROWS, Decisions, Labelled, told
from sidecar.judge.decision import Decided
from sidecar.judge.labels import Label
from sidecar.judge.pair import Value

STEPS = 1_000_000  # what waits for a label is a whole number: a probability in millionths


class Brier(Labelled):
    """Is the shadow's probability further from the truth."""

    kind: Literal["brier"] = "brier"

    def rows(self, value: Value) -> tuple[Decided, ...]:
        """See `Labelled.rows`; none for an output that holds no probabilities."""
        array = np.atleast_1d(np.asarray(value))
        if array.dtype.kind not in "biuf" or array.size == 0:
            return ()
        numbers = array.astype(np.float64).ravel()[: MAX_ROWS + 1]
        if not np.all((numbers >= 0) & (numbers <= 1)):
            return ()  # also for what is not a number
        return tuple(int(n) for n in np.rint(numbers * STEPS))

    def lead(self, rows: Decisions, label: Label) -> float | None:
        """See `Labelled.lead`: the shadow's squared error less production's."""
        found = told(rows, label)
        if not found or any(y not in (0, 1) for _, _, y in found):
            return None
        return sum(_error(b, y) - _error(a, y) for a, b, y in found) / len(found)

    @property
    def about(self) -> str:
        """See `Criterion.about`."""
        return "Brier score gained, by labels"

    def said(self, plan: object, figure: str) -> str:
        """See `Criterion.said`."""
        return f"the Brier score is {figure} higher"


def _error(probability: Decided | None, truth: int) -> float:
    return (probability / STEPS - truth) ** 2 if isinstance(probability, int) else 1.0
