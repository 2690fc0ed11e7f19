"""The distance between numeric arrays, with numpy as the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sidecar.compare.payload import NUMPY_TYPES, Array, widen_bfloat16
from sidecar.compare.rules.numbers import ZERO, as_reals, measure, same_bits
from tests.compare.messages import floats

FLOATS = ["FP16", "FP32", "FP64"]


def _pairs(dtype: str) -> st.SearchStrategy[tuple[Array, Array]]:
    shape = hnp.array_shapes(max_dims=3, max_side=5)
    return shape.flatmap(
        lambda s: st.tuples(*(hnp.arrays(NUMPY_TYPES[dtype], s) for _ in range(2)))
    )


ANY_PAIR = st.sampled_from([*FLOATS, "INT8", "UINT8", "INT64", "UINT64"]).flatmap(
    lambda dtype: st.tuples(st.just(dtype), _pairs(dtype))
)


@given(ANY_PAIR, st.floats(0, 10), st.floats(0, 1))
def test_every_figure_is_finite_and_none_negative_but_the_bias(
    drawn: tuple[str, tuple[Array, Array]], atol: float, rtol: float
) -> None:
    dtype, (a, b) = drawn
    found = measure(a, b, dtype, atol, rtol)
    assert found.figures.keys() == ZERO.keys()
    assert all(np.isfinite(figure) for figure in found.figures.values())
    assert -2 <= found.figures.pop("signed_relative") <= 2
    assert min(found.figures.values()) >= 0
    assert found.outside.shape == found.nonfinite.shape == a.shape
    assert not (found.outside & found.nonfinite).any()


@given(st.sampled_from(FLOATS).flatmap(_pairs), st.floats(0, 10), st.floats(0, 1))
def test_inside_is_what_numpys_isclose_says_of_float64(
    pair: tuple[Array, Array], atol: float, rtol: float
) -> None:
    a, b = pair
    found = measure(a, b, f"FP{8 * a.itemsize}", atol, rtol)
    with np.errstate(all="ignore"):
        close = np.isclose(
            b.astype(np.float64), a.astype(np.float64), rtol=rtol, atol=atol, equal_nan=True
        )
    np.testing.assert_array_equal(~(found.outside | found.nonfinite), close)


@given(st.sampled_from(FLOATS).flatmap(_pairs))
def test_nonfinite_is_where_nan_or_an_infinity_stands_against_something_else(
    pair: tuple[Array, Array],
) -> None:
    a, b = pair
    expected = (np.isnan(a) != np.isnan(b)) | (
        (np.isinf(a) | np.isinf(b)) & (a != b) & ~np.isnan(a) & ~np.isnan(b)
    )
    found = measure(a, b, f"FP{8 * a.itemsize}", 0, 0)
    np.testing.assert_array_equal(found.nonfinite, expected)


@pytest.mark.parametrize("atol", [0.5, 0.25, 1.0])
def test_the_tolerance_includes_its_boundary(atol: float) -> None:
    a = floats(1, 1, 1)
    b = floats(1 + atol, 1 - atol, np.nextafter(np.float32(1 + atol), np.float32(9)))
    assert measure(a, b, "FP32", atol, 0).outside.tolist() == [False, False, True]


def test_the_tolerance_is_relative_to_production() -> None:
    assert not measure(floats(4), floats(2), "FP32", 0, 0.5).outside.any()
    assert measure(floats(2), floats(4), "FP32", 0, 0.5).outside.all()


def test_64_bit_integers_lose_nothing() -> None:
    a = np.array([2**62, -(2**63)], np.int64)
    found = measure(a, a + 1, "INT64", 0, 0)
    assert found.outside.all()
    assert found.figures["max_abs"] == 1
    assert not measure(a, a + 1, "INT64", 1, 0).outside.any()
    ends = np.array([0], np.uint64), np.array([2**64 - 1], np.uint64)
    assert measure(*ends, "UINT64", 0, 0).figures["max_ulp"] == 2.0**64


def test_figures_of_a_small_example() -> None:
    figures = measure(floats(1, 2, 0, np.nan), floats(1, 4, 1, np.nan), "FP32", 1.5, 0).figures
    assert figures["max_abs"] == 2
    assert figures["mean_abs"] == 3 / 4
    assert figures["max_rel"] == 1  # the third has nothing to be relative to
    assert figures["signed_relative"] == pytest.approx((2 * 2 / 6 + 2) / 4)
    assert figures["outside_share"] == 1 / 4


def test_the_bias_of_the_largest_and_of_the_smallest_numbers() -> None:
    largest, smallest = np.finfo(np.float64).max, np.nextafter(0.0, 1.0)
    figures = measure(np.array([-largest]), np.array([largest]), "FP64", 0, 0).figures
    assert figures["signed_relative"] == 2
    assert figures["max_abs"] == largest  # as much as can be said
    found = measure(np.array([smallest, 0.0]), np.array([2 * smallest, smallest]), "FP64", 0, 0)
    assert found.figures["signed_relative"] == pytest.approx((2 / 3 + 2) / 2)


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_next_representable_number_is_one_ulp_away(dtype: str) -> None:
    kind = np.dtype(NUMPY_TYPES[dtype]).type
    values = np.array([1.0, -1.0, 0.0, 1e-3, -1000.0], kind)
    above = np.nextafter(values, np.array(np.inf, kind))
    assert measure(values, above, dtype, 0, 0).figures["max_ulp"] == 1
    assert measure(above, np.nextafter(values, kind(-np.inf)), dtype, 0, 0).figures["max_ulp"] == 2


def test_bfloat16_is_counted_in_its_own_ulps() -> None:
    a, b = (widen_bfloat16(np.array([bits], np.uint16)) for bits in (0x3F80, 0x3F83))
    assert measure(a, b, "BF16", 0, 0).figures["max_ulp"] == 3


def test_zero_and_minus_zero_do_not_differ() -> None:
    found = measure(floats(0.0), floats(-0.0), "FP32", 0, 0)
    assert found.figures == ZERO
    assert not same_bits(floats(0.0), floats(-0.0))


@given(ANY_PAIR)
def test_same_bits_is_equality_of_bytes(drawn: tuple[str, tuple[Array, Array]]) -> None:
    _, (a, b) = drawn
    assert same_bits(a, a.copy())
    assert same_bits(a, b) == (a.tobytes() == b.tobytes())


def test_complex_numbers_are_seen_as_their_parts() -> None:
    assert as_reals(np.array([[1 + 2j]], np.complex64)).tolist() == [[[1, 2]]]
    assert same_bits(np.array([1j]), np.array([1j]))
    assert not same_bits(np.array([1j]), np.array([2j]))


@given(st.integers(1, 30_000), st.integers(0, 2**32))
def test_large_arrays_are_measured_in_parts_that_add_up(size: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    a = draw.normal(size=size)
    b = np.where(draw.random(size) < 0.001, draw.normal(size=size), a)
    found = measure(a, b, "FP64", 0.1, 0.1)
    figures = found.figures
    assert figures["max_abs"] == np.abs(b - a).max()
    assert figures["max_rel"] == (np.abs(b - a) / np.abs(a)).max()
    assert figures["mean_abs"] == pytest.approx(np.abs(b - a).mean())
    assert figures["signed_relative"] == pytest.approx(
        (2 * (b - a) / (np.abs(a) + np.abs(b))).mean()
    )
    np.testing.assert_array_equal(found.outside, ~np.isclose(b, a, rtol=0.1, atol=0.1))
    assert figures["outside_share"] == found.outside.mean()
