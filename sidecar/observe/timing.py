"""Production's time for each call of two slices of time, as the wire stamps it. Pure.

Rule: a call is timed alike whether it was copied or not: from its request's header to the end of
its answer, both of which are copied of every call, sampled or not. So a slice without the tee can
be held against one with it. What is kept has a bound, and outside the slices a call costs nothing.
Counterparts: `connection`, which tells of calls; `experiment.harmless`, which draws the slices.
"""

from __future__ import annotations

MOST_OPEN = 1024  # calls of one connection that are timed at once

RESTED, WORKED = 0, 1
"""The two slices: without the tee, and with it."""


class Timing:
    """The two slices of the present period, and what calls took in them."""

    __slots__ = ("calls", "from_ns", "is_on", "total_ns", "until_ns")

    def __init__(self) -> None:
        self.is_on = False  # whether there is any slice to be timed
        self.clear()

    def clear(self) -> None:
        """Another period begins: neither slice has come yet."""
        self.from_ns = [0, 0]
        self.until_ns = [0, 0]
        self.calls = [0, 0]
        self.total_ns = [0, 0]
        self.is_on = False

    def open(self, slice_: int, from_ns: int, until_ns: int) -> None:
        """Time the calls whose header came within [from, until), by the wire's clock."""
        self.from_ns[slice_], self.until_ns[slice_] = from_ns, until_ns
        self.is_on = True

    def slice_of(self, began_ns: int) -> int:
        """Which slice a call began in; -1: none."""
        for slice_ in (RESTED, WORKED):
            if self.from_ns[slice_] <= began_ns < self.until_ns[slice_]:
                return slice_
        return -1

    def took(self, slice_: int, began_ns: int, ended_ns: int) -> None:
        """A call has been answered; one of a slice of a period that is over is not counted."""
        if self.from_ns[slice_] <= began_ns < self.until_ns[slice_]:
            self.calls[slice_] += 1
            self.total_ns[slice_] += max(0, ended_ns - began_ns)

    def mean_ns(self, slice_: int) -> float | None:
        """Of a slice's calls; None without any."""
        calls = self.calls[slice_]
        return self.total_ns[slice_] / calls if calls else None
