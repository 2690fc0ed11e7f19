"""Distributions that add: distances as numpy has them from the values themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.judge.evidence.sketch import BINS, BUCKETS, Sketch, bins_of, middle, psi, wasserstein


def _of(values: np.ndarray) -> Sketch:
    sketch = Sketch()
    sketch.add(np.asarray(values, dtype=np.float64))
    return sketch


def test_a_shift_is_as_far_as_it_is_and_nothing_is_not_far() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(10, 1, 20_000), rng.normal(10, 1, 20_000)
    assert wasserstein(_of(a), _of(b)) == pytest.approx(0, abs=0.05)
    assert psi(_of(a), _of(b)) == pytest.approx(0, abs=0.01)
    assert wasserstein(_of(a), _of(b + 3)) == pytest.approx(3, rel=0.05)
    far = psi(_of(a), _of(b + 3))
    assert far is not None
    assert far > 1


def test_it_is_the_distance_between_sorted_values() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.exponential(2, 5000) - 1, rng.normal(0, 3, 5000)
    exact = float(np.abs(np.sort(a) - np.sort(b)).mean())
    assert wasserstein(_of(a), _of(b)) == pytest.approx(exact, rel=0.06)


def test_psi_is_that_of_its_definition() -> None:
    """Two classes, 80 to 20 and 50 to 50: (.8-.5) ln(.8/.5) + (.2-.5) ln(.2/.5)."""
    a, b = _of(np.repeat([1.0, 2.0], [8000, 2000])), _of(np.repeat([1.0, 2.0], [5000, 5000]))
    assert psi(a, b) == pytest.approx(0.3 * np.log(1.6) - 0.3 * np.log(0.4), rel=0.01)


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), max_size=40),
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), max_size=40),
)
def test_sketches_add_are_bounded_and_lose_no_value(a: list[float], b: list[float]) -> None:
    both = _of(np.array(a)).plus(_of(np.array(b)))
    assert both == _of(np.array(a + b))
    assert both.n + both.broken == len(a) + len(b)
    assert all(abs(place) <= BUCKETS // 2 for place in both.counts)
    for x in a:
        if 1e-11 < abs(x) < 1e18:
            (place,) = _of(np.array([x])).counts
            assert middle(place) == pytest.approx(x, rel=0.05)
    bins = bins_of(_of(np.array(a)), _of(np.array(b)))
    assert len(bins) <= BINS
    for side in (2, 3):
        assert not bins or sum(row[side] for row in bins) == pytest.approx(1)
    assert all(row[0] <= row[1] for row in bins)


def test_without_values_there_is_no_distance() -> None:
    assert psi(Sketch(), _of(np.ones(3))) is None
    assert wasserstein(_of(np.ones(3)), Sketch()) is None
    assert bins_of(Sketch(), Sketch()) == ()
