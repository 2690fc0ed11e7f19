"""Hand-made HTTP/2 for playbooks: frames, header blocks, and a connection to feed them to."""

from __future__ import annotations

import hpack

from sidecar.call import Direction, Event, Started
from sidecar.http2.budget import Budget
from sidecar.http2.frames import HEADER, PREFACE
from sidecar.http2.limits import ReadLimits
from sidecar.observe.connection import Connection

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW, CONTINUATION = (
    range(10)
)
END_STREAM, END_HEADERS, PADDED, PRIORITIZED, ACK = 0x1, 0x4, 0x8, 0x20, 0x1

REQUEST = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/a.B/C"),
    (":authority", "model:80"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
)
RESPONSE = ((":status", "200"), ("content-type", "application/grpc"))
TRAILERS = (("grpc-status", "0"),)


def frame(kind: int, stream: int, payload: bytes = b"", flags: int = 0) -> bytes:
    size = len(payload)
    return HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings(**values: int) -> bytes:
    payload = b"".join(
        int(name[1:]).to_bytes(2, "big") + value.to_bytes(4, "big")
        for name, value in values.items()
    )
    return frame(SETTINGS, 0, payload)


def message(payload: bytes, compressed: bool = False) -> bytes:
    return bytes([compressed]) + len(payload).to_bytes(4, "big") + payload


class Playbook:
    """A connection whose peers have shaken hands; what it tells is gathered in `events`."""

    def __init__(
        self,
        limits: ReadLimits | None = None,
        wanted: bool = True,
        hands: bool = True,
        budget: Budget | None = None,
    ) -> None:
        self.events: list[Event] = []
        self.wanted = wanted
        self.now_ns = 0
        self.connection = Connection(3, "10.0.0.1:9", self._wants, limits or ReadLimits(), budget)
        self._encoders = (hpack.Encoder(), hpack.Encoder())
        if hands:
            self.client(PREFACE, settings())
            self.server(settings())

    def _wants(self, started: Started) -> bool:
        self.events.append(started)
        return self.wanted

    def client(self, *frames: bytes) -> list[Event]:
        return self._feed(Direction.CLIENT, b"".join(frames))

    def server(self, *frames: bytes) -> list[Event]:
        return self._feed(Direction.SERVER, b"".join(frames))

    def _feed(self, direction: Direction, data: bytes) -> list[Event]:
        self.now_ns += 1
        told = self.connection.feed(direction, data, self.now_ns)
        self.events += told
        return told

    def block(self, direction: Direction, fields: tuple[tuple[str, str], ...]) -> bytes:
        return self._encoders[direction].encode(fields)

    def encoder(self, direction: Direction) -> hpack.Encoder:
        return self._encoders[direction]

    def request(self, stream: int, *more: tuple[str, str], flags: int = 0) -> bytes:
        """A request's HEADERS; further fields follow the usual ones."""
        block = self.block(Direction.CLIENT, REQUEST + more)
        return frame(HEADERS, stream, block, END_HEADERS | flags)

    def answer(
        self, stream: int, fields: tuple[tuple[str, str], ...] = RESPONSE, flags: int = 0
    ) -> bytes:
        return frame(HEADERS, stream, self.block(Direction.SERVER, fields), END_HEADERS | flags)

    def trailers(self, stream: int, fields: tuple[tuple[str, str], ...] = TRAILERS) -> bytes:
        return self.answer(stream, fields, END_STREAM)

    def asked(self, stream: int, payload: bytes = b"ask") -> list[Event]:
        """A whole unary request."""
        return self.client(self.request(stream), frame(DATA, stream, message(payload), END_STREAM))
