from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.judge.evidence.mixtures import (
    Floats,
    Side,
    logmeanexp,
    mean_evidence,
    payoffs,
    threshold,
)
from sidecar.judge.evidence.splat import even_edges, signed_edges, splat
from tests.judge.streams import bound

EDGES = signed_edges(1.0)


def histogram(xs: list[float], edges: tuple[float, ...]) -> Floats:
    counts = np.zeros(len(edges))
    for x in xs:
        for i, weight in splat(x, edges):
            counts[i] += weight
    return counts


def test_signed_edges_are_65_and_symmetric() -> None:
    edges = signed_edges(2.0)
    assert len(edges) == 65
    assert edges[32] == 0.0
    assert (edges[0], edges[-1]) == (-2.0, 2.0)
    assert [-e for e in reversed(edges)] == list(edges)


def test_even_edges_hold_what_must_be_exact() -> None:
    edges = even_edges(-1 / 0.3, 1.0, also=(0.0, 1 - 1 / 0.3))
    assert {0.0, 1.0, -1 / 0.3, 1 - 1 / 0.3} <= set(edges)
    assert list(edges) == sorted(edges)
    assert 0.0 in even_edges(-1.0, 1.0)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=50))
def test_the_mean_stays_exact_and_every_call_weighs_one(xs: list[float]) -> None:
    counts = histogram(xs, EDGES)
    assert counts.sum() == pytest.approx(len(xs))
    assert float(counts @ np.array(EDGES)) == pytest.approx(sum(xs), abs=1e-9)
    assert (counts >= 0).all()


@given(st.floats(allow_nan=False))
def test_beyond_the_edges_counts_as_the_last(x: float) -> None:
    weights = dict(splat(x, EDGES))
    assert sum(weights.values()) == pytest.approx(1)
    if x <= -1:
        assert weights == {0: 1.0}
    if x >= 1:
        assert weights == {64: 1.0}


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=30),
    st.floats(-0.9, 0.9),
    st.sampled_from(Side),
)
def test_evidence_never_exceeds_that_of_the_scores_themselves(
    xs: list[float], margin: float, side: Side
) -> None:
    splatted = mean_evidence(EDGES, histogram(xs, EDGES), margin, -1, 1, side)
    exact = mean_evidence(tuple(xs), np.ones(len(xs)), margin, -1, 1, side)
    assert float(splatted) <= float(exact) + 1e-9


@pytest.mark.parametrize("spikes", [0.0, 0.001])
def test_false_verdicts_about_a_skewed_mean_stay_within_alpha(spikes: float) -> None:
    """Latency differences of a few percent of the range, with or without rare full-range spikes."""
    rng = np.random.default_rng(17)
    streams, calls, chunk, alpha = 1000, 3000, 25, 0.025
    edges = np.array(EDGES)
    draws = np.minimum(rng.lognormal(-4, 1, 200_000), 1.0)
    margin = float(np.mean(draws)) * (1 - spikes) + spikes
    false = dict.fromkeys(Side, 0)
    for _ in range(0, streams, chunk):
        x = rng.choice(draws, size=(chunk, calls))
        x[rng.random((chunk, calls)) < spikes] = 1.0
        at = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
        share = ((x - edges[at]) / (edges[at + 1] - edges[at]))[..., None]
        for side in Side:
            table = payoffs(EDGES, margin, -1, 1, side)
            gains = np.cumsum((1 - share) * table[at] + share * table[at + 1], axis=1)
            false[side] += int((logmeanexp(gains).max(axis=1) >= threshold(alpha)).sum())
    assert all(count / streams <= bound(alpha, streams) for count in false.values())
