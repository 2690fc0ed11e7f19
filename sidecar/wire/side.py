"""Where the walk stands in one direction of a connection. Counterpart: `frames`, which moves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # an int of the machine's; as Python it is an int
    from mypy_extensions import i64


class Side:
    """Where the walk stands in one direction."""

    __slots__ = (
        "ends",
        "first",
        "held",
        "in_block",
        "is_data",
        "opening",
        "remaining",
        "skip",
        "stream",
    )

    def __init__(self, opening: bytes) -> None:
        self.opening = opening  # must come before the first frame
        self.first = True  # nothing has been walked yet
        self.held = b""  # the beginning of a frame header that was cut
        self.remaining: i64 = 0  # bytes of the current frame that have not arrived
        self.skip = False  # whether those are left out
        self.is_data = False  # whether those are DATA
        self.stream: i64 = 0  # the current DATA frame's stream
        self.ends = False  # whether nothing of that stream follows it
        self.in_block = False  # a header block is open: only CONTINUATION may follow
