"""What the walk must copy, computed in the slowest obvious way: one byte at a time."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from sidecar.wire.header import PREFACE
from sidecar.wire.records import Kind
from sidecar.wire.sample import Sampler
from tests.wire.harness import frame

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE = range(6)
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
ROOM = 1 << 30

OPENINGS = ((0, PREFACE + frame(SETTINGS, 0, 0)), (1, frame(SETTINGS, 0, 0)))
"""How every HTTP/2 connection begins."""

Told = tuple[Kind, int, bytes]

MOST_PASSED_OVER = 40  # in a row: beyond it a stream is sampled whatever was drawn


def sampler(sample: Callable[[], bool] = lambda: True, *, everything: bool = False) -> Sampler:
    """What samples as if `sample` were asked for each new stream; `everything`: without asking."""

    def uniform() -> float:
        """What has the wire pass over as many streams, where it wants the half of them."""
        gap = 0
        while gap < MOST_PASSED_OVER and not sample():
            gap += 1
        return float(1 - 0.5 ** (gap + 0.5))

    it = Sampler(uniform, 0.5)
    it.everything = everything
    return it


def joined(records: Iterable[Told]) -> dict[int, list[tuple[Kind, bytes]]]:
    """The records of each direction, neighbouring BYTES as one: what no cutting may change.

    Records that are about the connection have direction 0; UNSAMPLED, which has no place but
    somewhere before its streams begin, is joined under -1.
    """
    out: dict[int, list[tuple[Kind, bytes]]] = {0: [], 1: [], -1: []}
    for kind, direction, payload in records:
        mine = out[-1 if kind is Kind.UNSAMPLED else direction]
        if kind in (Kind.BYTES, Kind.UNSAMPLED) and mine and mine[-1][0] is kind:
            mine[-1] = (kind, mine[-1][1] + payload)
        else:
            mine.append((kind, payload))
    return out


def oracle(runs: Iterable[tuple[int, bytes]], sample: Callable[[], bool]) -> list[Told]:
    """What goes to a tap that has room for everything."""
    told: list[Told] = []
    unsampled: set[int] = set()
    newest = 0
    head = [b"", b""]  # of the current frame, as far as it has come
    left = [0, 0]  # of the current frame's payload
    copying = [False, False]
    opened = [False, False]
    for direction, run in runs:
        for value in run:
            byte = bytes([value])
            if left[direction]:
                left[direction] -= 1
                if copying[direction]:
                    told.append((Kind.BYTES, direction, byte))
                continue
            head[direction] += byte
            if not opened[direction]:
                magic = b"" if direction else PREFACE
                got = head[direction]
                begun = got[len(magic) :]
                if got[: len(magic)] != magic[: len(got)]:
                    return [*told, (Kind.OPAQUE, direction, b"")]
                if len(begun) < 9:
                    continue
                size = int.from_bytes(begun[:3], "big")
                stream = int.from_bytes(begun[5:], "big") % 2**31
                if begun[3] != SETTINGS or begun[4] % 2 or stream or size % 6:
                    return [*told, (Kind.OPAQUE, direction, b"")]
                opened[direction] = True
                told.append((Kind.BYTES, direction, magic))
                head[direction] = begun
            if len(head[direction]) < 9:
                continue
            header, head[direction] = head[direction], b""
            size = int.from_bytes(header[:3], "big")
            kind, flags = header[3], header[4]
            stream = int.from_bytes(header[5:], "big") % 2**31
            left[direction] = size
            copying[direction] = kind in (
                HEADERS,
                RST_STREAM,
                SETTINGS,
                PUSH_PROMISE,
                GOAWAY,
                CONTINUATION,
            )
            ends = kind in (DATA, HEADERS) and flags & END_STREAM
            if kind == HEADERS and direction == 0 and stream > newest:
                newest = stream
                if not sample():
                    unsampled.add(stream)
                    told.append((Kind.UNSAMPLED, 0, struct.pack("!I", stream)))
            if kind == DATA:
                copying[direction] = stream not in unsampled
            if copying[direction]:
                told.append((Kind.BYTES, direction, header))
            if kind == RST_STREAM or (ends and direction == 1):
                unsampled.discard(stream)
    return told
