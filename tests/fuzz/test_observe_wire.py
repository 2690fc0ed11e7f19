"""The wire's walk and the reader agree: what is left out is lost, what is answered is true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.call import Answered, CallKey, Direction, Event, Lost, Started
from sidecar.observe.connection import Connection
from sidecar.observe.tap import Record, TapReader
from sidecar.wire.frames import Walker
from sidecar.wire.records import VERSION, Kind, record
from sidecar.wire.stats import Tally
from tests.observe.conversations import Conversation, cut, load, names
from tests.wire.walks import sampler

PLENTY = 1 << 30
SMALL = [name for name in names() if name != "grpcio-large"]


def tapped(
    conversation: Conversation,
    sample: Callable[[], bool],
    rooms: list[int],
    *,
    everything: bool = False,
) -> bytes:
    """What the wire would tell of a conversation, DATA having so much room in the tap."""
    walker = Walker(sampler(sample, everything=everything), Tally())
    told = [record(Kind.HELLO, 0, 0, 0, b'{"version": %d}' % VERSION)]
    for number, (direction, chunk) in enumerate(conversation):
        room = rooms[number % len(rooms)]
        for kind, payload in walker.feed(direction, chunk, PLENTY, room):
            told.append(record(kind, direction, 1, 0, bytes(payload)))
    return b"".join(told)


def read(tap: bytes) -> tuple[set[CallKey], list[Event]]:
    """The sampled calls, and the events of all of them."""
    sampled: set[CallKey] = set()

    def wants(started: Started) -> bool:
        if started.sampled:
            sampled.add(started.key)
        return started.sampled

    connection = Connection(1, "127.0.0.1:5", wants)
    events: list[Event] = []
    records: list[Record] = []
    TapReader().feed(tap, records)
    for said in records:
        if said.kind == Kind.BYTES:
            events += connection.feed(said.direction, said.payload, 0)
        elif said.kind == Kind.GAP:
            events += connection.gap(said.direction, said.number, 0)
        elif said.kind == Kind.UNSAMPLED:
            events += connection.unsampled(said.numbers)
        else:
            assert said.kind == Kind.HELLO
    assert connection.state == "open", connection.why
    return sampled, events + connection.close(Direction.CLIENT, "eof", 0)


@pytest.mark.parametrize("everything", [True, False], ids=["known", "drawn"])
@pytest.mark.parametrize("name", names())
def test_with_room_nothing_is_lost_on_the_way(name: str, everything: bool) -> None:
    conversation = load(name)
    connection = Connection(1, "127.0.0.1:5", lambda started: True)
    events = [e for direction, chunk in conversation for e in connection.feed(direction, chunk, 0)]
    events += connection.close(Direction.CLIENT, "eof", 0)
    tap = tapped(conversation, lambda: True, [PLENTY], everything=everything)
    assert read(tap)[1] == events


@given(
    name=st.sampled_from(SMALL),
    sizes=st.lists(st.sampled_from([20_000, 3_000, 300, 40]), min_size=1, max_size=5),
    rooms=st.lists(st.sampled_from([PLENTY, 200, 60]), min_size=1, max_size=9),
    draws=st.lists(st.booleans(), min_size=1, max_size=9),
)
@settings(max_examples=200)
def test_gaps_and_sampling_lose_calls_but_never_change_one(
    name: str, sizes: list[int], rooms: list[int], draws: list[bool]
) -> None:
    conversation = load(name)
    drawn = 0

    def sample() -> bool:
        nonlocal drawn
        drawn += 1
        return draws[drawn % len(draws)]

    sampled, events = read(tapped(cut(conversation, sizes), sample, rooms))
    ends = Counter(event.key for event in events if isinstance(event, Answered | Lost))
    assert ends == Counter(sampled)
    truth = {event.key: event for event in read(tapped(conversation, lambda: True, [PLENTY]))[1]}
    assert all(truth[event.key] == event for event in events if isinstance(event, Answered))
