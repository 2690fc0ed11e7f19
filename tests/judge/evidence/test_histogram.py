from __future__ import annotations

import itertools
from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.judge.evidence.histogram import BASE, COARSE_NS, EDGES_NS, Histogram

LATENCIES = st.lists(st.integers(0, 2 * EDGES_NS[-1]) | st.sampled_from(EDGES_NS), max_size=60)


def histogram(latencies: list[int]) -> Histogram:
    filled = Histogram()
    for ns in latencies:
        filled.add(ns)
    return filled


def test_edges_rise_by_no_more_than_the_base_from_a_microsecond_to_ten_minutes() -> None:
    assert EDGES_NS[0] == 1_000
    assert EDGES_NS[-1] == 600_000_000_000
    for low, high in itertools.pairwise(EDGES_NS):
        assert low < high <= low * BASE + 1  # edges are whole nanoseconds


def test_the_coarse_edges_are_bucket_edges() -> None:
    assert set(COARSE_NS) <= set(EDGES_NS)
    assert list(COARSE_NS) == sorted(COARSE_NS)


@given(LATENCIES)
def test_ranks_at_every_edge_are_exact(latencies: list[int]) -> None:
    ordered = sorted(latencies)
    assert histogram(latencies).at_most(EDGES_NS) == [
        bisect_right(ordered, edge) for edge in EDGES_NS
    ]


@given(LATENCIES, LATENCIES)
def test_merging_is_the_same_as_counting_everything_in_one(a: list[int], b: list[int]) -> None:
    merged, whole = histogram(a), histogram(a + b)
    merged.merge(histogram(b))
    assert (merged.counts, merged.count, merged.total_ns) == (
        whole.counts,
        whole.count,
        whole.total_ns,
    )


@given(LATENCIES)
def test_a_histogram_is_rebuilt_from_its_counts(latencies: list[int]) -> None:
    first = histogram(latencies)
    again = Histogram.of(first.counts, first.total_ns)
    assert (again.counts, again.count, again.total_ns) == (
        first.counts,
        first.count,
        first.total_ns,
    )
    again.add(5)
    assert first.count == len(latencies)


@given(st.lists(st.integers(1_000, EDGES_NS[-1]), min_size=1, max_size=60), st.floats(0, 1))
def test_a_quantile_is_bounded_from_above_within_the_base(latencies: list[int], p: float) -> None:
    ordered = sorted(latencies)
    # The smallest latency that at least a share p of all does not exceed.
    true = next(ns for i, ns in enumerate(ordered, 1) if i >= p * len(ordered))
    bound = histogram(latencies).quantile(p)
    assert bound is not None
    assert true <= bound <= true * BASE + 1


def test_nothing_has_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None


def test_above_the_last_edge_no_quantile_is_known() -> None:
    assert histogram([EDGES_NS[-1] + 1]).quantile(1.0) is None


def test_one_that_took_longer_than_anybody_waited_is_beyond_every_quantile() -> None:
    found = histogram([1_000_000] * 9)
    found.add_longer(5_000_000)
    assert (found.count, found.endless, found.total_ns) == (10, 1, 14_000_000)
    assert found.quantile(0.9) == 1_000_000
    assert found.quantile(0.95) is None
    again = Histogram()
    again.merge(found)
    assert again.endless == 1


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_quantile_outside_0_and_1_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="in \\[0, 1\\]"):
        histogram([1]).quantile(p)


@pytest.mark.parametrize("edge", [1_001, EDGES_NS[-1] + 1])
def test_an_edge_that_is_not_a_buckets_is_refused(edge: int) -> None:
    with pytest.raises(ValueError, match="not the edge of a bucket"):
        histogram([1]).at_most([edge])
