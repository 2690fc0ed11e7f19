"""What a judge has learned of production, and fixed, before a call is scored against it. Pure.

Rule: what is learned is fixed before the first score that depends on it, so that the score is
evidence; a range that kept growing would hide what came late. Counterparts: `out_of_range`,
`latency_ratio`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sidecar.judge.pair import Value

MAX_OUTPUTS = 1024  # outputs with a range, over all criteria: names come from the traffic


class Memory:
    """The range of each of production's outputs, and its latency's quantiles, by criterion."""

    __slots__ = ("_latencies", "_learned", "_quantiles")

    def __init__(self) -> None:
        self._learned: dict[tuple[str, str], tuple[int, float, float]] = {}
        self._quantiles: dict[str, int] = {}
        self._latencies: dict[str, list[int]] = {}  # of those that are not known yet

    def range_of(
        self, criterion: str, output: str, calls: int, production: Value | None
    ) -> tuple[float, float] | None:
        """The range of an output once it is fixed; learns from this call until then.

        Args:
            criterion: whose range it is.
            output: its name.
            calls: how many calls it is learned from.
            production: what production answered now.
        """
        key = (criterion, output)
        if key not in self._learned and len(self._learned) >= MAX_OUTPUTS:
            return None
        seen, low, high = self._learned.get(key, (0, math.inf, -math.inf))
        if seen >= calls:
            return low, high
        if production is not None:
            numbers = numbers_of(production)
            numbers = numbers[np.isfinite(numbers)]
            if numbers.size:
                low, high = min(low, float(numbers.min())), max(high, float(numbers.max()))
                self._learned[key] = (seen + 1, low, high)
        return None

    def quantile_of(self, criterion: str, p: float, calls: int, latency_ns: int) -> int | None:
        """Production's p-quantile in nanoseconds once it is fixed; learns from this call until then.

        Args:
            criterion: whose quantile it is.
            p: in (0, 1).
            calls: how many calls it is learned from.
            latency_ns: production's now.
        """
        known = self._quantiles.get(criterion)
        if known is not None:
            return known
        seen = self._latencies.setdefault(criterion, [])
        seen.append(latency_ns)
        if len(seen) >= calls:
            self._quantiles[criterion] = sorted(seen)[min(len(seen) - 1, int(p * len(seen)))]
            del self._latencies[criterion]
        return None

    def dump(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "ranges": [[*key, *found] for key, found in self._learned.items()],
            "quantiles": self._quantiles,
        }

    def load(self, plain: Mapping[str, Any]) -> None:
        """Take over what another process has learned, where nothing is known yet."""
        for criterion, output, seen, low, high in plain["ranges"]:
            key = (str(criterion), str(output))
            self._learned.setdefault(key, (int(seen), float(low), float(high)))
        for criterion, ns in plain["quantiles"].items():
            self._quantiles.setdefault(str(criterion), int(ns))


def numbers_of(value: Value) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """An output's numbers; none when it is not numeric."""
    array = np.atleast_1d(np.asarray(value))
    return array.astype(np.float64) if array.dtype.kind in "biuf" else np.empty(0)
