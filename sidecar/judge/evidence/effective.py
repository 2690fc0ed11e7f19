"""How many distinct inputs the calls are worth: Kish's effective number, in constant memory.

Rule: n calls of which input i makes c_i are worth (sum c_i)^2 / sum c_i^2 distinct inputs, so that
thirty hot inputs asked a million times are worth thirty. The sum of squares is estimated by a
sketch that adds (AMS in rows of counters): each digest adds +1 or -1 to one counter of each row,
and a row's sum of squares is the wanted sum on average, with a relative error of about
sqrt(2 / WIDTH); the median over rows is told. Pods merge by adding counters.

Sources: Kish, "Survey Sampling" (1965); Alon, Matias and Szegedy (1996); Cormode and Garofalakis,
"Sketching streams through the net" (2005).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np

FORMAT = 1
ROWS = 5
WIDTH = 512  # 6 % a row
_MASK = WIDTH - 1


class DistinctInputs:
    """Counts calls by their request's digest."""

    __slots__ = ("_counters", "calls")

    def __init__(self) -> None:
        self.calls = 0
        self._counters = np.zeros((ROWS, WIDTH), dtype=np.int64)

    def add(self, digest: bytes) -> None:
        """Count one call, by the digest of its request, of any length."""
        bits = int.from_bytes(blake2b(digest, digest_size=8).digest(), "little")
        for row in range(ROWS):
            self._counters[row, (bits >> 1) & _MASK] += 1 if bits & 1 else -1
            bits >>= 10  # nine bits for the place, one for the sign
        self.calls += 1

    @property
    def effective(self) -> float:
        """Kish's effective number of distinct inputs; 0 without calls."""
        if not self.calls:
            return 0.0
        squares = float(np.median((self._counters.astype(np.float64) ** 2).sum(axis=1)))
        return min(float(self.calls), self.calls**2 / max(squares, float(self.calls)))

    def merge(self, other: DistinctInputs) -> None:
        """Add what another pod counted."""
        self._counters += other._counters
        self.calls += other.calls

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"format": FORMAT, "calls": self.calls, "counters": self._counters.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DistinctInputs:
        """From `to_dict`.

        Raises:
            ValueError: for another format or size; KeyError when a value is missing.
        """
        counters = np.array(data["counters"], dtype=np.int64)
        if data["format"] != FORMAT or counters.shape != (ROWS, WIDTH):
            raise ValueError(f"distinct inputs are kept in format {data['format']}, not {FORMAT}")
        inputs = cls()
        inputs.calls = int(data["calls"])
        inputs._counters = counters
        return inputs
