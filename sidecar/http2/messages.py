"""gRPC's length-prefixed messages of one call in one direction, out of DATA cut anywhere.

Rule: a bound is checked when a length is announced, before a byte of it is kept, and again while
decompressing, so that neither a large message nor a small one that grows is ever held.
Source: gRPC's PROTOCOL-HTTP2.md, "Length-Prefixed-Message", and compression.md.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

from sidecar.call import SkipReason
from sidecar.http2.budget import Budget
from sidecar.http2.limits import ReadLimits

_PREFIX = struct.Struct("!BI")
_MESSAGE_BYTES = 64  # what a message costs beyond its bytes


class MessageReader:
    """Collects messages; `held` is what they and the unfinished one occupy, in bytes."""

    __slots__ = (
        "_budget",
        "_compressed",
        "_encoding",
        "_left",
        "_limits",
        "_max_bytes",
        "_partial",
        "_prefix",
        "_size",
        "_too_large",
        "held",
        "messages",
    )

    def __init__(
        self,
        encoding: str,
        max_bytes: int,
        too_large: SkipReason,
        limits: ReadLimits,
        budget: Budget,
    ) -> None:
        """Read what is compressed with `encoding`, up to `max_bytes` and the budget's room."""
        self._budget = budget
        self.messages: list[bytes] = []
        self.held = 0
        self._encoding = encoding
        self._max_bytes = max_bytes
        self._too_large = too_large
        self._limits = limits
        self._size = 0  # of the finished messages
        self._prefix = b""
        self._left = -1  # bytes missing from the message; -1: its prefix is not complete
        self._compressed = False
        self._partial: BytesIO | None = None  # grows in place and is handed over uncopied

    def feed(self, data: bytes | memoryview) -> SkipReason | None:
        """Take the next bytes; a reason when the messages cannot be read any further."""
        position, end = 0, len(data)
        while position < end:
            if self._left < 0:
                if not self._prefix and end - position >= 5:
                    flag, length = _PREFIX.unpack_from(data, position)
                    position += 5
                else:
                    begun = len(self._prefix)
                    self._prefix += bytes(data[position : position + 5 - begun])
                    position += len(self._prefix) - begun
                    if len(self._prefix) < 5:
                        return None
                    flag, length = _PREFIX.unpack(self._prefix)
                    self._prefix = b""
                if flag > 1:
                    return SkipReason.MALFORMED
                full = len(self.messages) >= self._limits.max_messages
                if full or self._size + length > self._max_bytes:
                    return self._too_large
                self._compressed = flag == 1
                self._left = length
            piece = data[position : position + self._left]
            position += len(piece)
            self._left -= len(piece)
            if self._left:
                if self._partial is None:
                    self._partial = BytesIO()
                self._partial.write(piece)
                self.held += len(piece)
                return None
            reason = self._finish(piece)
            if reason is not None:
                return reason
        return None

    def end(self) -> SkipReason | None:
        """The direction has ended; a reason when it ended inside a message."""
        return SkipReason.MALFORMED if self._left >= 0 or self._prefix else None

    def _finish(self, piece: bytes | memoryview) -> SkipReason | None:
        if self._partial is None:
            message = bytes(piece)
        else:
            self._partial.write(piece)
            message = self._partial.getvalue()
            self._partial = None
        self._left = -1
        if self._compressed:
            most = self._max_bytes - self._size
            room = min(most, max(0, self._budget.room))
            try:
                message = _decompress(message, self._encoding, room)
            except _TooLargeError:
                return self._too_large if room == most else SkipReason.PAIRS_FULL
            except (zlib.error, ValueError):
                return SkipReason.MALFORMED
        self.messages.append(message)
        self._size += len(message)
        self.held = self._size + _MESSAGE_BYTES * len(self.messages)
        return None


class _TooLargeError(Exception):
    pass


def _decompress(message: bytes, encoding: str, max_bytes: int) -> bytes:
    """Decompress one message.

    Raises:
        _TooLargeError: it has more than `max_bytes`.
        zlib.error, ValueError: it cannot be decompressed.
    """
    if encoding == "gzip":
        return _inflate(message, 16 + zlib.MAX_WBITS, max_bytes)
    if encoding == "deflate":
        try:
            return _inflate(message, zlib.MAX_WBITS, max_bytes)
        except zlib.error:  # some peers send it without zlib's header
            return _inflate(message, -zlib.MAX_WBITS, max_bytes)
    raise ValueError(f"compressed with {encoding}")


def _inflate(message: bytes, wbits: int, max_bytes: int) -> bytes:
    inflater = zlib.decompressobj(wbits)
    inflated = inflater.decompress(message, max_bytes + 1)  # 0 would mean no bound
    if len(inflated) > max_bytes:
        raise _TooLargeError
    if not inflater.eof or inflater.unused_data:
        raise ValueError("cut off, or followed by something else")
    return inflated
