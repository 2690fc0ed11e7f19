"""What is remembered of streams is what a plain map would remember."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.wire.header import COMPILED
from sidecar.wire.left_out import LOST, RECENT, SHOWN, UNSAMPLED, LeftOut

steps = st.lists(
    st.tuples(
        st.sampled_from(["unsampled", "unsampled", "unsampled", "lost", "forget", "clear"]),
        st.one_of(st.integers(0, 8), st.sampled_from([2 * RECENT - 1, 2 * RECENT, 1000, 10**6])),
        st.integers(0, 3 * RECENT),
    ),
    max_size=200,
)


@settings(deadline=None)
@given(steps)
def test_it_is_a_map_from_streams_to_reasons(steps: list[tuple[str, int, int]]) -> None:
    it, plain = LeftOut(), dict[int, int]()
    newest = 0
    for what, further, back in steps:
        stream = max(0, newest - back)
        if what == "unsampled":
            newest += max(1, further)
            it.unsampled(newest)
            plain[newest] = UNSAMPLED
        elif what == "lost" and plain.get(stream) is None:
            it.lost(stream)
            plain[stream] = LOST
        elif what == "forget":
            it.forget(stream)
            plain.pop(stream, None)
        elif what == "clear":
            it.clear()
            plain.clear()
        assert it.none == (not plain)
        for asked in {*plain, stream, newest + 2}:
            assert it.why(asked) == plain.get(asked, SHOWN)
    assert it.size <= len(plain)


def test_streams_that_end_in_any_order_near_the_newest_cost_no_memory() -> None:
    it, dice = LeftOut(), random.Random(1)
    under_way: list[int] = []
    for stream in range(1, 20_001, 2):
        it.unsampled(stream)
        under_way.append(stream)
        if len(under_way) == RECENT // 2:
            it.forget(under_way.pop(dice.randrange(4)))
        assert it.size <= (4 if COMPILED else RECENT // 2)


@pytest.mark.parametrize("stream", [2**31 - 1, 2**31 - 2])
def test_the_last_streams_there_can_be_are_remembered_too(stream: int) -> None:
    it = LeftOut()
    it.unsampled(1)
    it.unsampled(stream)
    assert [it.why(each) for each in (1, stream, stream - 2)] == [UNSAMPLED, UNSAMPLED, SHOWN]
