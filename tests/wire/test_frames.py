"""The frame walk, one rule at a time."""

from __future__ import annotations

import itertools
import struct

import pytest

from sidecar.wire import left_out
from sidecar.wire.frames import Walker
from sidecar.wire.header import PREFACE
from sidecar.wire.records import Kind
from sidecar.wire.state import State
from sidecar.wire.stats import Tally
from tests.wire.harness import frame
from tests.wire.walks import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    OPENINGS,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    ROOM,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    sampler,
)

CLIENT, SERVER = 0, 1


def opened(*draws: bool, tally: Tally | None = None, follow: bool = False) -> Walker:
    """A walker past the opening; streams are sampled as drawn, and after that always."""
    draw = itertools.chain(draws, itertools.repeat(True))
    walker = Walker(sampler(lambda: next(draw)), tally or Tally(), follow_server=follow)
    for direction, data in OPENINGS:
        assert walker.feed(direction, data, ROOM, ROOM) == [(Kind.BYTES, data)]
    return walker


def gap(size: int) -> tuple[Kind, bytes]:
    return Kind.GAP, struct.pack("!Q", size)


def unsampled(stream: int) -> tuple[Kind, bytes]:
    return Kind.UNSAMPLED, struct.pack("!I", stream)


def test_a_whole_chunk_is_one_record() -> None:
    call = frame(HEADERS, END_HEADERS, 1, b"block") + frame(DATA, END_STREAM, 1, b"question")
    assert opened().feed(CLIENT, call, ROOM, ROOM) == [(Kind.BYTES, call)]


@pytest.mark.parametrize("kind", [WINDOW_UPDATE, PING, PRIORITY, 0x10, 0xFF])
def test_frames_that_say_nothing_about_calls_are_left_out_whole(kind: int) -> None:
    before, after = frame(HEADERS, 4, 1, b"a"), frame(HEADERS, 5, 1, b"b")
    chunk = before + frame(kind, 0, 0, b"12345678") + after
    walker = opened()
    assert walker.feed(CLIENT, chunk, ROOM, ROOM) == [(Kind.BYTES, before + after)]


@pytest.mark.parametrize(
    "kind", [HEADERS, CONTINUATION, PUSH_PROMISE, RST_STREAM, SETTINGS, GOAWAY]
)
def test_frames_that_carry_state_are_copied_even_of_unsampled_streams(kind: int) -> None:
    walker = opened(False)
    head = frame(HEADERS, 4, 1, b"block")
    assert walker.feed(CLIENT, head, ROOM, ROOM) == [unsampled(1), (Kind.BYTES, head)]
    more = frame(kind, 0, 1, b"1234")
    assert walker.feed(SERVER, more, ROOM, ROOM) == [(Kind.BYTES, more)]


def test_data_of_an_unsampled_stream_is_left_out_whole() -> None:
    walker = opened(False)
    head = frame(HEADERS, 4, 1, b"block")
    end = frame(DATA, END_STREAM, 1, b"the rest")
    chunk = head + frame(DATA, 0, 1, b"question") + end
    assert walker.feed(CLIENT, chunk, ROOM, ROOM) == [unsampled(1), (Kind.BYTES, head)]


def test_unsampled_streams_that_come_together_are_told_together() -> None:
    walker = opened(False, True, False)
    heads = [frame(HEADERS, 4, stream, b"block") for stream in (1, 3, 5)]
    asked = [frame(DATA, END_STREAM, stream, b"question") for stream in (1, 3, 5)]
    chunk = b"".join(head + data for head, data in zip(heads, asked, strict=True))
    left = heads[0] + heads[1] + asked[1] + heads[2]
    assert walker.feed(CLIENT, chunk, ROOM, ROOM) == [
        (Kind.UNSAMPLED, struct.pack("!II", 1, 5)),
        (Kind.BYTES, left),
    ]


@pytest.mark.parametrize(
    ("direction", "end"),
    [
        (SERVER, frame(HEADERS, END_HEADERS | END_STREAM, 1, b"trailers")),
        (SERVER, frame(DATA, END_STREAM, 1)),
        (SERVER, frame(RST_STREAM, 0, 1, b"1234")),
        (CLIENT, frame(RST_STREAM, 0, 1, b"1234")),
    ],
)
def test_an_unsampled_stream_is_forgotten_when_it_ends(direction: int, end: bytes) -> None:
    walker = opened(False)
    walker.feed(CLIENT, frame(HEADERS, 4, 1, b"block"), ROOM, ROOM)
    late = frame(DATA, 0, 1, b"late")
    assert walker.feed(SERVER, late, ROOM, ROOM) == []
    walker.feed(direction, end, ROOM, ROOM)
    assert walker.feed(SERVER, late, ROOM, ROOM) == [(Kind.BYTES, late)]


def test_the_client_ending_its_half_does_not_end_the_stream() -> None:
    walker = opened(False)
    walker.feed(CLIENT, frame(HEADERS, 5, 1, b"block"), ROOM, ROOM)
    assert walker.feed(SERVER, frame(DATA, 0, 1, b"answer"), ROOM, ROOM) == []


def test_trailers_from_the_client_are_no_new_stream() -> None:
    walker = opened(True, False)
    walker.feed(CLIENT, frame(HEADERS, 4, 1, b"block"), ROOM, ROOM)
    trailers = frame(HEADERS, 5, 1, b"trailers")
    assert walker.feed(CLIENT, trailers, ROOM, ROOM) == [(Kind.BYTES, trailers)]


@pytest.mark.interpreted
def test_the_oldest_of_too_many_left_out_streams_counts_as_sampled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(left_out, "MAX_LEFT_OUT", 2)
    walker = opened(False, False, False)
    for stream in (1, 3, 5):
        walker.feed(CLIENT, frame(HEADERS, 4, stream, b"block"), ROOM, ROOM)
    shown = [bool(walker.feed(CLIENT, frame(DATA, 0, s, b"x"), ROOM, ROOM)) for s in (1, 3, 5)]
    assert shown == [True, False, False]


def test_data_that_finds_no_room_keeps_its_header_and_the_rest_of_its_stream_goes_too() -> None:
    tally = Tally()
    walker = opened(tally=tally)
    head = frame(HEADERS, 4, 1, b"block")
    first, second = frame(DATA, 0, 1, b"question"), frame(DATA, END_STREAM, 1, b"the rest")
    assert walker.feed(CLIENT, head + first + second, ROOM, 0) == [
        (Kind.BYTES, head + first[:9]),
        gap(8),
        (Kind.BYTES, second[:9]),
        gap(8),
    ]
    assert (tally.gap_frames, tally.gap_bytes) == (2, 16)
    answer = frame(DATA, 0, 1, b"answer")
    assert walker.feed(SERVER, answer, ROOM, ROOM) == []
    assert (tally.gap_frames, tally.gap_bytes) == (3, 22)
    other = frame(DATA, 0, 3, b"of another stream")
    assert walker.feed(CLIENT, other, ROOM, ROOM) == [(Kind.BYTES, other)]


def test_a_tap_that_fills_in_the_middle_of_a_frame_drops_the_rest_of_it() -> None:
    tally = Tally()
    walker = opened(tally=tally)
    data = frame(DATA, 0, 1, b"x" * 100)
    assert walker.feed(CLIENT, data[:50], ROOM, ROOM) == [(Kind.BYTES, data[:50])]
    assert walker.feed(CLIENT, data[50:80], ROOM, 10) == [gap(59)]
    after = frame(HEADERS, 4, 3, b"block")
    assert walker.feed(CLIENT, data[80:] + after, ROOM, ROOM) == [(Kind.BYTES, after)]
    assert (tally.gap_frames, tally.gap_bytes) == (1, 59)


def test_the_last_frame_of_a_stream_lost_on_the_way_leaves_nothing_to_remember() -> None:
    walker = opened()
    last = frame(DATA, END_STREAM, 1, b"x" * 100)
    walker.feed(SERVER, last[:50], ROOM, ROOM)
    assert walker.feed(SERVER, last[50:], ROOM, 10) == [gap(59)]
    late = frame(DATA, 0, 1, b"late")
    assert walker.feed(CLIENT, late, ROOM, ROOM) == [(Kind.BYTES, late)]


def test_a_header_block_that_finds_no_room_makes_the_connection_blind() -> None:
    tally = Tally()
    walker = opened(tally=tally)
    block = frame(HEADERS, 4, 1, b"x" * 100)
    assert walker.feed(CLIENT, block, 100, 50) == [(Kind.BLIND, b"the tap is full")]
    assert walker.state is State.BLIND
    assert walker.feed(CLIENT, frame(HEADERS, 4, 3, b"next"), ROOM, ROOM) == []
    assert (tally.calls, tally.blind_calls) == (0, 2)  # the one that found no room is one


@pytest.mark.parametrize(
    ("direction", "data"),
    [
        (CLIENT, b"GET / HTTP/1.1\r\nhost: production\r\n\r\n"),
        (CLIENT, bytes.fromhex("16030100c8010000c40303")),
        (CLIENT, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"),
        (CLIENT, PREFACE + frame(HEADERS, 4, 1, b"block")),
        (SERVER, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        (SERVER, frame(SETTINGS, 1, 0)),
        (SERVER, frame(SETTINGS, 0, 1)),
        (SERVER, frame(SETTINGS, 0, 0, b"1234567")),
    ],
)
def test_what_does_not_begin_as_http2_is_opaque(direction: int, data: bytes) -> None:
    for observed in (True, False):
        walker = Walker(sampler(), Tally(), observed=observed, follow_server=True)
        ((kind, reason),) = walker.feed(direction, data, ROOM, ROOM)
        assert kind is Kind.OPAQUE
        assert reason
        assert walker.state is State.OPAQUE
        assert walker.feed(1 - direction, OPENINGS[1 - direction][1], ROOM, ROOM) == []


def test_half_an_opening_is_not_judged_yet() -> None:
    walker = Walker(sampler(), Tally())
    assert walker.feed(CLIENT, PREFACE[:10], ROOM, ROOM) == []
    assert walker.state is State.OBSERVED


def test_a_frame_header_is_copied_whole_or_not_at_all() -> None:
    walker = opened()
    window, block = frame(WINDOW_UPDATE, 0, 0, b"1234"), frame(HEADERS, 4, 1, b"block")
    stream = window + block
    told = [walker.feed(CLIENT, stream[i : i + 1], ROOM, ROOM) for i in range(len(stream))]
    assert told[:21] == [[]] * 21
    assert told[21] == [(Kind.BYTES, block[:9])]
    assert told[22:] == [[(Kind.BYTES, block[i : i + 1])] for i in range(9, 14)]


def test_a_frame_may_be_put_in_only_between_two_frames_and_outside_a_header_block() -> None:
    walker = Walker(sampler(), Tally(), observed=False, follow_server=True)
    assert not walker.at_boundary
    steps = [
        (OPENINGS[1][1], True),
        (frame(HEADERS, 0, 1, b"half a block"), False),
        (frame(CONTINUATION, 0, 1, b"and more"), False),
        (frame(CONTINUATION, END_HEADERS, 1, b"and the rest"), True),
        (frame(DATA, 0, 1, b"answer")[:12], False),
        (frame(DATA, 0, 1, b"answer")[12:], True),
        (frame(PING, 0, 0, b"12345678")[:5], False),
        (frame(PING, 0, 0, b"12345678")[5:], True),
    ]
    for data, expected in steps:
        walker.feed(SERVER, data, ROOM, ROOM)
        assert walker.at_boundary == expected
