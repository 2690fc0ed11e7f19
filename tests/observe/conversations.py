"""Conversations of real peers, as their bytes passed by: the files beside this one.

A file is zlib-compressed; inside, one after the other: u8 direction, u32 size, so many bytes.
`record.py` makes them.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TypeAlias

from sidecar.call import Direction

FOLDER = Path(__file__).parent / "conversations"
_CHUNK = struct.Struct("!BI")

Conversation: TypeAlias = list[tuple[Direction, bytes]]


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.bin"))


def load(name: str) -> Conversation:
    data = zlib.decompress((FOLDER / f"{name}.bin").read_bytes())
    conversation: Conversation = []
    at = 0
    while at < len(data):
        direction, size = _CHUNK.unpack_from(data, at)
        at += _CHUNK.size
        conversation.append((Direction(direction), data[at : at + size]))
        at += size
    return conversation


def save(name: str, conversation: Conversation) -> None:
    packed = b"".join(_CHUNK.pack(d, len(chunk)) + chunk for d, chunk in conversation)
    (FOLDER / f"{name}.bin").write_bytes(zlib.compress(packed, 9))


def cut(conversation: Conversation, sizes: list[int]) -> Conversation:
    """The same bytes in the same order, in chunks of at most these sizes, used round and round."""
    pieces: Conversation = []
    for direction, chunk in conversation:
        at = 0
        while at < len(chunk):
            size = sizes[len(pieces) % len(sizes)]
            pieces.append((direction, chunk[at : at + size]))
            at += size
    return pieces
