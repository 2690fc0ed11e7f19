"""The tap's records, whole and cut anywhere."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.call import Direction
from sidecar.observe.tap import Record, TapError, TapReader
from sidecar.wire.records import HEADER, MAX_PAYLOAD, U32, U64, VERSION, Kind, record

HELLO = record(Kind.HELLO, 0, 0, 5, json.dumps({"version": VERSION}).encode())


def read(*chunks: bytes) -> list[Record]:
    reader = TapReader()
    found: list[Record] = []
    for chunk in chunks:
        reader.feed(chunk, found)
    return [replace(one, payload=bytes(one.payload)) for one in found]


def test_a_session_is_read_in_order() -> None:
    large = bytes(range(256)) * 1024
    stream = HELLO + b"".join(
        [
            record(Kind.OPEN, 0, 7, 10, b'{"peer": "10.0.0.1:5"}'),
            record(Kind.BYTES, 0, 7, 11, b"abc"),
            record(Kind.BYTES, 1, 7, 12, large),
            record(Kind.UNSAMPLED, 0, 7, 13, U32.pack(9) + U32.pack(11)),
            record(Kind.GAP, 1, 7, 14, U64.pack(1 << 40)),
            record(Kind.CLOSE, 1, 7, 15, b"eof"),
        ]
    )
    hello, opened, small, big, unsampled, gap, close = read(stream)
    assert hello.json() == {"version": VERSION}
    assert opened.json()["peer"] == "10.0.0.1:5"
    assert small == Record(Kind.BYTES, Direction.CLIENT, 7, 11, b"abc")
    assert big == Record(Kind.BYTES, Direction.SERVER, 7, 12, large)
    assert unsampled.numbers == (9, 11)
    assert gap.number == 1 << 40
    assert (close.direction, close.text) == (Direction.SERVER, "eof")


@given(st.data())
def test_records_do_not_depend_on_how_the_stream_is_cut(data: st.DataObject) -> None:
    kinds = st.sampled_from([Kind.BYTES, Kind.OPAQUE, Kind.STATS])
    records = data.draw(
        st.lists(st.tuples(kinds, st.integers(0, 1), st.integers(0, 1 << 63), st.binary()))
    )
    stream = HELLO + b"".join(record(k, d, conn, 1, payload) for k, d, conn, payload in records)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(*chunks) == read(stream)
    told = [(r.kind, r.direction, r.conn) for r in read(*chunks)[1:]]
    assert told == [r[:3] for r in records]


def test_a_large_record_in_pieces_is_read_without_repeating_the_work() -> None:
    payload = bytes(MAX_PAYLOAD)
    stream = HELLO + record(Kind.BYTES, 0, 1, 1, payload)
    chunks = [stream[at : at + 97] for at in range(0, len(stream), 97)]
    assert read(*chunks)[1].payload == payload


def test_a_large_payload_is_not_copied() -> None:
    reader = TapReader()
    stream = HELLO + record(Kind.BYTES, 0, 1, 1, bytes(100_000))
    found: list[Record] = []
    reader.feed(stream, found)
    payload = found[1].payload
    assert isinstance(payload, memoryview)
    assert payload.obj is stream


def test_an_unknown_kind_is_stepped_over() -> None:
    unknown = HEADER.pack(3, 200, 0, 0, 0, 0) + b"xyz"
    assert [r.kind for r in read(HELLO + unknown + record(Kind.STATS, 0, 0, 0, b"{}"))] == [
        Kind.HELLO,
        Kind.STATS,
    ]


@pytest.mark.parametrize(
    "stream",
    [
        HELLO + HEADER.pack(MAX_PAYLOAD + 1, Kind.BYTES, 0, 0, 1, 1),
        HELLO + record(Kind.GAP, 0, 1, 1, b"1234567"),
        HELLO + record(Kind.UNSAMPLED, 0, 1, 1, b"123456"),
        HELLO + record(Kind.BYTES, 2, 1, 1, b"x"),
        record(Kind.BYTES, 0, 1, 1, b"x"),
        record(Kind.HELLO, 0, 0, 1, b'{"version": 99}'),
        record(Kind.HELLO, 0, 0, 1, b"[]"),
        record(Kind.HELLO, 0, 0, 1, b"\xff"),
        record(Kind.HELLO, 0, 0, 1, b"[" * 100_000),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=lambda stream: repr(stream[-24:]),
)
def test_what_no_wire_would_say_is_refused(stream: bytes) -> None:
    with pytest.raises(TapError):
        read(stream)
    with pytest.raises(TapError):
        read(*[stream[at : at + 1] for at in range(len(stream))])


def test_a_broken_payload_is_refused_alone() -> None:
    opened, after = read(HELLO + record(Kind.OPEN, 0, 1, 1, b"{") + record(Kind.STATS, 0, 0, 1))[1:]
    with pytest.raises(TapError, match="OPEN"):
        opened.json()
    assert after.kind == Kind.STATS


@given(st.lists(st.binary()))
def test_arbitrary_bytes_raise_nothing_else(chunks: list[bytes]) -> None:
    with contextlib.suppress(TapError):
        read(HELLO, *chunks)
