"""Bytes that many holders may hold together: calls in flight, and what is being read of them.

Rule: who holds something says so at once, and takes it back when it lets go; what would grow by
leaps (decompression) asks for `room` first. Counterparts: `tee.settings.PairSettings.bytes`, which
sets the limit; `experiment.pair`, `observe.connection` and `conversation`, which hold.
"""

from __future__ import annotations

import sys


class Budget:
    """One count, and what it may come to."""

    __slots__ = ("held", "limit", "tables")

    def __init__(self, limit: int = sys.maxsize) -> None:
        self.limit = limit
        self.held = 0
        self.tables = 0  # of these, HPACK's tables: they last as long as their connections

    @property
    def room(self) -> int:
        """Bytes that may still come; negative when there are too many already."""
        return self.limit - self.held

    @property
    def tables_full(self) -> bool:
        """Whether tables hold half of it: what is left is for calls."""
        return self.tables > self.limit // 2
