"""Class scores and flips of the predicted class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sidecar.compare.payload import Array
from sidecar.compare.rules.classes import are_class_scores, flips
from tests.compare.messages import floats


@pytest.mark.parametrize(
    ("name", "array", "expected"),
    [
        ("y", floats(0.25, 0.75), True),
        ("y", np.full((2, 3), 1 / 3, np.float16), True),
        ("y", floats(0.25, 0.5), False),
        ("y", floats(-0.5, 1.5), False),
        ("y", floats(1.0), False),
        ("y", floats(np.nan, 1.0), False),
        ("logits", np.zeros((1, 3), np.float32), True),
        ("Softmax:0", np.zeros((1, 3), np.float32), True),
        ("scores", floats(3, 4), False),  # may be a batch of two
        ("scores", np.zeros((4, 1), np.float32), False),
        ("scores", np.zeros((4, 2), np.int32), False),
        ("scores", np.zeros((0, 2), np.float32), False),
        ("y", np.array(1.0), False),
        ("y", np.array([b"a", b"b"], object), False),
    ],
)
def test_what_is_taken_for_class_scores(name: str, array: Array, expected: bool) -> None:
    assert are_class_scores(name, array) is expected


def test_a_flip_is_another_class_on_top() -> None:
    a = np.array([[0.9, 0.1], [0.9, 0.1]], np.float32)
    b = np.array([[0.6, 0.4], [0.4, 0.6]], np.float32)
    assert flips(a, b, 0, 0).tolist() == [False, True]


def test_where_production_is_tied_nothing_flips() -> None:
    a = np.array([[0.5, 0.5, 0.0], [0.5, 0.4, 0.1]], np.float32)
    b = np.array([[0.4, 0.6, 0.0], [0.4, 0.6, 0.0]], np.float32)
    assert flips(a, b, 0, 0).tolist() == [False, True]
    assert flips(a, b, 0.11, 0).tolist() == [False, False]
    assert flips(a, b, 0, 0.21).tolist() == [False, False]


def test_nan_is_never_the_top() -> None:
    assert not flips(floats(np.nan, 1, 2), floats(np.nan, 1, 3), 0, 0).any()
    assert not flips(floats(np.nan, np.nan), floats(1, 2), 0, 0).any()


def test_an_infinite_score_is_a_top_like_another() -> None:
    assert flips(floats(np.inf, 1), floats(1, np.inf), 1, 1).all()
    assert not flips(floats(np.inf, np.inf), floats(1, 2), 0, 0).any()


@given(
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=5).flatmap(
        lambda s: st.tuples(
            *(hnp.arrays(np.float64, s, elements=st.floats(-9, 9), unique=True) for _ in range(2))
        )
    )
)
def test_without_ties_a_flip_is_where_numpys_argmax_differs(pair: tuple[Array, Array]) -> None:
    a, b = pair
    np.testing.assert_array_equal(flips(a, b, 0, 0), a.argmax(-1) != b.argmax(-1))
