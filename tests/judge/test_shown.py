from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sidecar.judge.pair import Value, Values
from sidecar.judge.settings import ExampleSettings, JudgeSettings
from sidecar.judge.shown import MASK, MAX_INPUTS, MAX_NAME, MAX_TEXT, shown


def allowed(**given: Any) -> ExampleSettings:
    return ExampleSettings(values=True, **given)


def written(value: Value | None, **given: Any) -> str:
    settings = allowed(reveal_inputs=["x"], **given)
    return shown(settings, [], {}, {} if value is None else {"x": value}).inputs[0][1]


def items(*elements: bytes) -> Value:
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array


def test_everything_is_masked_but_what_is_revealed_by_name() -> None:
    values: Values = {"score": (1.5, 2.5), "name": ("a", "b"), "[1]score": (3.0, None)}
    seen = shown(
        allowed(reveal_outputs=["sc*"], reveal_inputs=["age"]),
        values,
        values,
        {"age": 40.0, "score": 1.0},
    )
    assert seen.outputs == {
        "score": ("1.5", "2.5"),
        "name": (MASK, MASK),
        "[1]score": ("3", ""),
    }
    # An output's name reveals no input.
    assert seen.inputs == (("age", "40"), ("score", MASK))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        ("word", "'word'"),
        (np.array([[1, 2], [3, 4]]), "[1, 2, 3, … 4 in all]"),
        (np.array([0.1234567891, np.nan]), "[0.123456789, nan]"),
        (np.array([], dtype=np.float32), "[]"),
        (np.array([True]), "[True]"),
        (items(b"caf\xc3\xa9", b"\xff\n"), "['café', '\ufffd\\n']"),
    ],
)
def test_values_are_written_for_people(value: Value, text: str) -> None:
    assert written(value, max_elements=3) == text


@given(
    st.lists(st.binary(max_size=400), max_size=100),
    st.integers(1, 64),
    st.text(max_size=400),
)
def test_what_is_shown_is_bounded(elements: list[bytes], most: int, name: str) -> None:
    inputs = {f"{i}{name}": items(*elements) for i in range(20)}
    seen = shown(allowed(reveal_inputs=["*"], max_elements=most), [], {}, inputs)
    assert len(seen.inputs) == MAX_INPUTS
    assert all(len(n) <= MAX_NAME and len(text) <= MAX_TEXT for n, text in seen.inputs)


def test_an_output_that_nobody_has_shows_nothing() -> None:
    assert shown(allowed(), ["gone"], {}, {}).outputs == {"gone": ("", "")}


def test_revealing_needs_values_to_be_allowed() -> None:
    with pytest.raises(ValidationError, match="need values: true"):
        ExampleSettings(reveal_outputs=("x",))
    assert JudgeSettings().examples == ExampleSettings(values=False)
