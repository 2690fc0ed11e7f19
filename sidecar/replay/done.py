"""Which calls of a replay are done: a few numbers, however many there are. Pure.

Calls are sent in order and answered in nearly the same, so all below a frontier are done and above
it a few, at most as many as may be under way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class Done:
    """Numbers of calls, from 0."""

    __slots__ = ("_above", "_frontier")

    def __init__(self, frontier: int = 0, above: Iterable[int] = ()) -> None:
        self._frontier = frontier
        self._above = set(above)

    def add(self, number: int) -> None:
        """A call is done."""
        self._above.add(number)
        while self._frontier in self._above:
            self._above.discard(self._frontier)
            self._frontier += 1

    def __contains__(self, number: int) -> bool:
        return number < self._frontier or number in self._above

    def __len__(self) -> int:
        return self._frontier + len(self._above)

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {"frontier": self._frontier, "above": sorted(self._above)}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Done:
        """From `plain`.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        return cls(int(plain["frontier"]), map(int, plain["above"]))
