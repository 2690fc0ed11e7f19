"""The client's half of HTTP/2, played against a server's half by `hpack` and hand-made frames."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.call import SkipReason
from sidecar.http2.answers import Answer
from sidecar.http2.budget import Budget
from sidecar.http2.conversation import BURST, WINDOW, Conversation
from sidecar.http2.frames import PREFACE
from sidecar.http2.limits import ReadLimits
from tests.tee.servers import frame

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY = range(8)
WINDOW_UPDATE, CONTINUATION = 8, 9
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
SECOND = 1_000_000_000
OPENING = frame(SETTINGS, 0, 0)


def message(payload: bytes) -> bytes:
    return struct.pack("!BI", 0, len(payload)) + payload


def u32(number: int) -> bytes:
    return struct.pack("!I", number)


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack("!HI", *pair) for pair in pairs))


def conversation(*pairs: tuple[int, int], limits: ReadLimits | None = None) -> Conversation:
    """One whose server has said hello; what we said so far is out."""
    talk = Conversation("http", "shadow:1", "agent/1", limits or ReadLimits())
    talk.receive(settings(*pairs))
    talk.output()
    return talk


def ask(talk: Conversation, *messages: bytes) -> int:
    return talk.begin("/p.S/M", messages, (), SECOND)


def sent(talk: Conversation) -> bytes:
    return b"".join(talk.output())


def frames(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    while data:
        size = int.from_bytes(data[:3], "big")
        kind, flags, stream = struct.unpack_from("!BBI", data, 3)
        yield kind, flags, stream, data[9 : 9 + size]
        data = data[9 + size :]


def body(data: bytes, stream: int = 1) -> bytes:
    return b"".join(p for kind, _, s, p in frames(data) if kind == DATA and s == stream)


def fields_of(block: bytes) -> list[tuple[str, str]]:
    decoder = hpack.Decoder(max_header_list_size=1 << 20)
    return [(str(name), str(value)) for name, value in decoder.decode(block)]


HEAD = [(":status", "200"), ("content-type", "application/grpc"), ("model", "2")]
TRAILERS = [("grpc-status", "0"), ("cost", "3")]


def answer(stream: int, *messages: bytes, encoder: hpack.Encoder | None = None) -> bytes:
    encoder = encoder or hpack.Encoder()
    head, trailers = encoder.encode(HEAD), encoder.encode(TRAILERS)
    data = b"".join(map(message, messages))
    return b"".join(
        (
            frame(HEADERS, END_HEADERS, stream, head),
            frame(DATA, 0, stream, data),
            frame(HEADERS, END_HEADERS | END_STREAM, stream, trailers),
        )
    )


WHOLE = Answer(0, "", (b"yes",), (("model", "2"),), (("cost", "3"),))


def test_it_opens_as_http2_does_and_forbids_pushing() -> None:
    opening = sent(Conversation("http", "shadow:1", "agent/1", ReadLimits()))
    assert opening.startswith(PREFACE)
    kinds = [(kind, stream) for kind, _, stream, _ in frames(opening[len(PREFACE) :])]
    assert kinds == [(SETTINGS, 0), (WINDOW_UPDATE, 0)]
    assert struct.pack("!HI", 2, 0) in opening


def test_a_call_is_one_header_block_and_its_messages() -> None:
    talk = Conversation("https", "shadow:1", "agent/1", ReadLimits())
    talk.receive(OPENING)
    talk.output()
    stream = talk.begin("/p.S/M", (b"a", b""), (("k", "v"), ("b-bin", b"\xff\x00")), 2 * SECOND)
    (kind, flags, head_stream, block), (_, ends, _, data) = frames(sent(talk))
    assert (kind, flags, head_stream) == (HEADERS, END_HEADERS, stream)
    assert fields_of(block) == [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", "/p.S/M"),
        (":authority", "shadow:1"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "agent/1"),
        ("grpc-accept-encoding", "identity, deflate, gzip"),
        ("grpc-timeout", "2000000u"),
        ("k", "v"),
        ("b-bin", "/wA"),
    ]
    assert (ends, data) == (END_STREAM, message(b"a") + message(b""))


@pytest.mark.parametrize(
    ("seconds", "text"), [(1e-9, "1u"), (99.0, "99000000u"), (100.0, "100000m"), (1e6, "1000000S")]
)
def test_a_timeout_has_at_most_eight_digits(seconds: float, text: str) -> None:
    talk = conversation()
    talk.begin("/p.S/M", (), (), int(seconds * SECOND))
    block = next(frames(sent(talk)))[3]
    assert dict(fields_of(block))["grpc-timeout"] == text


@pytest.mark.parametrize("name", ["", "Upper", "a b", "a:b", "ä"])
def test_metadata_that_cannot_be_sent_sends_nothing(name: str) -> None:
    talk = conversation()
    for field in ((name, "x"), ("k", "line\nbreak"), ("k", "ä")):
        with pytest.raises(ValueError, match="metadata"):
            talk.begin("/p.S/M", (), (field,), SECOND)
    assert not sent(talk)
    assert not talk.streams


def test_a_large_header_block_is_continued() -> None:
    talk = conversation()
    talk.begin("/p.S/M", (), (("k", "v" * 40_000),), SECOND)
    got = list(frames(sent(talk)))
    assert [kind for kind, *_ in got] == [HEADERS, CONTINUATION, CONTINUATION, DATA]
    assert [flags for _, flags, *_ in got] == [0, 0, END_HEADERS, END_STREAM]
    fields = fields_of(b"".join(p for *_, p in got[:3]))
    assert fields[-1] == ("k", "v" * 40_000)


@given(cuts=st.lists(st.integers(1, 200), max_size=50))
def test_an_answer_is_read_however_it_is_cut(cuts: list[int]) -> None:
    talk = conversation()
    encoder = hpack.Encoder()
    streams = [ask(talk, b"x") for _ in range(3)]
    data = b"".join(answer(stream, b"yes", encoder=encoder) for stream in streams)
    found = []
    for cut in [*cuts, len(data)]:
        found += talk.receive(data[:cut])
        data = data[cut:]
    assert found == [(stream, WHOLE) for stream in streams]
    assert not talk.streams


def test_trailers_alone_are_an_answer_without_messages() -> None:
    talk = conversation()
    block = hpack.Encoder().encode(
        [(":status", "200"), ("grpc-status", "5"), ("grpc-message", "no%21")]
    )
    assert talk.receive(frame(HEADERS, 5, ask(talk), block)) == [(1, Answer(5, "no!"))]


def test_an_answer_of_http_alone_becomes_the_status_that_clients_report() -> None:
    talk = conversation()
    block = hpack.Encoder().encode([(":status", "503")])
    ((_, told),) = talk.receive(
        frame(HEADERS, END_HEADERS, ask(talk), block) + frame(DATA, 1, 1, b"x")
    )
    assert (told.status, told.messages) == (14, ())


def test_interim_answers_are_stepped_over() -> None:
    talk = conversation()
    encoder = hpack.Encoder()
    interim = frame(HEADERS, END_HEADERS, ask(talk), encoder.encode([(":status", "103")]))
    assert talk.receive(interim + answer(1, b"yes", encoder=encoder)) == [(1, WHOLE)]


def test_a_message_that_is_cut_off_is_not_an_answer() -> None:
    talk = conversation()
    encoder = hpack.Encoder()
    head = frame(HEADERS, 4, ask(talk), encoder.encode(HEAD)) + frame(
        DATA, 0, 1, message(b"yes")[:6]
    )
    ((_, told),) = talk.receive(head + frame(HEADERS, 5, 1, encoder.encode(TRAILERS)))
    assert (told.status, told.messages) == (13, ())


def test_too_large_an_answer_is_refused_before_it_comes() -> None:
    talk = conversation(limits=ReadLimits(max_response_bytes=10))
    head = frame(HEADERS, 4, ask(talk), hpack.Encoder().encode(HEAD))
    ((_, told),) = talk.receive(head + frame(DATA, 0, 1, struct.pack("!BI", 0, 11)))
    assert (told.status, told.messages) == (8, ())
    assert sent(talk).endswith(frame(RST_STREAM, 0, 1, u32(8)))
    assert talk.receive(frame(DATA, 0, 1, b"late")) == []


def test_padding_and_priority_are_taken_off() -> None:
    talk = conversation()
    encoder = hpack.Encoder()
    ask(talk)
    head = b"\x02" + bytes(5) + encoder.encode(HEAD) + bytes(2)
    data = b"\x03" + message(b"yes") + bytes(3)
    told = talk.receive(
        frame(HEADERS, END_HEADERS | PADDED | 0x20, 1, head)
        + frame(DATA, PADDED, 1, data)
        + frame(HEADERS, 5, 1, encoder.encode(TRAILERS))
    )
    assert told == [(1, WHOLE)]


def test_a_request_waits_for_the_windows_and_goes_on_with_them() -> None:
    talk = conversation((4, 100), (5, 16_384))
    request = bytes(range(256)) * 2
    ask(talk, request)
    first = body(sent(talk))
    assert len(first) == 100
    talk.receive(frame(WINDOW_UPDATE, 0, 1, u32(50)))
    second = body(sent(talk))
    assert len(second) == 50
    talk.receive(settings((4, 1000)))
    rest = list(frames(sent(talk)))
    assert first + second + rest[-1][3] == message(request)
    assert rest[-1][1] == END_STREAM


def test_however_wide_the_windows_only_so_much_is_given_out_before_it_is_taken() -> None:
    talk = conversation((4, (1 << 31) - 1))
    talk.receive(frame(WINDOW_UPDATE, 0, 0, u32((1 << 31) - 1 - 65_535)))
    large = bytes(10 * BURST)
    first, second = ask(talk, large), ask(talk, large)
    out = sent(talk)
    assert len(body(out, first)) == BURST
    assert body(out, second) == b""
    assert sent(talk) == b""  # nobody has taken it yet
    assert talk.taken()
    assert len(body(sent(talk), first)) == BURST
    talk.cancel(first)  # the rest of it is nowhere any more
    sent(talk)
    got = b""
    while talk.taken():
        out = sent(talk)
        assert body(out, first) == b""
        got += body(out, second)
    assert got == message(large)


def test_the_connections_window_is_shared_and_no_frame_is_too_large() -> None:
    talk = conversation((4, 1 << 20))
    one, other = ask(talk, bytes(60_000)), ask(talk, bytes(60_000))
    out = sent(talk)
    assert (len(body(out, one)), len(body(out, other))) == (60_005, 5_530)
    assert max(len(payload) for *_, payload in frames(out)) == 16_384
    talk.receive(frame(WINDOW_UPDATE, 0, 0, u32(1 << 20)))
    assert len(body(sent(talk), other)) == 60_005 - 5_530


def test_what_came_is_told_so_that_more_may_come() -> None:
    talk = conversation()
    ask(talk)
    talk.receive(frame(HEADERS, 4, 1, hpack.Encoder().encode(HEAD)))
    chunk = frame(DATA, 0, 1, message(bytes(16_379)))
    told = []
    for _ in range(WINDOW // 2 // 16_384):
        talk.receive(chunk)
        told += [p for kind, _, stream, p in frames(sent(talk)) if (kind, stream) == (8, 0)]
    assert told == [u32(WINDOW // 2)]


def test_an_answer_before_the_request_is_out_stops_the_request() -> None:
    talk = conversation((4, 10))
    ask(talk, bytes(100))
    talk.output()
    assert talk.receive(answer(1, b"yes")) == [(1, WHOLE)]
    assert sent(talk) == frame(RST_STREAM, 0, 1, u32(0))
    talk.receive(frame(WINDOW_UPDATE, 0, 1, u32(1000)))
    assert not sent(talk)


def test_no_more_calls_than_the_server_allows() -> None:
    talk = Conversation("http", "shadow:1", "agent/1", ReadLimits())
    room = [talk.has_room]
    talk.receive(settings((3, 1)))
    room.append(talk.has_room)
    ask(talk)
    room.append(talk.has_room)
    talk.receive(answer(1, b"yes"))
    assert [*room, talk.has_room] == [False, True, False, True]
    assert talk.open_to_calls


def test_a_server_that_goes_away_answers_what_it_began() -> None:
    talk = conversation()
    ask(talk)
    ask(talk)
    ((stream, told),) = talk.receive(frame(GOAWAY, 0, 0, u32(1) + u32(0)))
    assert (stream, told.status) == (3, 14)
    assert not talk.open_to_calls
    assert talk.receive(answer(1, b"yes")) == [(1, WHOLE)]


@pytest.mark.parametrize(("code", "status"), [(7, 14), (8, 1), (2, 13), (11, 8)])
def test_a_reset_is_the_status_that_clients_report(code: int, status: int) -> None:
    talk = conversation()
    ((_, told),) = talk.receive(frame(RST_STREAM, 0, ask(talk), u32(code)))
    assert told.status == status


def test_a_cancelled_call_is_reset_and_its_answer_unread_but_decoded() -> None:
    talk = conversation()
    encoder = hpack.Encoder()
    talk.cancel(ask(talk))
    assert sent(talk).endswith(frame(RST_STREAM, 0, 1, u32(8)))
    ask(talk)
    assert talk.receive(answer(1, b"yes", encoder=encoder)) == []
    assert talk.receive(answer(3, b"yes", encoder=encoder)) == [(3, WHOLE)]


def test_a_ping_is_returned() -> None:
    talk = conversation()
    talk.receive(frame(PING, 0, 0, b"12345678") + frame(PING, ACK, 0, b"87654321"))
    assert sent(talk) == frame(PING, ACK, 0, b"12345678")


def test_a_lost_connection_ends_what_is_left() -> None:
    talk = conversation()
    ask(talk)
    assert talk.lost("gone") == [(1, Answer(14, "gone"))]
    assert not talk.open_to_calls


@pytest.mark.parametrize(
    "broken",
    [
        frame(PUSH_PROMISE, END_HEADERS, 1, u32(2)),
        frame(CONTINUATION, END_HEADERS, 1),
        frame(HEADERS, 0, 1, b"") + frame(DATA, 0, 1),
        frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff"),
        frame(DATA, PADDED, 1),
        frame(WINDOW_UPDATE, 0, 0, b"123"),
        frame(GOAWAY, 0, 0, b"123"),
        frame(SETTINGS, 0, 0, b"123"),
        frame(SETTINGS, 0, 0, struct.pack("!HI", 5, 1)),
        frame(SETTINGS, 0, 0, struct.pack("!HI", 4, 1 << 31)),
        frame(HEADERS, END_HEADERS, 1, b"\xff\xff"),
        (1 << 20).to_bytes(3, "big") + b"\0\0" + u32(1),
        frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1, bytes(16_000)) * 5,
    ],
)
def test_what_no_server_says_ends_the_connection(broken: bytes) -> None:
    talk = conversation()
    ask(talk)
    assert talk.receive(broken) == []
    assert talk.broken
    assert talk.receive(answer(1, b"yes")) == []


def test_what_was_answered_before_the_connection_broke_counts() -> None:
    talk = conversation()
    asked = ask(talk)
    assert talk.receive(answer(asked, b"yes") + frame(GOAWAY, 0, 0, b"123")) == [(asked, WHOLE)]
    assert talk.broken


@pytest.mark.parametrize("other", [b"HTTP/1.1 400 Bad Request\r\n", frame(SETTINGS, ACK, 0)])
def test_a_server_must_begin_with_settings(other: bytes) -> None:
    talk = Conversation("http", "shadow:1", "agent/1", ReadLimits())
    talk.receive(other)
    assert talk.broken


@given(data=st.binary(max_size=300), opened=st.booleans())
def test_any_bytes_end_calls_or_the_connection_and_nothing_else(data: bytes, opened: bool) -> None:
    talk = conversation() if opened else Conversation("http", "s:1", "a", ReadLimits())
    asked = [ask(talk, b"x") for _ in range(3)] if opened else []
    ended = talk.receive(data) + talk.lost("gone")
    assert sorted(stream for stream, _ in ended) == asked


kinds = st.sampled_from([DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, 9, 77])
noise = st.builds(
    frame, kinds, st.integers(0, 255), st.sampled_from([0, 1, 3, 5, 7]), st.binary(max_size=40)
)


@given(said=st.lists(noise, max_size=12))
def test_any_frames_end_each_call_once(said: list[bytes]) -> None:
    talk = conversation()
    asked = [ask(talk, b"x" * 100) for _ in range(3)]
    ended = [told for one in said for told in talk.receive(one)]
    ended += talk.lost("gone")
    assert sorted(stream for stream, _ in ended) == asked


def test_answers_of_all_calls_share_a_budget_and_are_counted_as_they_grow() -> None:
    budget = Budget(100_000)
    talk = Conversation("http", "s:1", "a", ReadLimits(), budget=budget)
    talk.receive(OPENING)
    bomb = gzip.compress(bytes(30_000))
    head = hpack.Encoder().encode([*HEAD, ("grpc-encoding", "gzip")])
    whole = struct.pack("!BI", 1, len(bomb)) + bomb
    ended: dict[int, SkipReason | None] = {}
    for _ in range(32):
        stream = ask(talk, b"x")
        said = frame(HEADERS, END_HEADERS, stream, head) + frame(DATA, 0, stream, whole)
        ended |= {s: answer.skip for s, answer in talk.receive(said)}
        assert budget.held == talk.held <= 100_000
    assert ended == dict.fromkeys(range(7, 65, 2), SkipReason.PAIRS_FULL)
    assert len(talk.streams) == 3
    talk.lost("gone")
    assert budget.held == 0


def test_an_answer_that_grows_plainly_gives_way_too() -> None:
    budget = Budget(10_000)
    talk = Conversation("http", "s:1", "a", ReadLimits(), budget=budget)
    talk.receive(OPENING)
    stream = ask(talk, b"x")
    told = talk.receive(frame(HEADERS, END_HEADERS, stream, fields_block()))
    for _ in range(20):
        told += talk.receive(frame(DATA, 0, stream, message(bytes(1_000))))
    assert [answer.skip for _, answer in told] == [SkipReason.PAIRS_FULL]
    assert budget.held == 0


def fields_block() -> bytes:
    return hpack.Encoder().encode(HEAD)


def test_a_server_gets_window_for_no_more_bytes_a_second_than_its_budget() -> None:
    rate, step_ns = 4 * WINDOW, 10_000_000
    talk = Conversation("http", "shadow:1", "agent/1", ReadLimits(), rate=rate)
    talk.receive(settings())
    talk.output()
    window, taken, now = WINDOW, 0, step_ns
    piece = frame(DATA, 0, 1, bytes(16_000))  # of a stream that nobody waits for: it counts, too
    for _ in range(1000):  # ten seconds of a server that sends all that it may
        now += step_ns
        while window >= 16_000:
            window -= 16_000
            taken += 16_000
            talk.receive(piece, now)
        talk.let_send(now)
        for kind, _, _, payload in frames(sent(talk)):
            if kind == WINDOW_UPDATE:
                window += int.from_bytes(payload, "big")
    assert 0.8 * rate * 10 < taken < rate * 10 + 2 * WINDOW


def test_without_a_budget_nothing_is_withheld() -> None:
    talk = conversation()
    for _ in range(100):
        talk.receive(frame(DATA, 0, 1, bytes(16_000)), 1)
        assert talk.let_send(1) == 0
