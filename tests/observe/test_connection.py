"""Playbooks: frames in, events out."""

from __future__ import annotations

import gzip
import zlib

import pytest

from sidecar.call import (
    Answered,
    CallKey,
    Direction,
    Event,
    Lost,
    Observation,
    Requested,
    SkipReason,
    Started,
)
from sidecar.http2.budget import Budget
from sidecar.http2.frames import PREFACE
from sidecar.http2.limits import ReadLimits
from sidecar.observe.connection import Connection
from tests.observe.peers import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITIZED,
    PRIORITY,
    PUSH_PROMISE,
    REQUEST,
    RESPONSE,
    RST_STREAM,
    SETTINGS,
    WINDOW,
    Playbook,
    frame,
    message,
    settings,
)

CLIENT, SERVER = Direction.CLIENT, Direction.SERVER


def key(stream: int) -> CallKey:
    return CallKey(3, stream)


def lost(stream: int, reason: SkipReason) -> list[Event]:
    return [Lost(key(stream), reason)]


def status(events: list[Event]) -> tuple[int, str]:
    (answered,) = events
    assert isinstance(answered, Answered)
    return answered.observation.status, answered.observation.detail


# The life of a call


def test_a_unary_call() -> None:
    book = Playbook()
    book.client(book.request(1, ("grpc-timeout", "2S"), ("x-key", "v")))
    book.client(frame(DATA, 1, message(b"ask"), END_STREAM))
    book.server(book.answer(1), frame(DATA, 1, message(b"tell")), book.trailers(1))
    assert book.events == [
        Started(
            key(1),
            "/a.B/C",
            "model:80",
            (
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                ("grpc-timeout", "2S"),
                ("x-key", "v"),
            ),
            "10.0.0.1:9",
            3,
            2_000_000_000,
        ),
        Requested(key(1), (b"ask",), 4),
        Answered(key(1), Observation(0, "", (b"tell",), 4, 5, (), (), 5, 5)),
    ]
    assert book.connection.buffered_bytes == 0
    assert book.connection.buffered_bytes == 0


def test_messages_split_and_joined_over_data() -> None:
    book = Playbook()
    body = message(b"one") + message(b"") + message(b"three" * 100)
    book.client(book.request(1))
    for at in range(0, len(body), 7):
        assert book.client(frame(DATA, 1, body[at : at + 7])) == []
    assert book.client(frame(DATA, 1, b"", END_STREAM)) == [
        Requested(key(1), (b"one", b"", b"three" * 100), book.now_ns)
    ]


def test_a_request_may_end_with_its_headers() -> None:
    book = Playbook()
    assert book.client(book.request(1, flags=END_STREAM)) == [Requested(key(1), (), 3)]


def test_a_request_may_end_with_trailers() -> None:
    book = Playbook()
    book.client(book.request(1), frame(DATA, 1, message(b"x")))
    block = book.block(CLIENT, (("x-checksum", "1"),))
    assert book.client(frame(HEADERS, 1, block, END_HEADERS | END_STREAM)) == [
        Requested(key(1), (b"x",), 4)
    ]
    assert len([event for event in book.events if isinstance(event, Started)]) == 1


def test_what_follows_the_end_of_a_request_is_ignored() -> None:
    book = Playbook()
    book.asked(1)
    assert book.client(frame(DATA, 1, message(b"more"), END_STREAM)) == []
    block = book.block(CLIENT, (("x-late", "1"),))
    assert book.client(frame(HEADERS, 1, block, END_HEADERS | END_STREAM)) == []
    assert status(book.server(book.answer(1), book.trailers(1))) == (0, "")


def test_streams_interleave() -> None:
    book = Playbook()
    book.client(book.request(1), book.request(3))
    book.client(frame(DATA, 1, message(b"a")[:4]), frame(DATA, 3, message(b"b"), END_STREAM))
    book.client(frame(DATA, 1, message(b"a")[4:], END_STREAM))
    book.server(book.answer(3), book.answer(1), frame(DATA, 1, message(b"A")))
    book.server(frame(DATA, 3, message(b"B")), book.trailers(3), book.trailers(1))
    answers = [e for e in book.events if isinstance(e, Answered)]
    assert [(a.key.stream, a.observation.messages) for a in answers] == [(3, (b"B",)), (1, (b"A",))]


def test_an_unwanted_call_leaves_no_trace() -> None:
    book = Playbook(wanted=False)
    book.asked(1)
    held = book.connection.buffered_bytes
    told = book.server(book.answer(1), frame(DATA, 1, message(b"x" * 999)), book.trailers(1))
    assert told == []
    assert held == 0
    book.wanted = True  # and HPACK's state went on
    book.asked(3)
    assert status(book.server(book.answer(3), book.trailers(3))) == (0, "")


def test_a_forgotten_call_is_not_spoken_of_again() -> None:
    book = Playbook()
    book.client(book.request(1), frame(DATA, 1, message(b"x" * 500)[:100]))
    assert book.connection.buffered_bytes > 90
    book.connection.forget(key(1))
    book.connection.forget(key(1))
    book.connection.forget(CallKey(4, 1))
    assert book.connection.buffered_bytes == 0
    assert book.client(frame(DATA, 1, b"rest", END_STREAM)) == []
    assert book.server(book.answer(1), book.trailers(1)) == []
    assert book.connection.close(CLIENT, "eof", 9) == []


def test_what_is_held_is_counted() -> None:
    book = Playbook()
    connection = book.connection
    book.client(book.request(1), frame(DATA, 1, message(b"x" * 1000)))
    assert 1000 <= connection.buffered_bytes < 1100
    book.client(frame(DATA, 1, b"", END_STREAM))
    assert connection.buffered_bytes == 0  # the messages were handed over
    book.server(book.answer(1), frame(DATA, 1, message(b"y" * 2000)[:1500]))
    assert 1495 <= connection.buffered_bytes < 1595
    book.server(frame(DATA, 1, message(b"y" * 2000)[1500:]), book.trailers(1))
    assert connection.buffered_bytes == 0


def test_a_half_frame_is_counted() -> None:
    book = Playbook()
    book.client(book.request(1)[:20])
    assert book.connection.buffered_bytes == 20


# How an answer ends


def test_trailers_only() -> None:
    book = Playbook()
    book.asked(1)
    fields = (*RESPONSE, ("grpc-status", "5"), ("grpc-message", "no %e2%82%ac%zz"))
    (answered,) = book.server(book.trailers(1, fields))
    assert isinstance(answered, Answered)
    assert answered.observation.status == 5
    assert answered.observation.detail == "no €%zz"
    assert answered.observation.headers == ()
    assert answered.observation.trailers == ()  # gRPC's own fields are not the server's metadata


def test_interim_responses_are_skipped() -> None:
    book = Playbook()
    book.asked(1)
    interim = book.answer(1, ((":status", "103"), ("link", "x")))
    assert status(book.server(interim, interim, book.answer(1), book.trailers(1))) == (0, "")


@pytest.mark.parametrize(
    ("http_status", "code"), [("200", 2), ("400", 13), ("404", 12), ("503", 14), ("204", 2)]
)
def test_an_answer_that_is_not_grpc(http_status: str, code: int) -> None:
    book = Playbook()
    book.asked(1)
    page = ((":status", http_status), ("content-type", "text/html"))
    told = book.server(book.answer(1, page), frame(DATA, 1, b"<html>\xff\xff\xff", END_STREAM))
    assert status(told)[0] == code


def test_a_missing_content_type_is_taken_for_grpc() -> None:
    book = Playbook()
    book.asked(1)
    book.server(book.answer(1, RESPONSE[:1]), frame(DATA, 1, message(b"x")), book.trailers(1))
    answered = book.events[-1]
    assert isinstance(answered, Answered)
    assert answered.observation.messages == (b"x",)


def test_trailers_that_are_missing() -> None:
    book = Playbook()
    book.asked(1)
    told = book.server(book.answer(1), frame(DATA, 1, message(b"x"), END_STREAM))
    assert status(told)[0] == 2


@pytest.mark.parametrize("code", ["17", "-1", "", "ok", "٣"])
def test_a_status_that_grpc_does_not_know(code: str) -> None:
    book = Playbook()
    book.asked(1)
    assert status(book.server(book.trailers(1, (*RESPONSE, ("grpc-status", code)))))[0] == 2


@pytest.mark.parametrize(
    ("http2_code", "code"), [(0, 13), (2, 13), (5, 2), (8, 1), (11, 8), (12, 7), (99, 2)]
)
def test_a_server_reset_is_an_answer(http2_code: int, code: int) -> None:
    book = Playbook()
    book.asked(1)
    book.server(book.answer(1), frame(DATA, 1, message(b"part") + b"\0\0"))
    told = book.server(frame(RST_STREAM, 1, http2_code.to_bytes(4, "big")))
    assert status(told) == (code, f"RST_STREAM with error code {http2_code}")
    answered = told[0]
    assert isinstance(answered, Answered)
    assert answered.observation.messages == (b"part",)


def test_a_reset_after_the_trailers_is_normal() -> None:
    book = Playbook()
    book.asked(1)
    book.server(book.answer(1), book.trailers(1))
    assert book.server(frame(RST_STREAM, 1, bytes(4))) == []
    assert book.client(frame(RST_STREAM, 1, bytes(4))) == []


def test_a_refused_stream_was_not_processed() -> None:
    book = Playbook()
    book.asked(1)
    told = book.server(frame(RST_STREAM, 1, b"\0\0\0\7"))
    assert told == lost(1, SkipReason.INCOMPLETE)


def test_a_client_reset_is_a_cancellation() -> None:
    book = Playbook()
    book.asked(1)
    assert book.client(frame(RST_STREAM, 1, b"\0\0\0\x08")) == lost(1, SkipReason.CANCELLED)
    assert book.server(book.answer(1), book.trailers(1)) == []


@pytest.mark.parametrize("end", ["trailers", "data", "reset", "close"])
def test_an_answer_to_half_a_request(end: str) -> None:
    book = Playbook()
    book.client(book.request(1), frame(DATA, 1, message(b"x")))
    book.server(book.answer(1))
    if end == "trailers":
        told = book.server(book.trailers(1))
    elif end == "data":
        told = book.server(frame(DATA, 1, b"", END_STREAM))
    elif end == "reset":
        told = book.server(frame(RST_STREAM, 1, bytes(4)))
    else:
        told = book.connection.close(SERVER, "eof", 9)
    assert told == lost(1, SkipReason.INCOMPLETE)
    assert book.client(frame(DATA, 1, message(b"y"), END_STREAM)) == []


@pytest.mark.parametrize("how", ["eof", "reset"])
def test_the_connection_closes(how: str) -> None:
    book = Playbook()
    book.asked(1)
    assert book.connection.close(CLIENT, how, 9) == lost(1, SkipReason.CANCELLED)
    book = Playbook()
    book.asked(1)
    assert status(book.connection.close(SERVER, how, 9))[0] == 14
    assert book.connection.state == "closed"
    assert book.connection.close(SERVER, how, 9) == []
    assert book.client(b"anything") == []


def test_a_connection_cut_in_a_frame() -> None:
    book = Playbook()
    book.asked(1)
    book.server(book.answer(1), frame(DATA, 1, message(b"x" * 100))[:50])
    assert status(book.connection.close(SERVER, "reset", 9))[0] == 14
    assert book.connection.buffered_bytes == 0


def test_goaway_ends_the_streams_that_were_not_processed() -> None:
    book = Playbook()
    book.asked(1)
    book.asked(3)
    graceful = frame(GOAWAY, 0, b"\x7f\xff\xff\xff" + bytes(4) + b"soon")
    assert book.server(graceful) == []
    last = frame(GOAWAY, 0, b"\0\0\0\1" + bytes(4))
    assert book.server(last) == lost(3, SkipReason.INCOMPLETE)
    assert book.asked(5) == lost(5, SkipReason.INCOMPLETE)
    assert status(book.server(book.answer(1), book.trailers(1))) == (0, "")
    assert book.client(frame(GOAWAY, 0, bytes(8))) == []


# Frames


def test_padding_and_priority_are_taken_off() -> None:
    book = Playbook()
    block = book.block(CLIENT, REQUEST)
    flags = END_HEADERS | PADDED | PRIORITIZED
    book.client(frame(HEADERS, 1, b"\x03" + b"\0\0\0\0\x10" + block + b"pad", flags))
    body = message(b"hello")
    book.client(frame(DATA, 1, b"\x05" + body[:6] + b"\0" * 5, PADDED))
    told = book.client(frame(DATA, 1, b"\xff" + body[6:] + b"\0" * 255, PADDED | END_STREAM))
    assert told == [Requested(key(1), (b"hello",), book.now_ns)]


def test_data_of_padding_only_may_end_the_request() -> None:
    book = Playbook()
    book.client(book.request(1), frame(DATA, 1, message(b"x")))
    told = book.client(frame(DATA, 1, b"\x02\0\0", PADDED | END_STREAM))
    assert told == [Requested(key(1), (b"x",), 4)]


def test_frames_that_nobody_reads_are_stepped_over() -> None:
    book = Playbook()
    noise = b"".join(
        [
            frame(PING, 0, bytes(8)),
            frame(WINDOW, 0, bytes(4)),
            frame(PRIORITY, 1, bytes(5)),
            frame(0xBE, 77, bytes(100_000)),
            frame(SETTINGS, 0, b"", ACK),
        ]
    )
    book.client(noise, book.request(1), noise, frame(DATA, 1, message(b"x"), END_STREAM), noise)
    assert status(book.server(noise, book.answer(1), noise, book.trailers(1), noise))[0] == 0


def test_a_block_in_continuations() -> None:
    book = Playbook()
    block = book.block(CLIENT, REQUEST)
    frames = [frame(HEADERS, 1, block[:1], END_STREAM)]
    frames += [frame(CONTINUATION, 1, block[at : at + 1]) for at in range(1, len(block))]
    assert book.client(*frames) == []
    assert book.client(frame(CONTINUATION, 1, b"", END_HEADERS)) == [Requested(key(1), (), 4)]


def test_a_push_promise_is_decoded_and_ignored() -> None:
    book = Playbook()
    book.asked(1)
    promised = book.block(SERVER, ((":path", "/style.css"), ("x-new", "in the table")))
    told = book.server(frame(PUSH_PROMISE, 1, b"\0\0\0\2" + promised, END_HEADERS))
    assert told == []
    answer = book.answer(1, (*RESPONSE, ("x-new", "in the table")))
    assert status(book.server(answer, book.trailers(1))) == (0, "")


@pytest.mark.parametrize("reader", [CLIENT, SERVER])
def test_each_side_bounds_the_other_sides_table(reader: Direction) -> None:
    writer = Direction(1 - reader)
    book = Playbook()
    book.asked(1)
    announcement = settings(_1=8192, _3=100)
    book.client(announcement) if reader == CLIENT else book.server(announcement)
    book.encoder(writer).header_table_size = 8192
    filler = tuple((f"x-{n}", "v" * 100) for n in range(45))  # more than 4096, less than 8192
    if writer == SERVER:
        book.server(book.answer(1, RESPONSE + filler), book.trailers(1))
        again = book.asked(3) and book.server(book.answer(3, RESPONSE + filler), book.trailers(3))
        assert status(again) == (0, "")
    else:
        book.client(book.request(3, *filler), book.request(5, *filler))
        started = [event for event in book.events if isinstance(event, Started)]
        assert [dict(event.metadata)["x-0"] for event in started[1:]] == ["v" * 100] * 2
    assert book.connection.state == "open"


# What is lost with a reason


def test_a_request_is_too_large_as_soon_as_it_says_so() -> None:
    book = Playbook(ReadLimits(max_request_bytes=1000))
    book.client(book.request(1))
    told = book.client(frame(DATA, 1, b"\0" + (1 << 30).to_bytes(4, "big") + b"x"))
    assert told == lost(1, SkipReason.REQUEST_TOO_LARGE)
    assert book.connection.buffered_bytes == 0


def test_all_messages_of_a_call_count() -> None:
    book = Playbook(ReadLimits(max_request_bytes=1000, max_response_bytes=1000))
    book.asked(1, b"x" * 1000)
    assert isinstance(book.events[-1], Requested)
    book.server(book.answer(1), frame(DATA, 1, message(b"y" * 600)))
    told = book.server(frame(DATA, 1, message(b"y" * 401)))
    assert told == lost(1, SkipReason.RESPONSE_TOO_LARGE)


def test_a_stream_of_many_messages_has_an_end() -> None:
    book = Playbook(ReadLimits(max_messages=3))
    assert book.client(book.request(1), frame(DATA, 1, message(b"") * 3)) == []
    assert book.client(frame(DATA, 1, message(b""))) == lost(1, SkipReason.REQUEST_TOO_LARGE)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_message_may_not_grow_beyond_the_bound(encoding: str) -> None:
    bomb = (gzip.compress if encoding == "gzip" else zlib.compress)(bytes(10_000_000))
    book = Playbook(ReadLimits(max_request_bytes=100_000))
    told = book.client(
        book.request(1, ("grpc-encoding", encoding)), frame(DATA, 1, message(bomb, True))
    )
    assert told == lost(1, SkipReason.REQUEST_TOO_LARGE)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"\x02\0\0\0\0"),  # no such flag
        ("identity", message(b"x", True)),
        ("snappy", message(b"x", True)),
        ("gzip", message(b"not gzip", True)),
        ("gzip", message(gzip.compress(b"x")[:-1], True)),
        ("gzip", message(gzip.compress(b"x") + b"more", True)),
        ("identity", message(b"hello")[:-1]),
        ("identity", b"\0\0"),
    ],
)
def test_broken_framing_or_compression(encoding: str, body: bytes) -> None:
    book = Playbook()
    request = book.request(1, ("grpc-encoding", encoding))
    told = book.client(request, frame(DATA, 1, body, END_STREAM))
    assert told == lost(1, SkipReason.MALFORMED)


def test_an_uncompressed_message_needs_no_known_encoding() -> None:
    book = Playbook()
    request = book.request(1, ("grpc-encoding", "snappy"))
    told = book.client(request, frame(DATA, 1, message(b"x"), END_STREAM))
    assert told == [Requested(key(1), (b"x",), 3)]


@pytest.mark.parametrize("code", ["0", "13"])
def test_an_answer_that_ends_inside_a_message(code: str) -> None:
    book = Playbook()
    book.asked(1)
    book.server(book.answer(1), frame(DATA, 1, message(b"one") + message(b"two")[:-1]))
    told = book.server(book.trailers(1, (("grpc-status", code),)))
    if code == "0":
        assert told == lost(1, SkipReason.MALFORMED)
    else:
        assert status(told)[0] == 13


def test_an_answer_out_of_order() -> None:
    book = Playbook()
    book.asked(1)
    assert book.server(frame(DATA, 1, message(b"x"))) == lost(1, SkipReason.MALFORMED)
    book.asked(3)
    assert book.server(book.answer(3), book.answer(3)) == lost(3, SkipReason.MALFORMED)


# Gaps and sampling


def test_a_gap_in_data_loses_the_call_and_nothing_else() -> None:
    book = Playbook()
    book.client(book.request(1), book.request(3))
    whole = frame(DATA, 1, message(b"x" * 100), END_STREAM)
    book.client(whole[:30])
    told = book.connection.gap(CLIENT, 60, 9)
    assert told == lost(1, SkipReason.TAP_GAP)
    book.client(whole[90:], frame(DATA, 3, message(b"y"), END_STREAM))
    assert book.events[-1] == Requested(key(3), (b"y",), book.now_ns)
    assert book.connection.gap(CLIENT, 0, 9) == []


def test_a_gap_of_a_whole_payload_with_padding() -> None:
    book = Playbook()
    book.client(book.request(1))
    book.client(frame(DATA, 1, b"\x02" + message(b"x" * 10) + b"\0\0", PADDED | END_STREAM)[:9])
    assert book.connection.gap(CLIENT, 18, 9) == lost(1, SkipReason.TAP_GAP)
    assert book.client(book.request(3, flags=END_STREAM)) == [Requested(key(3), (), 5)]


def test_a_gap_in_an_unknown_stream_is_ignored() -> None:
    book = Playbook(wanted=False)
    book.client(book.request(1), frame(DATA, 1, bytes(50))[:9])
    assert book.connection.gap(CLIENT, 50, 9) == []
    assert book.connection.state == "open"


@pytest.mark.parametrize("begun", [b"", frame(HEADERS, 3, bytes(40))[:20], frame(PING, 0)[:9]])
def test_a_gap_elsewhere_blinds(begun: bytes) -> None:
    book = Playbook()
    book.asked(1)
    book.client(begun)
    assert book.connection.gap(CLIENT, 10, 9) == lost(1, SkipReason.BLIND)
    assert book.connection.state == "blind"
    assert book.asked(5) == []
    assert book.connection.gap(CLIENT, 10, 9) == []


def test_a_gap_longer_than_the_frame_blinds() -> None:
    book = Playbook()
    book.client(book.request(1), frame(DATA, 1, bytes(50))[:20])
    assert book.connection.gap(CLIENT, 40, 9) == lost(1, SkipReason.BLIND)


def test_an_unsampled_stream_is_said_to_be_so() -> None:
    book = Playbook(wanted=False)
    assert book.connection.unsampled([3]) == []
    book.client(book.request(1), book.request(3), book.request(5))
    started = {event.key.stream: event for event in book.events if isinstance(event, Started)}
    assert {stream: event.sampled for stream, event in started.items()} == {
        1: True,
        3: False,
        5: True,
    }
    assert started[3].method == started[1].method


def test_of_an_unsampled_stream_nothing_more_is_said_even_if_it_is_wanted() -> None:
    book = Playbook()
    book.connection.unsampled([1])
    assert book.client(book.request(1)) == []
    assert [(e.key.stream, e.sampled) for e in book.events if isinstance(e, Started)] == [
        (1, False)
    ]
    assert book.server(book.answer(1)) == []
    assert book.connection.close(Direction.CLIENT, "eof", 9) == []


def test_unsampled_streams_that_come_together_are_told_of_together_by_their_headers() -> None:
    book = Playbook(wanted=False)
    book.client(book.request(1))  # from now on its fields are indexed
    book.connection.unsampled([3, 5, 9, 11])
    other = (":path", "/a.B/Other")
    book.client(
        book.request(3), book.request(5), book.request(7), book.request(9, other), book.request(11)
    )
    begun = {e.key.stream: e for e in book.events if isinstance(e, Started)}
    assert {stream: (e.method, e.calls, e.sampled) for stream, e in begun.items()} == {
        1: ("/a.B/C", 1, True),
        3: ("/a.B/C", 2, False),
        7: ("/a.B/C", 1, True),
        9: ("/a.B/Other", 1, False),
        11: ("/a.B/C", 1, False),
    }
    assert book.connection.calls == 6


def test_what_was_left_out_before_bytes_that_cannot_be_read_is_told_of_once() -> None:
    book = Playbook(wanted=False)
    book.connection.unsampled([1, 3, 5])
    book.client(book.request(1), book.request(3), frame(HEADERS, 5, b"\xff\xff\xff", END_HEADERS))
    begun = [e for e in book.events if isinstance(e, Started)]
    assert sum(e.calls for e in begun) == 3 == book.connection.calls
    assert [(e.key.stream, e.sampled, e.legible) for e in begun][-1] == (5, False, False)


def test_announcements_have_a_bound() -> None:
    connection = Connection(1, "", lambda started: True)
    for stream in range(1, (1 << 16) + 2):
        assert connection.unsampled([stream]) == []
    assert connection.state == "blind"


def test_the_wire_may_say_that_sight_is_lost() -> None:
    book = Playbook()
    book.asked(1)
    assert book.connection.lose_sight("blind", "tap full") == lost(1, SkipReason.BLIND)
    assert (book.connection.state, book.connection.why) == ("blind", "tap full")


# Not HTTP/2, or no longer


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02", b"PRI * HTTP/2.1"])
def test_another_protocol_is_opaque(first: bytes) -> None:
    book = Playbook(hands=False)
    book.client(first)
    assert book.connection.state == "opaque"
    assert book.connection.why == "not the HTTP/2 preface"


def test_a_server_that_speaks_another_protocol() -> None:
    book = Playbook(hands=False)
    book.client(PREFACE, settings())
    book.server(b"HTTP/1.1 400 Bad Request\r\n")
    assert book.connection.state == "opaque"


@pytest.mark.parametrize(
    "broken",
    [
        frame(HEADERS, 3, b"\xfe", END_HEADERS),  # HPACK: no such entry
        frame(HEADERS, 0, b"", END_HEADERS),
        frame(HEADERS, 3, b"\x05abc", END_HEADERS | PADDED),
        frame(HEADERS, 3, b"", END_HEADERS | PADDED),
        frame(HEADERS, 3, b"abc", END_HEADERS | PRIORITIZED),
        frame(HEADERS, 3) + frame(DATA, 3),
        frame(HEADERS, 3) + frame(CONTINUATION, 5),
        frame(HEADERS, 3) + frame(PING, 0, bytes(8)),
        frame(CONTINUATION, 3),
        frame(DATA, 0),
        frame(DATA, 3, b"", PADDED),
        frame(DATA, 3, b"\x05abc", PADDED),
        frame(RST_STREAM, 1, b"abc"),
        frame(RST_STREAM, 0, b"abcd"),
        frame(SETTINGS, 0, b"abc"),
        frame(SETTINGS, 1),
        frame(GOAWAY, 0, b"abc"),
        frame(PUSH_PROMISE, 1, b"\0\0\0\2", END_HEADERS),
        frame(HEADERS, 3, bytes(70_000), END_HEADERS),
        frame(HEADERS, 3, bytes((64 << 10) + 1), END_HEADERS),
        frame(HEADERS, 3) + frame(CONTINUATION, 3, bytes(16_000)) * 5,
        frame(HEADERS, 3, b"\x40\x01a\x7f\xa1\x1e" + bytes(4000) + b"\xbe" * 20, END_HEADERS),
    ],
    ids=lambda broken: repr(broken[:24]),
)
def test_what_cannot_be_read_makes_the_connection_opaque(broken: bytes) -> None:
    book = Playbook()
    book.asked(1)
    assert book.client(broken) == lost(1, SkipReason.BLIND)
    begun = [event.key.stream for event in book.events if isinstance(event, Started)]
    assert begun in ([1], [1, 3])  # the call in it is told of, if there is one
    assert book.connection.state == "opaque"
    assert book.connection.why
    assert book.connection.buffered_bytes == 0
    assert book.connection.close(CLIENT, "eof", 9) == []


BIG = (("big", "b" * 70_000),)


def big_block(book: Playbook, stream: int, cut: int) -> bytes:
    """A request whose header block is larger than anybody reads, in so many frames."""
    block = book.block(CLIENT, REQUEST + BIG)
    size = -(-len(block) // cut)
    parts = [block[at : at + size] for at in range(0, len(block), size)]
    kinds = [HEADERS] + [CONTINUATION] * (len(parts) - 1)
    flags = [0] * (len(parts) - 1) + [END_HEADERS]
    return b"".join(map(frame, kinds, [stream] * cut, parts, flags))


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_calls_on_a_connection_that_cannot_be_read_are_told_of(frames: int, size: int) -> None:
    book = Playbook()
    said = book.request(1) + frame(DATA, 1, message(b"x" * 50), END_STREAM)
    said += big_block(book, 3, frames) + frame(DATA, 3, b"", END_STREAM)
    said += book.request(5) + frame(DATA, 5, message(b"y" * 50), END_STREAM) + book.request(7)
    for at in range(0, len(said), size):
        book.client(said[at : at + size])
    assert book.connection.state == "opaque"
    begun = [event for event in book.events if isinstance(event, Started)]
    assert [(call.key.stream, call.legible) for call in begun] == [
        (1, True),
        (3, False),
        (5, False),
        (7, False),
    ]
    assert lost(1, SkipReason.BLIND)[0] in book.events
    book.connection.close(CLIENT, "eof", 9)
    book.client(book.request(9))
    assert len([e for e in book.events if isinstance(e, Started)]) == 4


def test_calls_are_told_of_when_it_is_the_servers_headers_that_cannot_be_read() -> None:
    book = Playbook()
    book.asked(1)
    half = book.request(3)
    book.client(half[:11])
    book.server(frame(HEADERS, 1, b"\xfe", END_HEADERS))
    book.client(half[11:], book.request(5))
    begun = [event for event in book.events if isinstance(event, Started)]
    assert [(call.key.stream, call.legible) for call in begun] == [
        (1, True),
        (3, False),
        (5, False),
    ]


def test_a_header_table_that_production_allows_and_we_do_not_keep() -> None:
    book = Playbook()
    book.server(settings(_1=1 << 20))
    book.encoder(CLIENT).header_table_size = 1 << 20
    book.client(book.request(1), book.request(3))
    begun = [event for event in book.events if isinstance(event, Started)]
    assert [(call.key.stream, call.legible) for call in begun] == [(1, False), (3, False)]


def test_what_the_wire_left_out_is_told_of_as_that_where_nothing_can_be_read() -> None:
    book = Playbook()
    book.connection.unsampled([3])
    book.client(big_block(book, 1, 5), book.request(3))
    book.connection.unsampled([7])
    book.client(frame(DATA, 1, b"", 0)[:9], book.request(5), book.request(7))
    begun = [event for event in book.events if isinstance(event, Started)]
    assert [(call.key.stream, call.sampled) for call in begun] == [
        (1, True),
        (3, False),
        (5, True),
        (7, False),
    ]


def test_a_gap_where_nothing_can_be_read() -> None:
    book = Playbook()
    book.client(big_block(book, 1, 5), frame(DATA, 1, bytes(500))[:209])
    book.connection.gap(CLIENT, 300, 0)
    book.client(book.request(3))
    assert [e.key.stream for e in book.events if isinstance(e, Started)] == [1, 3]


def test_another_protocol_has_no_calls() -> None:
    book = Playbook(hands=False)
    book.client(b"GET / HTTP/1.1\r\nHost: model\r\n\r\n", book.request(1))
    assert book.events == []


def test_a_peer_that_is_not_grpc() -> None:
    book = Playbook(wanted=False)
    fields = ((":method", "GET"), (":path", "/"), ("host", "web"), ("content-type", "text/html"))
    book.client(frame(HEADERS, 1, book.block(CLIENT, fields), END_HEADERS | END_STREAM))
    (started,) = book.events
    assert isinstance(started, Started)
    assert (started.method, started.authority, started.is_grpc) == ("/", "web", False)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/grpc", True),
        ("application/grpc+proto", True),
        ("application/grpc;charset=utf-8", True),
        ("application/grpc-web", False),
        ("application/json", False),
    ],
)
def test_which_content_types_are_grpc(content_type: str, expected: bool) -> None:
    book = Playbook(wanted=False)
    fields = ((":path", "/a.B/C"), ("content-type", content_type))
    book.client(frame(HEADERS, 1, book.block(CLIENT, fields), END_HEADERS))
    (started,) = book.events
    assert isinstance(started, Started)
    assert started.is_grpc is expected


def test_ten_thousand_streams() -> None:
    book = Playbook(wanted=False)
    book.client(*[book.request(stream) for stream in range(1, 20_001, 2)])
    assert len(book.events) == 10_000
    assert book.connection.buffered_bytes == 0


def test_header_tables_of_many_connections_count_and_have_a_bound() -> None:
    budget = Budget(200_000)
    books = [Playbook(budget=budget) for _ in range(10)]
    for stream in range(1, 401, 2):
        for book in books:
            field = (f"x-{stream}", "v" * 20)
            book.client(
                book.request(stream, field, flags=END_STREAM), frame(RST_STREAM, stream, bytes(4))
            )
            assert budget.tables <= budget.limit // 2
    states = [book.connection.state for book in books]
    assert set(states) == {"open", "blind"}
    assert {book.connection.why for book in books if book.connection.state == "blind"} == {
        "no room for its header tables"
    }
    for book in books:
        begun = [e for e in book.events if isinstance(e, Started)]
        assert len(begun) == 200  # legible or not
        book.connection.close(CLIENT, "eof", 9)
    assert (budget.held, budget.tables) == (0, 0)
