"""Production's observed range, learned from its first calls and fixed from then on.

Rule: a range is fixed before the first output is held against it, so that the share outside it is
evidence; a range that kept growing would hide what came late. Counterpart: `criteria.out_of_range`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sidecar.judge.levels import Levels
from sidecar.judge.pair import Value

MAX_OUTPUTS = 1024  # outputs with a range, over all criteria: names come from the traffic


class Ranges:
    """Smallest and largest value of each output, by criterion."""

    __slots__ = ("_about", "_learned", "levels")

    def __init__(self) -> None:
        self.levels = Levels()  # of latencies
        self._learned: dict[tuple[str, str], tuple[int, float, float]] = {}
        self._about: dict[tuple[str, str], int] = {}  # criteria and the methods with their outputs

    def has_outputs(self, criterion: str, method: str, *, has: bool = True) -> None:
        """A call of the method, that could be read, had an output that the criterion is about."""
        key = criterion, method
        if key not in self._about and len(self._about) >= MAX_OUTPUTS:
            return
        self._about[key] = int(has or self._about.get(key, 0))

    def is_about(self, criterion: str, outputs: str, method: str) -> bool | None:
        """Whether a criterion is about a call of which nothing can be read.

        Args:
            criterion: its name.
            outputs: the glob of those that it is about; "*": every call's.
            method: the call's: it is, where another call of it had such an output; None where no
                call of it could be read yet.
        """
        if outputs == "*":
            return True
        known = self._about.get((criterion, method))
        return None if known is None else bool(known)

    def outside(
        self,
        criterion: str,
        declared: tuple[float, float] | None,
        warmup_calls: int,
        outputs: Sequence[tuple[str, Value | None, Value | None]],
    ) -> float | None:
        """Share of the shadow's numbers outside the range less production's, in [-1, 1].

        None while a range is being learned.

        Not-a-number and infinities are outside every range; so is all of an output of numbers that
        the shadow does not give, or gives as something else.

        Args:
            criterion: its name: each learns its own ranges.
            declared: the range; None learns it from production.
            warmup_calls: calls from which it is learned.
            outputs: (name, production's value, the shadow's).
        """
        shares = []
        for name, a, b in outputs:
            known = declared or self._range(criterion, warmup_calls, name, a)
            if known is None:
                continue
            ours, theirs = _numbers(a), _numbers(b)
            if theirs.size:
                shares.append(_share(theirs, known) - _share(ours, known))
            elif ours.size:
                shares.append(1.0 - _share(ours, known))
        return math.fsum(shares) / len(shares) if shares else None

    def _range(
        self, criterion: str, warmup_calls: int, name: str, production: Value | None
    ) -> tuple[float, float] | None:
        key = (criterion, name)
        if key not in self._learned and len(self._learned) >= MAX_OUTPUTS:
            return None
        calls, low, high = self._learned.get(key, (0, math.inf, -math.inf))
        if calls >= warmup_calls:
            return low, high
        if production is not None:
            numbers = _numbers(production)
            numbers = numbers[np.isfinite(numbers)]
            if numbers.size:
                low, high = min(low, float(numbers.min())), max(high, float(numbers.max()))
                self._learned[key] = (calls + 1, low, high)
        return None


def _share(
    numbers: np.ndarray[tuple[int, ...], np.dtype[np.float64]], known: tuple[float, float]
) -> float:
    """The share of numbers outside a range; 0 without numbers."""
    if not numbers.size:
        return 0.0
    inside = (numbers >= known[0]) & (numbers <= known[1]) & np.isfinite(numbers)
    return 1.0 - float(np.mean(inside))


def _numbers(value: Value | None) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """A value's numbers; none where there is no value, or it is text."""
    if value is None:
        return np.empty(0)
    array = np.atleast_1d(np.asarray(value))
    return array.astype(np.float64) if array.dtype.kind in "biuf" else np.empty(0)
