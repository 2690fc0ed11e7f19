"""The streams of one connection that are left out, and why. Pure.

Rule: what is remembered has a bound, and asking about a stream makes no object: nearly every stream
that is asked about is one of the newest, and compiled those are bits of one machine integer. A
client's streams are odd and only grow (RFC 9113, 5.1.1); whatever else comes, and a stream that
outlives the newest `RECENT`, is remembered by itself; as Python, which has no such integers, every
stream is. Counterpart: `frames`, which asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.wire.header import COMPILED

if TYPE_CHECKING:  # an int of the machine's; as Python it is an int
    from mypy_extensions import i64

MAX_LEFT_OUT: Final = 16_384
"""Streams remembered by themselves, for each connection; beyond it the oldest counts as sampled."""
RECENT: Final = 62  # odd streams: the bits of a machine integer that mypyc need not box
_TOP: Final = 0x2000_0000_0000_0000  # the highest: it is shifted down, for mypyc's 1 has 32 bits

# Why a stream is left out: not at all, by the draw, or because of a gap.
SHOWN: Final = 0
UNSAMPLED: Final = 1
LOST: Final = 2


class LeftOut:
    """A map from streams to why they are left out."""

    __slots__ = ("_first", "_others", "_recent", "none")

    def __init__(self) -> None:
        self.none = True  # is left out
        self._first: i64 = 1  # the odd stream of the lowest bit
        self._recent: i64 = 0  # a bit for each that was not sampled
        self._others: dict[int, int] = {}

    @property
    def size(self) -> int:
        """Streams remembered by themselves, which is what costs memory."""
        return len(self._others)

    def why(self, stream: i64) -> i64:
        """Why it is left out, or SHOWN."""
        if COMPILED:
            at: i64 = stream - self._first
            if at >= 0 and not at & 1 and at < 2 * RECENT and self._recent >> (at >> 1) & 1:
                return UNSAMPLED
            if not self._others:
                return SHOWN
        return self._others.get(stream, SHOWN)

    def unsampled(self, stream: i64) -> None:
        """Leave out a stream that is newer than all before."""
        self.none = False
        at: i64 = stream - self._first
        if not COMPILED or at < 0 or at & 1:
            self._remember(stream, UNSAMPLED)
            return
        bit: i64 = at >> 1
        if bit >= RECENT:
            if not self._recent:
                self._first = stream
                bit = 0
            else:
                self._move(bit - (RECENT - 1))
                bit = RECENT - 1
        self._recent |= _TOP >> (RECENT - 1 - bit)

    def lost(self, stream: i64) -> None:
        """Leave out the rest of a stream, part of which was shown."""
        self.none = False
        self._remember(stream, LOST)

    def forget(self, stream: i64) -> None:
        """It has ended."""
        if COMPILED:
            at: i64 = stream - self._first
            if at >= 0 and not at & 1 and at < 2 * RECENT:
                self._recent &= ~(_TOP >> (RECENT - 1 - (at >> 1)))
        if self._others:
            self._others.pop(stream, SHOWN)
        self.none = not self._recent and not self._others

    def clear(self) -> None:
        """Forget all."""
        self.none = True
        self._recent = 0
        self._others.clear()

    def _move(self, by: i64) -> None:
        """Let the lowest bit be so many odd streams later; who still has one below is kept."""
        at: i64 = 0
        left: i64 = self._recent
        while left and at < by:
            if left & 1:
                self._remember(self._first + 2 * at, UNSAMPLED)
            left >>= 1
            at += 1
        self._recent = left
        self._first += 2 * by

    def _remember(self, stream: i64, why: int) -> None:
        others = self._others
        if len(others) >= MAX_LEFT_OUT:
            del others[next(iter(others))]
        others[stream] = why
