from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from sidecar.judge.counts import CellKey
from sidecar.judge.examples import Examples, rank_of
from sidecar.judge.worst import (
    Example,
    merge_sample,
    merge_worst,
    note_of,
)
from tests.judge.pairs import pair

KEY = CellKey("c", "")


def example(i: int, magnitude: float) -> Example:
    note = note_of(pair(i), i)
    return Example(magnitude, rank_of(note.identity), note)


examples = st.lists(
    st.tuples(st.integers(0, 30), st.floats(-1, 1)), max_size=60, unique_by=lambda e: e[0]
).map(lambda es: [example(*e) for e in es])


def kept(found: list[Example], worst: int = 3, sample: int = 4) -> Examples:
    box = Examples(worst, sample)
    for e in found:
        if box.wants(KEY, e.magnitude, e.rank):
            box.add(KEY, e)
    return box


@given(examples)
def test_the_worst_are_those_of_sorting_all(found: list[Example]) -> None:
    bad = [e for e in found if e.magnitude > 0]
    expected = sorted(bad, key=lambda e: (e.magnitude, e.rank), reverse=True)[:3]
    assert [e.magnitude for e in kept(found).worst(KEY)] == [e.magnitude for e in expected]


@given(examples, st.randoms())
def test_the_sample_does_not_depend_on_the_order(found: list[Example], random: Random) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    expected = sorted(found, key=lambda e: e.rank)[:4]
    assert kept(found).sample(KEY) == kept(shuffled).sample(KEY) == expected


@given(examples, examples, examples)
def test_pods_merge_in_any_order_and_twice(
    a: list[Example], b: list[Example], c: list[Example]
) -> None:
    for merge in (merge_worst, merge_sample):
        once = merge([a, b, c], 5)
        assert once == merge([c, a, b], 5) == merge([a, b, c, b], 5)
        assert once == merge([merge([a, b], 40), c], 5)


@given(examples)
def test_merged_samples_of_two_pods_are_the_sample_of_both(found: list[Example]) -> None:
    halves = [kept(found[::2]).sample(KEY), kept(found[1::2]).sample(KEY)]
    assert merge_sample(halves, 4) == kept(found).sample(KEY)


def test_a_size_of_zero_keeps_nothing() -> None:
    box = kept([example(i, 1.0) for i in range(5)], worst=0, sample=0)
    assert box.worst(KEY) == box.sample(KEY) == []


def test_a_slice_that_is_gone_is_forgotten() -> None:
    box = Examples(2, 2)
    box.add(CellKey("c", "s=1"), example(1, 1.0))
    box.add(CellKey("c", ""), example(1, 1.0))
    box.drop("s=1")
    assert box.worst(CellKey("c", "s=1")) == box.sample(CellKey("c", "s=1")) == []
    assert len(box.worst(CellKey("c", ""))) == 1


def test_a_note_has_no_payload_values() -> None:
    note = note_of(pair(1, differs=True, values={"score": (0.123456789, 0.987654321)}), 5)
    text = repr(note)
    assert "0.123456789" not in text
    assert "0.987654321" not in text
    assert note.outputs == (("score", "value", 1.0),)
