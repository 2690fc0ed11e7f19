"""No bytes make the reader raise, and every wanted call ends exactly once, whatever happens."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.call import Answered, CallKey, Direction, Event, Lost, Requested, Started
from sidecar.http2.frames import HEADER, PREFACE
from sidecar.http2.limits import ReadLimits
from sidecar.observe.connection import Connection
from tests.observe.conversations import Conversation, cut, load, names

HANDS = ((Direction.CLIENT, PREFACE), *((side, HEADER.pack(0, 0, 4, 0, 0)) for side in Direction))
LIMITS = ReadLimits(max_request_bytes=2000, max_response_bytes=2000, max_header_bytes=4000)


class Ledger:
    """A connection, and what was said of each call."""

    def __init__(self, refuse: int = 0) -> None:
        self.begun: dict[CallKey, bool] = {}
        self.events: list[Event] = []
        self._refuse = refuse
        self.connection = Connection(1, "peer:1", self._wants, LIMITS)

    def _wants(self, started: Started) -> bool:
        assert started.key not in self.begun
        readable = started.legible and started.sampled
        wanted = readable and (not self._refuse or len(self.begun) % self._refuse != 0)
        self.begun[started.key] = wanted
        return wanted

    def feed(self, direction: Direction, data: bytes) -> None:
        self.events += self.connection.feed(direction, data, len(self.events))
        assert self.connection.buffered_bytes >= 0

    def gap(self, direction: Direction, size: int) -> None:
        self.events += self.connection.gap(direction, size, len(self.events))

    def close(self, by: Direction) -> None:
        self.events += self.connection.close(by, "eof", len(self.events))
        assert self.connection.buffered_bytes == 0
        assert self.connection.buffered_bytes == 0
        ends = Counter(event.key for event in self.events if isinstance(event, Answered | Lost))
        assert ends == Counter(key for key, wanted in self.begun.items() if wanted)
        requests = Counter(event.key for event in self.events if isinstance(event, Requested))
        assert set(requests.values()) <= {1}
        order: dict[CallKey, list[str]] = {}
        for event in self.events:
            order.setdefault(event.key, []).append(type(event).__name__)
        allowed = (["Requested", "Answered"], ["Requested", "Lost"], ["Lost"])
        assert all(told in allowed for told in order.values())


sides = st.sampled_from(Direction)
# Streams and types that meet each other, and lengths that are often true.
frames = st.builds(
    lambda kind, flags, stream, payload, lie: (
        HEADER.pack(0, max(0, len(payload) + lie), kind, flags, stream) + payload
    ),
    st.integers(0, 10),
    st.sampled_from([0, 1, 4, 5, 8, 9, 12, 13, 0x25, 0x2D]),
    st.sampled_from([0, 1, 2, 3, 5, 7, 1 << 31]),
    st.sampled_from([b"", b"\x82\x86\x84", b"\x88", b"\0\0\0\0\1x", b"\0\0\0\0\2x", b"\x40\1a\1b"])
    | st.binary(max_size=40),
    st.sampled_from([0] * 8 + [-1, 1, 90]),
)


@given(st.lists(st.tuples(sides, st.binary(max_size=100))), sides)
@settings(max_examples=300)
def test_arbitrary_bytes(chunks: list[tuple[Direction, bytes]], by: Direction) -> None:
    for begun in ((), HANDS):
        ledger = Ledger()
        for direction, chunk in (*begun, *chunks):
            ledger.feed(direction, chunk)
        ledger.close(by)


@given(
    st.lists(st.tuples(sides, frames, st.integers(0, 12)), max_size=30),
    st.integers(0, 3),
    sides,
)
@settings(max_examples=600)
def test_arbitrary_frames_gaps_and_announcements(
    steps: list[tuple[Direction, bytes, int]], refuse: int, by: Direction
) -> None:
    ledger = Ledger(refuse)
    for direction, chunk in HANDS:
        ledger.feed(direction, chunk)
    for direction, chunk, dice in steps:
        if dice == 11:
            ledger.feed(direction, chunk[:9])
            ledger.gap(direction, len(chunk[9:]))
        elif dice == 12:
            ledger.events += ledger.connection.unsampled([len(chunk)])
        else:
            ledger.feed(direction, chunk)
    ledger.close(by)


RECORDED = {name: load(name) for name in names() if name != "grpcio-large"}


def damage(conversation: Conversation, where: int, how: int, byte: int) -> Conversation:
    """One byte changed, left out or put in, counted over both directions."""
    damaged: Conversation = []
    for direction, chunk in conversation:
        if 0 <= where < len(chunk):
            middle = [bytes([byte]), b"", bytes([byte]) + chunk[where : where + 1]][how]
            damaged.append((direction, chunk[:where] + middle + chunk[where + 1 :]))
        else:
            damaged.append((direction, chunk))
        where -= len(chunk)
    return damaged


@given(
    st.sampled_from(sorted(RECORDED)),
    st.lists(
        st.tuples(st.integers(0, 4000), st.integers(0, 2), st.integers(0, 255)),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 3),
    st.integers(0, 200),
    sides,
)
@settings(max_examples=400)
def test_damaged_conversations(
    name: str, damages: list[tuple[int, int, int]], refuse: int, last: int, by: Direction
) -> None:
    conversation = RECORDED[name]
    for where, how, byte in damages:
        conversation = damage(conversation, where, how, byte)
    ledger = Ledger(refuse)
    for direction, chunk in cut(conversation, [4000, 61, 700])[:last]:
        ledger.feed(direction, chunk)
    ledger.close(by)
