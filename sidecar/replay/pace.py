"""When each call is sent. Pure: instants in, instants out.

`1x` keeps the distances between captured calls (2x halves them), a number is so many calls a
second, `max` sends whenever one of the places at the candidate is free.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPEED = re.compile(r"(\d+(?:\.\d+)?)(x?)")


class SpeedError(ValueError):
    """A speed that cannot be used."""


@dataclass(slots=True)
class Pace:
    """Tells at which second, from the beginning, each call is due; None is as soon as possible."""

    factor: float | None = None  # of the captured distances
    rate: float | None = None  # calls a second
    _first_ns: int | None = None

    def due(self, number: int, started_ns: int) -> float | None:
        """When the `number`-th call is due.

        Args:
            number: from 0, in the order of sending.
            started_ns: when it was made, nanoseconds.
        """
        if self.rate is not None:
            return number / self.rate
        if self.factor is None:
            return None
        if self._first_ns is None:
            self._first_ns = started_ns
        return max(0.0, (started_ns - self._first_ns) / 1e9 / self.factor)


def parse_speed(text: str) -> Pace:
    """Read `1x`, `max`, or calls a second.

    Raises:
        SpeedError: it is none of these.
    """
    if text == "max":
        return Pace()
    found = _SPEED.fullmatch(text)
    if found is None or not float(found[1]):
        raise SpeedError(f"{text!r}: must be max, a factor such as 1x, or calls a second")
    value = float(found[1])
    return Pace(factor=value) if found[2] else Pace(rate=value)
