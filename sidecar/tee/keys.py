"""How many keys a sticky sample rests on. Pure.

Rule: with `sample.key` whole keys are left out, always the same ones, so what is compared is a draw
of keys and not of calls. Bounded: beyond `MOST` keys of a kind no more are told apart.
Counterparts: `admission`, which notes every call that has a key; `experiment.operation`, which says
when they are too few for a verdict about all.
"""

from __future__ import annotations

MOST = 4096
ENOUGH = 1000  # calls, after which a key that is left out would have come


class SampledKeys:
    """Keys that were sampled and keys that were left out, by their place in [0, 1)."""

    __slots__ = ("calls", "left_out", "sampled")

    def __init__(self) -> None:
        self.calls = 0
        self.sampled: set[float] = set()
        self.left_out: set[float] = set()

    def note(self, unit: float | None, *, sampled: bool) -> None:
        """A call with this key came; None: with none."""
        self.calls += 1
        if unit is None:
            return
        into = self.sampled if sampled else self.left_out
        if len(into) < MOST:
            into.add(unit)

    def few(self, least: float) -> str:
        """Why nothing follows for the keys that are left out; empty: many are sampled, or all."""
        every = not self.left_out and self.calls >= ENOUGH
        if every or len(self.sampled) >= least:
            return ""
        seen, gone = len(self.sampled), len(self.left_out)
        more = " or more" if gone >= MOST else ""
        return (
            f"sample.key leaves whole keys out: {seen:,} were sampled, of at least {least:,.0f} "
            f"for a verdict on the {gone:,}{more} others"
        )
