"""Arbitrary bytes, arbitrarily cut, through the frame walk."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from sidecar.wire.frames import Walker
from sidecar.wire.records import HEADER, Kind
from sidecar.wire.state import State
from sidecar.wire.stats import Tally
from tests.wire.harness import frame
from tests.wire.walks import (
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    OPENINGS,
    PUSH_PROMISE,
    ROOM,
    RST_STREAM,
    SETTINGS,
    Told,
    joined,
    oracle,
    sampler,
)

Run = tuple[int, bytes]

frames = st.builds(
    frame,
    st.one_of(st.sampled_from([DATA, DATA, HEADERS, HEADERS, RST_STREAM]), st.integers(0, 255)),
    st.sampled_from([0, 1, 4, 5, 0x25]),
    st.integers(0, 7),
    st.binary(max_size=40),
)
runs = st.lists(
    st.tuples(st.integers(0, 1), st.one_of(frames, frames, frames, st.binary(max_size=30))),
    max_size=30,
)
seeds = st.integers(0, 2**32)


def draws(seed: int) -> Callable[[], bool]:
    draw = random.Random(seed)
    return lambda: draw.random() < 0.5


def cut(runs: list[Run], seed: int) -> list[Run]:
    draw = random.Random(seed)
    pieces = []
    for direction, data in runs:
        pos = 0
        while pos < len(data):
            size = draw.choice((1, 2, 8, 9, 10, 50, len(data)))
            pieces.append((direction, data[pos : pos + size]))
            pos += size
    return pieces


def walk(walker: Walker, pieces: list[Run]) -> list[Told]:
    told: list[Told] = []
    for direction, data in pieces:
        for kind, payload in walker.feed(direction, memoryview(data), ROOM, ROOM):
            about = kind in (Kind.UNSAMPLED, Kind.BLIND)
            told.append(
                (kind, 0 if about else direction, b"" if kind is Kind.OPAQUE else bytes(payload))
            )
    return told


@given(runs=runs, opened=st.booleans(), cuts=seeds, seed=seeds)
def test_what_is_copied_is_what_the_slow_walk_copies(
    runs: list[Run], opened: bool, cuts: int, seed: int
) -> None:
    runs = [*OPENINGS, *runs] if opened else runs
    walker = Walker(sampler(draws(seed)), Tally())
    expected = [told for told in oracle(runs, draws(seed)) if told[2] or told[0] is Kind.OPAQUE]
    assert joined(walk(walker, cut(runs, cuts))) == joined(expected)
    opaque = any(kind is Kind.OPAQUE for kind, _, _ in expected)
    assert (walker.state is State.OPAQUE) == opaque


@given(runs=runs, cuts=seeds, follow=st.booleans())
def test_the_short_way_for_connections_that_are_copied_whole_copies_the_same(
    runs: list[Run], cuts: int, follow: bool
) -> None:
    pieces = cut([*OPENINGS, *runs], cuts)
    long = Walker(sampler(), Tally(), follow_server=follow)
    short = Walker(sampler(everything=True), Tally(), follow_server=follow)
    for piece in pieces:
        assert walk(short, [piece]) == walk(long, [piece])
        assert short.at_boundary == long.at_boundary


@given(runs=runs, cuts=seeds, seed=seeds, rooms=seeds)
def test_a_tap_without_room_loses_data_or_sync_and_never_part_of_a_header_block(
    runs: list[Run], cuts: int, seed: int, rooms: int
) -> None:
    pieces = cut([*OPENINGS, *runs], cuts)
    draw = random.Random(rooms)
    drawn = sampler(draws(seed))
    walker = Walker(drawn, Tally())
    shown: dict[int, bytes] = {0: b"", 1: b""}
    fed: dict[int, bytes] = {0: b"", 1: b""}
    for direction, data in pieces:
        room = draw.choice((40, 200, 400, 1000))
        drawn.everything = draw.random() < 0.5
        told = walker.feed(direction, data, room, room // 2)
        if told and told[0][0] is Kind.BLIND:
            assert len(told) == 1
            break
        fed[direction] += data
        assert sum(HEADER.size + len(payload) for _, payload in told) <= room
        for kind, payload in told:
            if kind is Kind.BYTES:
                shown[direction] += payload
            elif kind is Kind.GAP:
                shown[direction] += bytes(int.from_bytes(payload, "big"))
    for direction in (0, 1):
        assert blocks(shown[direction], direction) == blocks(fed[direction], direction)


def blocks(data: bytes, direction: int) -> list[bytes]:
    """The frames that are always copied; of the last one what there is."""
    pos = 0 if direction else len(OPENINGS[0][1]) - 9
    found = []
    while len(data) - pos >= 9:
        size = int.from_bytes(data[pos : pos + 3], "big")
        if data[pos + 3] in (HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, GOAWAY, CONTINUATION):
            found.append(data[pos : pos + 9 + size])
        pos += 9 + size
    return found


@given(runs=runs, opened=st.booleans(), cuts=seeds, follow=st.booleans())
def test_a_blind_walk_counts_the_calls_that_an_observed_one_sees(
    runs: list[Run], opened: bool, cuts: int, follow: bool
) -> None:
    runs = [*OPENINGS, *runs] if opened else runs
    if not follow:
        runs = [run for run in runs if run[0] == 0]
    seen, tally = Tally(), Tally()
    walk(Walker(sampler(), seen), runs)
    blind = Walker(sampler(), tally, observed=False, follow_server=follow)
    for kind, _, _ in walk(blind, cut(runs, cuts)):
        assert kind is Kind.OPAQUE
    assert (tally.calls, tally.blind_calls) == (0, seen.calls)


@given(runs=runs, cuts=seeds, at=st.integers(0, 100))
def test_going_blind_anywhere_keeps_the_count_and_the_frame_boundaries(
    runs: list[Run], cuts: int, at: int
) -> None:
    pieces = cut([*OPENINGS, *runs], cuts)
    tally, whole = Tally(), Tally()
    changing = Walker(sampler(), tally, follow_server=True)
    blind = Walker(sampler(), whole, observed=False, follow_server=True)
    for number, (direction, data) in enumerate(pieces):
        if number == at:
            changing.blind()
        changing.feed(direction, data, ROOM, ROOM)
        blind.feed(direction, data, ROOM, ROOM)
        assert changing.at_boundary == blind.at_boundary
    assert tally.calls + tally.blind_calls == whole.blind_calls
