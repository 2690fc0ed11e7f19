"""A client's new streams, where its header blocks cannot be read: frame boundaries tell that much.

Rule: what cannot be read is counted all the same, the block that could not be read included, so
that nothing vanishes and coverage falls. Pure, and nothing raises. Counterpart: `connection`, which
turns to this when it can read no further; `sidecar.wire.frames`, which counts the same way where
nothing is copied.
"""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.http2.frames import HEADER, HEADER_BYTES, HEADERS, Position


class Follower:
    """Goes on where reading had to end."""

    __slots__ = ("_begun", "_held", "_last", "_skip")

    def __init__(self, position: Position, last_stream: int) -> None:
        """Begin.

        Args:
            position: where the next bytes stand among the frames.
            last_stream: the highest that has been seen, in a block that was read.
        """
        self._skip = position.skip
        self._held = position.held
        self._begun = position.begun
        self._last = last_stream

    def feed(self, data: bytes | memoryview) -> Iterator[int]:
        """Take the next bytes of the client; the streams that begin there."""
        begun, self._begun = self._begun, 0
        if begun > self._last:
            self._last = begun
            yield begun
        if self._held:
            data, self._held = self._held + bytes(data), b""
        position, end = self._skip, len(data)
        while end - position >= HEADER_BYTES:
            high, low, kind, _, stream = HEADER.unpack_from(data, position)
            position += HEADER_BYTES + (high << 8 | low)
            stream &= 0x7FFFFFFF
            if kind == HEADERS and stream > self._last:
                self._last = stream
                yield stream
        self._skip = max(0, position - end)
        if position < end:
            self._held = bytes(data[position:])

    def gap(self, size: int) -> None:
        """The next `size` bytes were payload of DATA and are not there."""
        self._skip = max(0, self._skip - size)
