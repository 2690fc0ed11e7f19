"""How many distinct inputs the calls are worth: Kish's effective number, in constant memory.

Rule: n calls of which input i makes c_i are worth (sum c_i)^2 / sum c_i^2 distinct inputs, so that
thirty hot inputs asked a million times are worth thirty. The sum of squares is estimated by a
sketch that adds (AMS in rows of counters): each digest adds +1 or -1 to one counter of each row,
and a row's sum of squares is the wanted sum on average, with a relative error of about
sqrt(2 / WIDTH); the median over rows is told. Pods merge by adding counters, for a digest is the
same in every process. A call costs about two microseconds.

Sources: Kish, "Survey Sampling" (1965); Alon, Matias and Szegedy (1996); Cormode and Garofalakis,
"Sketching streams through the net" (2005).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from hashlib import blake2b
from struct import Struct

import numpy as np

FORMAT = 1
ROWS = 5
WIDTH = 512  # 6 % a row
MOST_BYTES = 16_384  # of a message are read at either end; its length always counts
PLACES, PLACE_BYTES = 16, 1024  # and between them, for an image may have an edge of one colour
_MASK = WIDTH - 1
_COUNTERS = Struct(f"<{ROWS * WIDTH}q")
_HEAD = 9  # bytes before the counters: the format, and how many calls


def digest_of(method: str, messages: Sequence[bytes]) -> int:
    """A call's request as 64 bits: method, length, ends and places between of every message."""
    found = blake2b(method.encode(), digest_size=8)
    for message in messages:
        found.update(len(message).to_bytes(8, "little"))
        if len(message) <= 2 * MOST_BYTES:
            found.update(message)
        else:
            found.update(message[:MOST_BYTES])
            found.update(message[-MOST_BYTES:])
            between = len(message) - 2 * MOST_BYTES
            for i in range(PLACES):
                begin = MOST_BYTES + between * i // PLACES
                found.update(message[begin : begin + PLACE_BYTES])
    return int.from_bytes(found.digest(), "little")


class DistinctInputs:
    """Counts calls by their request's digest."""

    __slots__ = ("_counters", "calls")

    def __init__(self) -> None:
        self.calls = 0
        self._counters = [0] * (ROWS * WIDTH)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DistinctInputs) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]  # it changes while it counts

    def __repr__(self) -> str:
        return f"DistinctInputs(calls={self.calls}, effective={self.effective})"

    def add(self, digest: int) -> None:
        """Count one call, by the digest of its request."""
        counters = self._counters
        for begin in range(0, ROWS * WIDTH, WIDTH):
            counters[begin + ((digest >> 1) & _MASK)] += 1 if digest & 1 else -1
            digest >>= 10  # nine bits for the place, one for the sign
        self.calls += 1

    @property
    def effective(self) -> float | None:
        """Kish's effective number of distinct inputs; None without calls."""
        if not self.calls:
            return None
        counters = np.array(self._counters, dtype=np.float64).reshape(ROWS, WIDTH)
        squares = float(np.median((counters**2).sum(axis=1)))
        return min(float(self.calls), self.calls**2 / max(squares, float(self.calls)))

    def plus(self, other: DistinctInputs) -> DistinctInputs:
        """Both together: what two pods counted."""
        whole = DistinctInputs()
        whole.calls = self.calls + other.calls
        whole._counters = [a + b for a, b in zip(self._counters, other._counters, strict=True)]
        return whole

    def to_bytes(self) -> bytes:
        """The format, calls, and counters, deflated."""
        counters = _COUNTERS.pack(*self._counters)
        return bytes([FORMAT]) + self.calls.to_bytes(8, "little") + zlib.compress(counters, 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> DistinctInputs:
        """From `to_bytes`; none of no bytes.

        Raises:
            ValueError: for another format or size, or what is no such data.
        """
        inputs = cls()
        if not data:
            return inputs
        if data[0] != FORMAT:
            raise ValueError(f"distinct inputs are kept in format {data[0]}, not {FORMAT}")
        try:
            inflate = zlib.decompressobj()
            raw = inflate.decompress(data[_HEAD:], ROWS * WIDTH * 8 + 1)
        except (zlib.error, ValueError) as error:
            raise ValueError(f"distinct inputs: {error}") from None
        if len(raw) != _COUNTERS.size:
            raise ValueError(f"distinct inputs: {len(raw)} bytes, not {_COUNTERS.size}")
        inputs.calls = int.from_bytes(data[1:_HEAD], "little")
        inputs._counters = list(_COUNTERS.unpack(raw))
        return inputs
