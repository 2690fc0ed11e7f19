"""How much there is time for: what share of the calls the wire should go on copying. Pure.

Rule: what cannot be done is not begun. Where calls wait too long, for the observer or for every
shadow, fewer are asked for, drawn at random by the wire before anything about them is known: what
can be done is done in time, production pays for no copy that would be lost, and those that are
compared are a fair sample. The share falls fast and recovers slowly, as TCP's window does
(RFC 5681), and for the same reason. Counterparts: `admission`, which gives such calls their reason;
`session` and `shadow`, which know how long calls wait.
"""

from __future__ import annotations

import math
from typing import Final

LATE_NS: Final = 400_000_000  # a copy that is read so long after it was made is late
EASY: Final = 0.25  # of what is too long: there is time for more
STEP_NS: Final = 100_000_000  # between two changes, so that the last one shows
FALL: Final = 0.7
RISE: Final = 1.2
MOST_STEPS: Final = 100
MOST_WEIGHT: Final = 10.0  # of one call: more would let a lone one outweigh a busy second
LEAST: Final = 0.002  # never nothing, or recovery could not be seen


class Pace:
    """The share of calls that there is time for, in (0, 1], and what limits it."""

    __slots__ = ("_lost", "_next_ns", "limit", "share")

    def __init__(self) -> None:
        self.share = 1.0
        self.limit = ""  # "observer" or "shadow": who was late when the share last fell
        self._next_ns = 0
        self._lost = False  # since it was last looked at

    @property
    def weight(self) -> float:
        """For how many calls one stands that comes now; see `judge.weighed`."""
        return min(MOST_WEIGHT, 1.0 / self.share)

    def lost(self) -> None:
        """Something was not copied for want of room: as good as late, however fresh the rest is."""
        self._lost = True

    def heard(self, late_ns: int, pressure: float, now_ns: int) -> bool:
        """Learn how long calls wait; returns whether the share has changed.

        Args:
            late_ns: between a copy and the reading of it.
            pressure: of the shadow that has the most room, see `Shadow.pressure`.
            now_ns: the present.
        """
        lost, self._lost = self._lost, False
        if now_ns < self._next_ns:
            return False
        before, late = self.share, math.inf if lost else late_ns / LATE_NS
        if late > 1 or pressure > 1:
            self.limit = "observer" if late > 1 else "shadow"
            self.share = max(LEAST, before * FALL)
            # What was copied before the wire hears of it comes as late as this did.
            self._next_ns = now_ns + max(STEP_NS, LATE_NS if lost else late_ns)
        elif late < EASY and pressure < EASY and before < 1:
            # Where little is copied, little is heard: the time that passed in between counts too.
            steps = 1 + min(MOST_STEPS, (now_ns - self._next_ns) // STEP_NS)
            self.share = min(1.0, before * RISE**steps)
            self._next_ns = now_ns + STEP_NS
        if self.share == 1.0:
            self.limit = ""
        return self.share != before
