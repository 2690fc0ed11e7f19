from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.judge.evidence.mixtures import Side, discoveries, rate_evidence, threshold
from sidecar.judge.judge import Judge
from sidecar.judge.pair import Value
from sidecar.judge.settings import SliceSettings
from sidecar.judge.slices import NONE, OTHER, Slices, SpaceSaving, named, predicted, slices_of
from tests.judge.pairs import MS, judged, pair, required, settings
from tests.judge.streams import bound

BY_USER = SliceSettings(source="metadata:user")


@given(st.lists(st.sampled_from("abcdefgh"), max_size=200), st.integers(1, 6))
def test_space_saving_is_bounded_and_keeps_what_is_frequent(values: list[str], room: int) -> None:
    kept = SpaceSaving(room)
    for value in values:
        kept.see(value, lambda _: False)
    assert len(kept.counts) <= room
    assert sum(kept.counts.values()) == len(values)
    for value in set(values):
        times = values.count(value)
        if times > len(values) / room:
            assert value in kept.counts
        assert kept.counts.get(value, times) >= times


def test_a_slice_counts_from_the_call_after_its_discovery() -> None:
    slices = Slices(settings(slices=(BY_USER,)))
    first, _ = slices.see([("user", "x")])
    second, _ = slices.see([("user", "x")])
    assert [p.full for p in first] == [f"user={OTHER}"]
    assert [p.full for p in second] == ["user=x"]


def test_names_that_were_not_declared_are_passed_over() -> None:
    assert Slices(settings(slices=(BY_USER,))).see([("other", "x")]) == ([], [])


def test_what_a_slice_counted_stays_with_the_others_when_it_has_to_go() -> None:
    judge = Judge(settings(required("disagreement", 0.1), slices=(BY_USER,), max_slices=2), "a", 0)
    for i in range(600):
        judge.observe(pair(i, slices=(("user", f"u{i % 7}" if i % 2 else "big"),)), i * MS)
    verdict = judged(judge, 600)
    counts = {s.slice: s.n for s in verdict.slices}
    assert sum(counts.values()) == 600
    assert counts["user=big"] >= 295
    assert len(counts) <= 3


def test_a_place_settles_with_the_others_once_its_slice_was_dropped_even_if_it_came_back() -> None:
    slices = Slices(settings(slices=(BY_USER,), max_slices=1))
    slices.see([("user", "x")])
    place, _ = slices.see([("user", "x")])
    assert [p.full for p in slices.settle(place)] == ["user=x"]
    _, gone = slices.see([("user", "y")])
    assert gone == ["user=x"]
    slices.see([("user", "x")])
    assert [p.full for p in slices.settle(place)] == [f"user={OTHER}"]


def test_a_call_is_placed_by_method_model_metadata_field_and_predicted_class() -> None:
    declared = (
        SliceSettings(source="method"),
        SliceSettings(source="model"),
        BY_USER,
        SliceSettings(source="metadata:absent"),
        SliceSettings(source="field:age", bins=(18, 65)),
        SliceSettings(source="field:features[1]", name="second"),
        SliceSettings(source="class:probabilities", name="predicted"),
    )
    found = slices_of(
        declared,
        method="/s/M",
        model="fraud",
        metadata=(("user", "u1"),),
        fields={"age": np.array([40.0]), "features": np.array([[1.5, 2.0]])},
        values={"probabilities": (np.array([[0.1, 0.9]]), None)},
    )
    assert found == (
        ("method", "/s/M"),
        ("model", "fraud"),
        ("user", "u1"),
        ("absent", NONE),
        ("age", "18 to 65"),
        ("second", "2"),
        ("predicted", "1"),
    )


@pytest.mark.parametrize(
    ("value", "bins", "expected"),
    [
        (17.9, (18, 65), "below 18"),
        (18, (18, 65), "18 to 65"),
        (65, (18, 65), "from 65"),
        ("x", (18,), NONE),
        (float("nan"), (18,), NONE),
        (3.0, None, "3"),
        (None, None, NONE),
        (np.array([1, 2]), None, NONE),
        ("y" * 100, None, "y" * 64),
    ],
)
def test_values_become_text(
    value: Value | None, bins: tuple[float, ...] | None, expected: str
) -> None:
    assert named(value, bins) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([b"cat"], dtype=object), "cat"),
        (np.array([[7]]), 7),
        (np.array([0.2, 0.5, 0.3]), 1),
        (np.array([[0.2, 0.8], [0.6, 0.4]]), None),
        (None, None),
        ("dog", "dog"),
    ],
)
def test_the_predicted_class_is_itself_or_the_largest(
    value: Value | None, expected: Value | None
) -> None:
    assert predicted(value) == expected


def test_fifty_healthy_slices_are_hardly_ever_flagged_and_a_sick_one_is_found_alone() -> None:
    rng = np.random.default_rng(21)
    runs, slices, calls, rate, alpha = 100, 50, 1000, 0.01, 0.025
    healthy_flagged, found = 0, []
    for _ in range(runs):
        rates = np.full(slices, rate)
        k = np.cumsum(rng.random((slices, calls)) < rates[:, None], axis=1)
        # Highest evidence over all looks, which is more than any report sees at once.
        logs = rate_evidence(np.arange(1, calls + 1), k, rate, Side.FAIL).max(axis=1)
        healthy_flagged += bool(discoveries(logs.tolist(), alpha))
    for _ in range(40):
        sick = rng.random(calls) < 0.05
        k = np.cumsum(sick)
        logs = rate_evidence(np.arange(1, calls + 1), k, rate, Side.FAIL)
        found.append(int(np.argmax(logs >= threshold(alpha / slices))) + 1)
    assert healthy_flagged / runs <= bound(alpha, runs)
    assert np.median(found) < 400
