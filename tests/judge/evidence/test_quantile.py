from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.judge.evidence.histogram import BASE, EDGES_NS, LAST, Histogram, bucket
from sidecar.judge.evidence.mixtures import Side, rate_evidence, threshold
from sidecar.judge.evidence.quantile import (
    quantile_estimate,
    quantile_interval,
    ratio_evidence,
    upper_ns,
)
from tests.judge.streams import bound

Counts = dict[int, float]
sparse = st.dictionaries(st.integers(400, 440), st.integers(1, 500).map(float), max_size=12)


def histogram(latencies: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Counts:
    return {i: float(c) for i, c in Counter(bucket(x) for x in latencies).items()}


@given(st.floats(0, 1e13))
def test_a_bucket_holds_its_latency(ns: float) -> None:
    i = bucket(ns)
    assert 0 <= i <= LAST
    if i < LAST:
        assert ns <= upper_ns(i) * (1 + 1e-12)
    if i > 0:
        assert ns > upper_ns(i - 1) * (1 - 1e-12)


def test_bounds_are_those_of_the_design() -> None:
    assert upper_ns(0) == 1_000
    assert upper_ns(LAST) == 600e9
    assert all(b <= a * BASE * 1.001 for a, b in itertools.pairwise(EDGES_NS))


def test_the_criterion_and_what_is_shown_beside_it_count_in_the_same_buckets() -> None:
    shown = Histogram()
    for ns in (1, 999, 1_000, 1_001, 12_345_678, 600_000_000_000):
        shown.add(ns)
        assert shown.counts.pop(bucket(ns)) == 1


def slow_ratio_evidence(a: Counts, b: Counts, p: float, ratio: float, side: Side) -> float:
    """The definition, one bound after the other."""
    other = Side.FAIL if side is Side.PASS else Side.PASS

    def bounds(counts: Counts) -> list[int]:
        return list(range(min(counts) - 1, max(counts) + 1))

    def logs(counts: Counts, i: int, s: Side) -> float:
        above = sum(c for j, c in counts.items() if j > i)
        return float(rate_evidence(sum(counts.values()), above, 1 - p, s))

    best = -math.inf
    for i in bounds(a):
        limit = ratio * upper_ns(i)
        if side is Side.PASS:
            near = [j for j in bounds(b) if upper_ns(j) <= limit * (1 + 1e-12)][-1:]
        else:
            near = [j for j in bounds(b) if upper_ns(j) >= limit / (1 + 1e-12)][:1]
        for j in near:
            best = max(best, min(logs(a, i, other), logs(b, j, side)))
    return best - math.log(2)


@given(
    sparse.filter(bool),
    sparse.filter(bool),
    st.sampled_from([0.5, 0.95, 0.99]),
    st.floats(0.8, 1.5),
    st.sampled_from(Side),
)
def test_the_search_finds_what_trying_every_bound_finds(
    a: Counts, b: Counts, p: float, ratio: float, side: Side
) -> None:
    expected = slow_ratio_evidence(a, b, p, ratio, side)
    assert ratio_evidence(a, b, p, ratio, side) == pytest.approx(expected, abs=1e-9)


@given(sparse.filter(bool), sparse.filter(bool), st.sampled_from([0.5, 0.95, 0.99]))
def test_evidence_reaches_its_threshold_when_the_bounds_part(
    a: Counts, b: Counts, p: float
) -> None:
    """Pass if U_B <= (1+delta) L_A, fail if L_B >= (1+delta) U_A, alpha split over the bounds."""
    alpha, ratio = 0.025, BASE**3  # a whole number of buckets, so that nothing is rounded
    low_a, high_a = quantile_interval(a, p, alpha)
    low_b, high_b = quantile_interval(b, p, alpha)
    claims = {
        Side.PASS: high_b <= ratio * low_a * (1 + 1e-9),
        Side.FAIL: low_b >= ratio * high_a / (1 + 1e-9),
    }
    for side, claim in claims.items():
        if claim:
            assert ratio_evidence(a, b, p, ratio, side) >= threshold(alpha) - 1e-9
    for side in Side:
        if ratio_evidence(a, b, p, ratio, side) >= threshold(alpha) + 1e-9:
            assert claims[side]


def test_nothing_counted_says_nothing() -> None:
    assert ratio_evidence({}, {5: 1.0}, 0.5, 1.1, Side.PASS) == 0.0
    assert quantile_interval({}, 0.5, 0.05) == (0.0, math.inf)
    assert quantile_estimate({}, 0.5) is None


@given(st.lists(st.floats(1e3, 1e10), min_size=1, max_size=200), st.floats(0.01, 0.99))
def test_an_estimate_is_numpys_within_a_bucket(xs: list[float], p: float) -> None:
    exact = float(np.quantile(xs, p, method="inverted_cdf"))
    found = quantile_estimate(histogram(np.array(xs)), p)
    assert found is not None
    assert exact / (1 + 1e-9) <= found * (1 + 1e-9)
    assert found <= max(exact, 1_000.0) * BASE * (1 + 1e-9)


@pytest.mark.parametrize("p", [0.5, 0.95, 0.99])
def test_false_verdicts_about_a_ratio_on_the_margin_stay_within_alpha(p: float) -> None:
    """The shadow is slower by exactly the margin; looked at 30 times on a growing stream."""
    rng = np.random.default_rng(12)
    streams, alpha, delta = 200, 0.025, 0.1
    looks = np.unique(np.geomspace(20, 3000, 30).astype(int))
    false = dict.fromkeys(Side, 0)
    for _ in range(streams):
        a, b = rng.lognormal(math.log(5e6), 0.4, (2, looks[-1]))
        ia = [bucket(x) for x in a]
        ib = [bucket(x * (1 + delta)) for x in b]
        ca: Counts = {}
        cb: Counts = {}
        done: set[Side] = set()
        for start, end in zip([0, *looks[:-1]], looks, strict=True):
            for i, j in zip(ia[start:end], ib[start:end], strict=True):
                ca[i] = ca.get(i, 0.0) + 1
                cb[j] = cb.get(j, 0.0) + 1
            for side in set(Side) - done:
                if ratio_evidence(ca, cb, p, 1 + delta, side) >= threshold(alpha):
                    done.add(side)
        for side in done:
            false[side] += 1
    assert all(count / streams <= bound(alpha, streams) for count in false.values())


@pytest.mark.parametrize(("slower", "side"), [(1.0, Side.PASS), (1.3, Side.FAIL)])
def test_a_median_that_is_clearly_inside_or_outside_is_decided(slower: float, side: Side) -> None:
    rng = np.random.default_rng(13)
    a, b = rng.lognormal(math.log(5e6), 0.3, (2, 5000))
    assert ratio_evidence(histogram(a), histogram(slower * b), 0.5, 1.1, side) > threshold(0.025)
