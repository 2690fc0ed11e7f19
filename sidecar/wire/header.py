"""A frame's header, and which kinds of frames there are (RFC 9113, 4.1 and 6). Pure.

Rule: nothing here knows what a frame is for; what is copied and what is not is `frames`' business.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # an int of the machine's; as Python it is an int
    from mypy_extensions import i64

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME: Final = struct.Struct("!IBI")  # 24 bits length and 8 type, flags, stream
FRAME_SIZE: Final = 9
STREAM: Final = 0x7FFF_FFFF
DATA: Final = 0
HEADERS: Final = 1
RST_STREAM: Final = 3
SETTINGS: Final = 4
LAST_KIND: Final = 9  # CONTINUATION
# Kinds as sets of bits.
COPIED: Final = 0b10_1011_1010  # HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, GOAWAY, CONTINUATION
BLOCK: Final = 0b10_0010_0010  # HEADERS, PUSH_PROMISE, CONTINUATION
END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4


def _probe() -> None:
    pass


# Reading a header byte by byte is what compiled code does best and Python worst.
COMPILED: Final = type(_probe).__name__ != "function"


def read(data: bytes | memoryview, pos: i64) -> tuple[i64, i64, i64, i64]:
    """A frame's length, type, flags and stream, as `FRAME` would read them."""
    if isinstance(data, bytes):
        head, at = data, pos
    else:
        head, at = bytes(data[pos : pos + FRAME_SIZE]), 0
    a: i64 = head[at]
    b: i64 = head[at + 1]
    c: i64 = head[at + 2]
    kind: i64 = head[at + 3]
    flags: i64 = head[at + 4]
    s: i64 = head[at + 5]
    t: i64 = head[at + 6]
    u: i64 = head[at + 7]
    v: i64 = head[at + 8]
    return a << 16 | b << 8 | c, kind, flags, (s & 0x7F) << 24 | t << 16 | u << 8 | v


def refuse(opening: bytes, data: bytes | memoryview) -> bytes:
    """Say why these first bytes are not HTTP/2's, or nothing while they may be (RFC 9113, 3.4).

    Args:
        opening: what must come before the first frame.
        data: what has come.
    """
    if data[: len(opening)] != opening[: len(data)]:
        if opening and data[:1] == b"\x16":
            return b"TLS"
        return b"no HTTP/2 preface"
    if len(data) >= len(opening) + FRAME_SIZE:
        word, flags, stream = FRAME.unpack_from(data, len(opening))
        length = word >> 8
        if word & 0xFF != SETTINGS or flags & ACK or stream & STREAM or length % 6:
            return b"the first frame is not SETTINGS"
    return b""
