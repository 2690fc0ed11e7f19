"""What kinds about numeric errors share: numbers on both sides, and the true one as a label.

Rule: an error counts at most as the declared `largest_error`, for a mean that one rare error can
move at will can never be judged; it is said that it clips. A number that is missing or not finite
is as far off as that. What waits for a label are whole millionths of the largest error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from sidecar.judge.criteria.labelled import MAX_ROWS, Decisions, Labelled
from sidecar.judge.decision import Decided
from sidecar.judge.labels import Label
from sidecar.judge.pair import Value

STEPS = 1_000_000
HUGE = 1e100  # so many times the largest error is as far off as can be
NO_NUMBER: Decided = ()


class OfErrors(Labelled):
    """How far off both sides are."""

    largest_error: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0  # in the label's unit

    def rows(self, value: Value) -> tuple[Decided, ...]:
        """See `Labelled.rows`; none for an output that holds no numbers."""
        array = np.atleast_1d(np.asarray(value))
        if array.dtype.kind not in "biuf" or array.size == 0:
            return ()
        with np.errstate(over="ignore"):
            numbers = array.astype(np.float64).ravel()[: MAX_ROWS + 1] / self.largest_error
        finite = np.isfinite(numbers)
        numbers[finite] = np.clip(numbers[finite], -HUGE, HUGE)
        return tuple(round(float(x) * STEPS) if np.isfinite(x) else NO_NUMBER for x in numbers)

    def errors(self, rows: Decisions, label: Label) -> list[tuple[float, float]] | None:
        """Each row's two errors as shares of the largest; None for a label that does not fit."""
        truth = _numbers(label, len(rows.production))
        if truth is None:
            return None
        shadow = rows.shadow if len(rows.shadow) == len(truth) else (NO_NUMBER,) * len(truth)
        return [
            (self._error(a, y), self._error(b, y))
            for a, b, y in zip(rows.production, shadow, truth, strict=True)
        ]

    def _error(self, said: Decided, truth: float) -> float:
        if not isinstance(said, int):
            return 1.0
        return min(1.0, abs(said / STEPS - truth / self.largest_error))


def _numbers(label: Label, rows: int) -> list[float] | None:
    value = label.value
    several = isinstance(value, Sequence) and not isinstance(value, str)
    items = list(value) if several else [value] * rows  # type: ignore[arg-type]  # several says so
    found = []
    for item in items:
        try:
            number = float(item)  # type: ignore[arg-type]  # a list in a list is refused below
        except (TypeError, ValueError):
            return None
        if not np.isfinite(number):
            return None
        found.append(number)
    return found[:rows] if len(found) >= rows > 0 else None
