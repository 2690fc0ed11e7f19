"""The same bytes from a server mean the same, whether production sent them or a shadow."""

from __future__ import annotations

import gzip
import random

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.call import Answered, CallKey, Direction, Lost, SkipReason, Started
from sidecar.http2.answers import Answer
from sidecar.http2.conversation import Conversation
from sidecar.http2.frames import PREFACE
from sidecar.http2.limits import ReadLimits
from sidecar.observe.connection import Connection
from tests.observe.peers import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    RST_STREAM,
    WINDOW,
    frame,
    message,
    settings,
)

STREAMS = (1, 3, 5)
LIMITS = ReadLimits(max_response_bytes=64, max_header_bytes=512)
HELLO = settings()
GRPC = ((":status", "200"), ("content-type", "application/grpc"))


def as_production(*chunks: bytes) -> tuple[dict[int, Answer | SkipReason], str]:
    """What became of three calls whose requests were whole, and why reading ended."""

    def wants(_: Started) -> bool:
        return True

    connection = Connection(1, "peer:1", wants, LIMITS)
    encoder = hpack.Encoder()
    fields = [(":path", "/p.S/M"), ("content-type", "application/grpc")]
    asked = [frame(HEADERS, s, encoder.encode(fields), END_HEADERS | END_STREAM) for s in STREAMS]
    connection.feed(Direction.CLIENT, b"".join([PREFACE, HELLO, *asked]), 1)
    events = [e for chunk in chunks for e in connection.feed(Direction.SERVER, chunk, 2)]
    why = connection.why
    events += connection.close(Direction.SERVER, "eof", 3)
    assert connection.buffered_bytes == 0
    ends: dict[int, Answer | SkipReason] = {}
    for event in events:
        if isinstance(event, Lost):
            ends[event.key.stream] = event.reason
        elif isinstance(event, Answered):
            seen = event.observation
            ends[event.key.stream] = Answer(
                seen.status, seen.detail, seen.messages, seen.headers, seen.trailers
            )
            assert event.key == CallKey(1, event.key.stream)
    return ends, why


def as_shadow(*chunks: bytes) -> tuple[dict[int, Answer | SkipReason], str]:
    """The same of a shadow's."""
    talk = Conversation("http", "shadow:1", "agent/1", LIMITS)
    talk.max_streams, talk.ready = 3, True
    for _ in STREAMS:
        talk.begin("/p.S/M", (b"x",), (), 1_000_000_000)
    talk.ready = False
    told = [answer for chunk in chunks for answer in talk.receive(chunk)]
    if talk.broken:  # production's connection is opaque then, its calls lost as `blind`
        told += [(s, Answer(0, skip=SkipReason.BLIND)) for s in talk.streams]
        talk.lost("")
    told += talk.lost("the server closed the connection")
    assert talk.held == 0 or talk.broken
    return {stream: answer.skip or answer for stream, answer in told}, talk.broken


def same(*chunks: bytes) -> dict[int, Answer | SkipReason]:
    """What both halves say of it, which must be the same."""
    (production, opaque), (shadow, broken) = as_production(*chunks), as_shadow(*chunks)
    assert production == shadow
    assert bool(opaque) == bool(broken), (opaque, broken)
    return production


def block(stream: int, *fields: tuple[str, str], flags: int = 0) -> bytes:
    return frame(HEADERS, stream, hpack.Encoder().encode(list(fields)), END_HEADERS | flags)


HEAD = block(1, *GRPC, ("grpc-encoding", "gzip"), ("grpc-accept-encoding", "gzip"), ("model", "2"))
OK = block(
    1,
    ("grpc-status", "0"),
    ("grpc-message", "fine"),
    ("grpc-status-details-bin", "AA"),
    flags=END_STREAM,
)


def test_metadata_is_what_the_server_said_and_nothing_of_grpcs_own() -> None:
    told = same(HELLO, HEAD, frame(DATA, 1, message(gzip.compress(b"yes"), True)), OK)[1]
    assert told == Answer(
        0, "fine", (b"yes",), (("model", "2"),), (("grpc-status-details-bin", "AA"),)
    )


REFUSED, CANCEL = (7).to_bytes(4, "big"), (8).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("said", "meant"),
    {
        "it refuses the stream": (frame(RST_STREAM, 1, REFUSED), SkipReason.INCOMPLETE),
        "it goes away before it": (frame(GOAWAY, 0, bytes(8)), SkipReason.INCOMPLETE),
        "it cancels": (frame(RST_STREAM, 1, CANCEL), 1),
        "two heads": (HEAD + HEAD, SkipReason.MALFORMED),
        "DATA first": (frame(DATA, 1, message(b"x")), SkipReason.MALFORMED),
        "a message cut off": (HEAD + frame(DATA, 1, b"\0\0\0\0\5x") + OK, SkipReason.MALFORMED),
        "too large": (HEAD + frame(DATA, 1, message(bytes(65))), SkipReason.RESPONSE_TOO_LARGE),
        "grows too large": (
            HEAD + frame(DATA, 1, message(gzip.compress(bytes(65)), True)),
            SkipReason.RESPONSE_TOO_LARGE,
        ),
        "a page": (block(1, (":status", "503")) + frame(DATA, 1, b"<html>", END_STREAM), 14),
        "nothing more": (HEAD, 14),
    }.values(),
)
def test_every_end_is_the_same_for_both(said: bytes, meant: int | SkipReason) -> None:
    told = same(HELLO, said)[1]
    assert (told.status if isinstance(told, Answer) else told) == meant


STREAM = st.sampled_from((*STREAMS, 7))
FIELDS = st.lists(
    st.sampled_from(
        [
            *GRPC,
            (":status", "103"),
            (":status", "500"),
            ("content-type", "text/html"),
            ("grpc-encoding", "gzip"),
            ("grpc-encoding", "snappy"),
            ("grpc-status", "0"),
            ("grpc-status", "7"),
            ("grpc-status", "x"),
            ("grpc-message", "a%20b"),
            ("model", "2"),
            ("big", "b" * 300),
        ]
    ),
    max_size=4,
).map(lambda fields: hpack.Encoder().encode(fields))
BODIES = st.one_of(
    st.binary(max_size=8),
    st.binary(max_size=80).map(message),
    st.binary(max_size=80).map(lambda data: message(gzip.compress(data), True)),
    st.binary(min_size=6, max_size=20).map(lambda data: message(data)[:-3]),
)
BLOCK_FLAGS = st.sampled_from((END_HEADERS, END_HEADERS | END_STREAM))
FRAMES = st.one_of(
    st.builds(lambda s, b, f: frame(HEADERS, s, b, f), STREAM, FIELDS, BLOCK_FLAGS),
    st.builds(lambda s, b: frame(HEADERS, s, b, END_HEADERS), STREAM, st.binary(max_size=9)),
    st.builds(lambda s, b, f: frame(DATA, s, b, f), STREAM, BODIES, st.sampled_from((0, 0, 1))),
    st.builds(lambda s, b, n: frame(DATA, s, bytes([n]) + b, PADDED), STREAM, BODIES, st.just(0)),
    st.builds(lambda s, b: frame(DATA, s, b, PADDED), STREAM, BODIES),
    st.builds(lambda s, c: frame(RST_STREAM, s, c.to_bytes(4, "big")), STREAM, st.integers(0, 14)),
    st.builds(lambda s, b: frame(RST_STREAM, s, b), STREAM, st.binary(max_size=5)),
    st.builds(lambda s: frame(GOAWAY, 0, s.to_bytes(4, "big") + bytes(4)), STREAM),
    st.builds(lambda b: frame(GOAWAY, 0, b), st.binary(max_size=9)),
    st.builds(lambda n: settings(_3=n), st.integers(0, 9)),
    st.just(frame(PING, 0, bytes(8))),
    st.just(frame(0xFA, 1, b"what")),
    st.just(frame(WINDOW, 0, (9).to_bytes(4, "big"))),
)


def whole_or_cut(data: bytes, seed: int) -> list[bytes]:
    """Anything from one chunk to a byte at a time, by `seed`."""
    draw = random.Random(seed)
    chunks, at = [], 0
    while at < len(data):
        size = draw.choice((1, 2, 7, 64, len(data)))
        chunks.append(data[at : at + size])
        at += size
    return chunks


@given(st.lists(FRAMES, max_size=12), st.integers(0, 1 << 16))
def test_whatever_a_server_sends_means_the_same_on_both_sides(said: list[bytes], seed: int) -> None:
    same(*whole_or_cut(HELLO + b"".join(said), seed))
