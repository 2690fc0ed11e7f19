"""Conversations of real peers: whole, byte by byte and cut anywhere, they say the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.call import Answered, CallKey, Direction, Event, Lost, Requested, SkipReason, Started
from sidecar.observe.connection import Connection
from tests.observe.conversations import Conversation, cut, load, names


def read(conversation: Sequence[tuple[Direction, bytes | memoryview]]) -> list[Event]:
    """Every call as it began, then every other event."""
    begun: list[Event] = []
    events: list[Event] = []

    def wants(started: Started) -> bool:
        begun.append(started)
        return True

    connection = Connection(1, "127.0.0.1:5", wants)
    for direction, chunk in conversation:
        events += connection.feed(direction, chunk, 0)
    assert connection.state == "open", connection.why
    events += connection.close(Direction.CLIENT, "eof", 0)
    assert connection.buffered_bytes == 0
    return begun + events


def joined(conversation: Conversation) -> Conversation:
    """With neighbouring chunks of one direction as one."""
    whole: Conversation = []
    for direction, chunk in conversation:
        if whole and whole[-1][0] == direction:
            whole[-1] = (direction, whole[-1][1] + chunk)
        else:
            whole.append((direction, chunk))
    return whole


def outcomes(name: str) -> list[tuple[str, tuple[bytes, ...], int | SkipReason, tuple[bytes, ...]]]:
    """For each call: method, request messages, status or reason, response messages."""
    events = read(load(name))
    methods = {e.key: e.method.removeprefix("/test.Echo/") for e in events if type(e) is Started}
    requests = {e.key: e.messages for e in events if type(e) is Requested}
    ends: dict[CallKey, tuple[int | SkipReason, tuple[bytes, ...]]] = {}
    for event in events:
        if isinstance(event, Answered):
            ends[event.key] = event.observation.status, event.observation.messages
        elif isinstance(event, Lost):
            ends[event.key] = event.reason, ()
    assert methods.keys() == ends.keys()
    return [(methods[key], requests.get(key, ()), *ends[key]) for key in methods]


@pytest.mark.parametrize("name", names())
def test_the_way_it_is_cut_makes_no_difference(name: str) -> None:
    conversation = load(name)
    events = read(conversation)
    assert read(joined(conversation)) == events
    assert read(cut(conversation, [1])) == events
    assert read([(direction, memoryview(chunk)) for direction, chunk in conversation]) == events


@pytest.mark.parametrize("name", names())
@given(sizes=st.lists(st.integers(1, 80) | st.integers(1, 20_000), min_size=1, max_size=9))
@settings(max_examples=15, derandomize=True)
def test_random_cuts_make_no_difference(name: str, sizes: list[int]) -> None:
    conversation = load(name)
    if max(sizes) < 200:
        sizes = [*sizes, 5000]
    assert read(cut(conversation, sizes)) == read(conversation)


def test_unary() -> None:
    calls = outcomes("grpcio-unary")
    assert calls[:5] == [
        ("Unary", (b"hello %d" % number,), 0, (b"hello %d" % number,)) for number in range(5)
    ]
    assert calls[5:] == [("Unary", (b"",), 0, (b"",))]


def test_metadata_and_timeout() -> None:
    events = read(load("grpcio-unary"))
    started = [event for event in events if isinstance(event, Started)][2]
    assert started.timeout_ns is not None
    assert 29_000_000_000 < started.timeout_ns <= 31_000_000_000
    assert started.is_grpc
    assert started.sampled
    metadata = dict(started.metadata)
    assert metadata["traceparent"] == f"00-{2:032x}-00f067aa0ba902b7-01"
    assert metadata["x-key"] == "same"
    assert metadata["x-raw-bin"] == "AAH/"  # grpcio sent the bytes themselves
    assert not any(name.startswith(":") for name in metadata)
    answer = next(event for event in events if isinstance(event, Answered)).observation
    assert dict(answer.headers)["x-begin-bin"] == "AP8"
    assert dict(answer.trailers)["x-end-bin"] == "/gA"


def test_streaming() -> None:
    large = b"y" * 40_000
    assert outcomes("grpcio-streaming") == [
        ("Split", (b"abc",), 0, (b"aaa", b"bbb", b"ccc")),
        ("Split", (b"",), 0, ()),
        ("Join", (b"x", b"", large), 0, (b"x++" + large,)),
        ("Join", (), 0, (b"",)),
        ("Chat", (b"1", b"2"), 0, (b"re: 1", b"re: 2")),
    ]


@pytest.mark.parametrize("name", ["grpcio-gzip", "grpcio-deflate"])
def test_compression(name: str) -> None:
    text = b"again and " * 500
    assert outcomes(name) == [
        ("Unary", (text,), 0, (text,)),
        (
            "Chat",
            (b"a" * 1000, b"b" * 1000),
            0,
            (b"re: " + b"a" * 1000, b"re: " + b"b" * 1000),
        ),
    ]


def test_failing() -> None:
    assert outcomes("grpcio-failing") == [
        ("Fail", (b"it",), 5, ()),
        ("NoSuchMethod", (b"it",), 12, ()),
        ("SplitThenFail", (b"ab",), 15, (b"aaa", b"bbb")),
    ]
    events = read(load("grpcio-failing"))
    details = [event.observation.detail for event in events if isinstance(event, Answered)]
    assert details == ["100% of “it” is missing\n", "Method not found!", "the rest is lost"]


def test_cancelled() -> None:
    assert outcomes("grpcio-cancelled") == [
        ("Hang", (b"wait",), SkipReason.CANCELLED, ()),
        ("Chat", (), SkipReason.CANCELLED, ()),
        ("Unary", (b"after",), 0, (b"after",)),
    ]


def test_deadline_exceeded() -> None:
    assert outcomes("grpcio-deadline") == [
        ("Hang", (b"wait",), SkipReason.CANCELLED, ()),
        ("Unary", (b"after",), 0, (b"after",)),
    ]


def test_sixty_calls_at_once() -> None:
    calls = outcomes("grpcio-concurrent")
    assert sorted(calls) == sorted(
        ("Unary", (b"%d" % n * 50,), 0, (b"%d" % n * 50,)) for n in range(60)
    )


def test_metadata_in_continuations() -> None:
    events = read(load("grpcio-big-metadata"))
    first, second = (dict(event.metadata) for event in events if isinstance(event, Started))
    assert [first[f"x-{n}"] for n in range(5)] == [chr(97 + n) * 9_000 for n in range(5)]
    assert second["x-0"] == first["x-0"]
    assert [call[2:] for call in outcomes("grpcio-big-metadata")] == [(0, (b"x",)), (0, (b"y",))]


def test_a_large_message() -> None:
    text = b"0123456789abcdef" * 20_000
    assert outcomes("grpcio-large") == [("Unary", (text,), 0, (text,))]


def test_an_answer_before_the_request_was_complete() -> None:
    assert outcomes("grpcio-early-answer") == [("Early", (), SkipReason.INCOMPLETE, ())]


def test_a_server_that_stops() -> None:
    assert sorted(outcomes("grpcio-server-stops")) == [
        ("Hang", (b"wait",), 14, ()),
        ("Unary", (b"x",), 0, (b"x",)),
    ]


def test_h2load_with_nghttpd() -> None:
    assert outcomes("h2load-nghttpd") == [("Unary", (b"t" * 20,), 0, (b"t" * 20,))] * 24
