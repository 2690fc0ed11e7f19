"""Rankings, distributions and embeddings, with scipy as the oracle."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from scipy.spatial import distance

from sidecar.compare.payload import Array, Output, bytes_array
from sidecar.compare.result import Outcome, OutputResult
from sidecar.compare.rules.outputs import compare_outputs
from sidecar.compare.settings import OutputRule
from tests.compare.messages import floats

RULES = ["topk", "rbo", "kendall", "total_variation", "jensen_shannon", "cosine"]


def _compare(rule: Any, a: Array, b: Array, **fields: Any) -> OutputResult:
    dtype = "BYTES" if a.dtype == object else "FP32"
    chosen = OutputRule(rule=rule, **fields)
    return compare_outputs("y", Output("y", dtype, a), Output("y", dtype, b), chosen)


def _vectors(elements: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[Array, Array]]:
    return st.integers(2, 12).flatmap(
        lambda n: st.tuples(*(hnp.arrays(np.float64, n, elements=elements) for _ in range(2)))
    )


ANY = _vectors(st.floats(-1e3, 1e3))
TIED = _vectors(st.integers(-2, 2).map(float))
WEIGHTS = _vectors(st.floats(1e-3, 1))


@pytest.mark.parametrize("rule", RULES)
@given(_vectors(st.floats()))
def test_any_two_vectors_have_a_bounded_distance(rule: str, pair: tuple[Array, Array]) -> None:
    a, b = pair
    found = _compare(rule, a, b)
    assert 0 <= found.score <= 1
    assert (found.score == 0) == (found.outcome is Outcome.EQUAL)
    assert all(math.isfinite(figure) for figure in found.raw.values())
    assert _compare(rule, a, a.copy()).outcome is Outcome.EQUAL


@given(TIED | ANY)
def test_kendall_is_scipys_tau_b(pair: tuple[Array, Array]) -> None:
    a, b = pair
    tau = stats.kendalltau(a, b).statistic
    if not math.isnan(tau):
        assert _compare("kendall", a, b).raw["kendall"] == pytest.approx((1 - tau) / 2)


def test_kendall_of_all_ties_is_no_difference_to_all_ties_and_undecided_to_an_order() -> None:
    assert _compare("kendall", floats(1, 1), floats(2, 2)).score == 0
    assert _compare("kendall", floats(1, 1), floats(2, 3)).score == 0.5
    assert _compare("kendall", floats(1, 2), floats(2, 1)).score == 1


def test_kendall_of_a_long_ranking_looks_at_productions_best() -> None:
    a = np.arange(5000.0)
    b = np.where(a < 2500, -a, a)  # the worse half is upside down
    assert _compare("kendall", a, b).score == 0


@given(WEIGHTS)
def test_distributions_are_measured_as_scipy_does(pair: tuple[Array, Array]) -> None:
    p, q = (weights / weights.sum() for weights in pair)
    raw = _compare("jensen_shannon", p, q).raw["jensen_shannon"]
    middle = (p + q) / 2
    divergence = (stats.entropy(p, middle, base=2) + stats.entropy(q, middle, base=2)) / 2
    assert raw == pytest.approx(divergence, abs=1e-9)
    raw = _compare("total_variation", p, q).raw["total_variation"]
    assert raw == pytest.approx(distance.cityblock(p, q) / 2, abs=1e-9)


def test_distributions_that_share_nothing_are_as_far_apart_as_can_be() -> None:
    for rule in ("jensen_shannon", "total_variation"):
        assert _compare(rule, floats(1, 0), floats(0, 1)).score == 1
        assert _compare(rule, floats(1, 0), floats(0, 0)).score == 1


def test_what_is_not_a_distribution_is_read_as_logits() -> None:
    logits = np.array([[1.0, 3.0], [0.5, 0.5]])  # the second could be either
    moved = logits + np.array([[7.0], [0.0]])
    assert _compare("total_variation", logits, moved).outcome is Outcome.EQUAL
    assert _compare("jensen_shannon", floats(900, -900), floats(-900, 900)).score == 1


@given(_vectors(st.floats(-1e3, 1e3).filter(lambda v: abs(v) > 1e-3)))
def test_cosine_is_scipys(pair: tuple[Array, Array]) -> None:
    raw = _compare("cosine", *pair).raw["cosine"]
    assert raw == pytest.approx(distance.cosine(*pair) / 2, abs=1e-9)


def test_the_zero_vector_is_like_itself_and_unlike_all_others() -> None:
    assert _compare("cosine", floats(0, 0), floats(-0.0, 0)).score == 0
    assert _compare("cosine", floats(0, 0), floats(1, 0)).score == 1
    assert _compare("cosine", floats(1, 0), floats(0, 0)).score == 1


def test_cosine_neither_overflows_nor_vanishes() -> None:
    huge, tiny = np.array([1e300, 1e300]), np.array([1e-300, 1e-300])
    assert _compare("cosine", huge, tiny).outcome is Outcome.EQUAL
    assert _compare("cosine", huge, -tiny).score == pytest.approx(1)


def test_the_top_k_are_compared_as_a_set() -> None:
    a, b = floats(9, 8, 7, 1, 2), floats(7, 8, 9, 2, 1)
    assert _compare("topk", a, b, k=3).score == 0
    assert _compare("topk", a, b, k=1).score == 1
    assert _compare("topk", a, b, k=4).score == 0.25


def test_integers_and_text_are_items_in_order() -> None:
    a, b = np.array([[5, 6, 7]]), np.array([[5, 7, 8]])
    assert _compare("topk", a, b, k=2).score == 0.5
    words = bytes_array([b"x", b"y", b"z"])
    assert _compare("topk", words, bytes_array([b"z", b"y", b"x"])).score == 0
    assert _compare("rbo", words, bytes_array([b"z", b"y", b"x"])).score > 0


def test_rbo_of_a_small_example() -> None:
    a, b = np.array([1, 2, 3]), np.array([2, 1, 4])
    p = 0.9
    agreement = [0 / 1, 2 / 2, 2 / 3]
    overlap = agreement[2] * p**3 + (1 - p) / p * sum(
        x * p**d for d, x in enumerate(agreement, start=1)
    )
    assert _compare("rbo", a, b).score == pytest.approx(1 - overlap)
    assert _compare("rbo", a, np.array([7, 8, 9])).score == 1


def test_rbo_minds_the_top_more_than_the_bottom() -> None:
    a = np.arange(10)
    top, bottom = a.copy(), a.copy()
    top[[0, 1]], bottom[[8, 9]] = [1, 0], [9, 8]
    assert _compare("rbo", a, top).score > _compare("rbo", a, bottom).score > 0


def test_a_batch_has_the_mean_of_its_vectors() -> None:
    a = np.array([[1, 0], [1, 0]], np.float32)
    b = np.array([[1, 0], [-1, 0]], np.float32)
    assert _compare("cosine", a, b).score == 0.5


def test_a_distance_within_max_score_agrees_and_is_still_told() -> None:
    a, b = floats(1, 0), floats(1, 0.1)
    assert _compare("cosine", a, b).outcome is Outcome.VALUE
    found = _compare("cosine", a, b, max_score=0.01)
    assert (found.outcome, found.score) == (Outcome.EQUAL, 0.0)
    assert 0 < found.raw["cosine"] < 0.01


def test_a_vector_with_a_nan_of_its_own_is_nonfinite_and_as_far_as_can_be() -> None:
    a = np.array([[1, 2], [3, 4]], np.float32)
    b = np.array([[1, 2], [3, np.nan]], np.float32)
    for rule in RULES:
        found = _compare(rule, a, b, max_score=0.9)
        assert (found.outcome, found.score) == (Outcome.NONFINITE, 0.5)


def test_rules_that_do_not_fit_the_elements_give_way() -> None:
    assert _compare("cosine", bytes_array([b"a"]), bytes_array([b"b"])).rule == "exact"
    assert _compare("cosine", np.array(1.0), np.array(2.0)).rule == "tolerance"
    assert _compare("kendall", np.array([True]), np.array([False])).rule == "exact"
