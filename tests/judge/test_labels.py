from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.judge.labels import Fate, Label, LabelSettings, LabelStore
from tests.judge.pairs import SECOND

DECLARED = LabelSettings(pairs=3, early=2, max_age_seconds=10)


def store() -> LabelStore[str]:
    return LabelStore(DECLARED)


def test_a_label_joins_its_pair_whichever_comes_first() -> None:
    labels = store()
    assert labels.pair("a", "pair a", 1, 0) is None
    assert labels.label(Label("a", 1), 1) == "pair a"
    assert labels.label(Label("b", 2), 2) is None
    assert labels.pair("b", "pair b", 1, 3) == Label("b", 2)
    assert labels.fates == {Fate.JOINED: 2, Fate.EARLY: 1}


def test_a_second_label_after_the_join_is_a_duplicate() -> None:
    labels = store()
    labels.pair("a", "pair a", 1, 0)
    labels.label(Label("a", 1), 1)
    assert labels.label(Label("a", 0), 2) is None
    assert labels.fates == {Fate.JOINED: 1, Fate.DUPLICATE: 1, Fate.CONTRADICTED: 1}


def test_before_the_join_the_last_write_wins() -> None:
    labels = store()
    labels.label(Label("a", 1, time_ns=5), 0)
    labels.label(Label("a", 2, time_ns=7), 1)
    labels.label(Label("a", 3, time_ns=6), 2)
    assert labels.pair("a", "pair a", 1, 3) == Label("a", 2, time_ns=7)


def test_a_label_whose_pair_had_to_go_is_late() -> None:
    labels = store()
    for name in "abcd":
        labels.pair(name, name, 1, 0)
    assert labels.label(Label("a", 1), 1) is None
    assert labels.label(Label("d", 1), 11 * SECOND) is None
    assert labels.fates == {Fate.LATE: 2}
    assert len(labels) == 0


def test_a_label_without_a_pair_is_unmatched_when_its_room_or_time_is_up() -> None:
    labels = store()
    for i in range(3):
        labels.label(Label(f"{i}", 1), 0)
    assert labels.fates == {Fate.EARLY: 3, Fate.UNMATCHED: 1}
    labels.pair("x", "x", 1, 11 * SECOND)
    assert labels.fates[Fate.UNMATCHED] == 3


def test_wanted_are_those_that_would_tell_most() -> None:
    labels = store()
    for name, interest in (("dull", 0.0), ("some", 1.0), ("most", 3.0)):
        labels.pair(name, name, interest, 0)
    assert labels.wanted(5) == ["most", "some"]
    assert labels.wanted(1) == ["most"]
    labels.label(Label("most", 1), 1)
    assert labels.wanted(5) == ["some"]


@pytest.mark.parametrize("weight", [0, -1, 1.5, float("nan")])
def test_a_weight_is_a_share(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        Label("a", 1, weight=weight)


EVENTS = st.lists(
    st.tuples(st.booleans(), st.sampled_from("abcdefg"), st.integers(0, 4 * SECOND)), max_size=60
)


@given(EVENTS)
def test_every_label_has_one_fate_and_no_pair_is_joined_twice(
    events: list[tuple[bool, str, int]],
) -> None:
    labels, now, given_labels, joined = store(), 0, 0, []
    for is_label, name, step in events:
        now += step
        if is_label:
            given_labels += 1
            if labels.label(Label(name, given_labels, time_ns=given_labels), now):
                joined.append(name)
        elif labels.pair(name, name, 1, now):
            joined.append(name)
        assert len(labels) <= DECLARED.pairs
    fates = {fate: labels.fates.get(fate, 0) for fate in Fate}
    assert fates[Fate.JOINED] == len(joined)
    # Early labels are joined or unmatched in the end, or wait, or were overwritten.
    ends = fates[Fate.JOINED] + fates[Fate.LATE] + fates[Fate.DUPLICATE]
    assert ends <= given_labels
    assert fates[Fate.UNMATCHED] <= fates[Fate.EARLY]


def test_any_numpy_scalar_is_a_label() -> None:
    labels = store()
    labels.pair("a", "a", 1, 0)
    assert labels.label(Label("a", int(np.int64(3))), 0) == "a"


def test_a_label_that_contradicts_the_one_that_was_counted_is_told() -> None:
    labels = store()
    labels.pair("a", "a", 1, 0)
    labels.label(Label("a", 1), 1)
    labels.label(Label("a", 1), 2)
    labels.label(Label("a", 0, time_ns=5), 3)
    assert labels.fates == {Fate.JOINED: 1, Fate.DUPLICATE: 2, Fate.CONTRADICTED: 1}
    assert labels.contradicts(Label("a", 0))
    labels.label(Label("a", 0), 4)  # the same correction, told again
    assert labels.fates[Fate.CONTRADICTED] == 1


def test_a_number_that_no_float_can_hold_is_a_label_like_any() -> None:
    labels = store()
    labels.pair("a", "a", 1, 0)
    labels.label(Label("a", 10**400), 1)
    labels.label(Label("a", [10**400 + 1]), 2)
    assert labels.fates == {Fate.JOINED: 1, Fate.DUPLICATE: 1, Fate.CONTRADICTED: 1}


@pytest.mark.parametrize("again", [1, True, "1", "1.0"])
def test_the_same_number_written_otherwise_contradicts_nothing(again: Any) -> None:
    labels = store()
    labels.pair("a", "a", 1, 0)
    labels.label(Label("a", 1.0), 1)
    labels.label(Label("a", again), 2)
    assert labels.fates == {Fate.JOINED: 1, Fate.DUPLICATE: 1}
