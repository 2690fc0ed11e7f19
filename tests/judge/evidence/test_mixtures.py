from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from ville import evalues

from sidecar.judge.evidence.mixtures import (
    Side,
    average,
    discoveries,
    logmeanexp,
    mean_evidence,
    rate_evidence,
    threshold,
)
from tests.judge.streams import bound, rate_crossings

SIDE_ALPHA = 0.025
LIMIT = threshold(SIDE_ALPHA)

margins = st.floats(1e-6, 1 - 1e-6)
counts = st.integers(0, 10_000)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_logmeanexp_is_scipys(xs: list[float]) -> None:
    expected = float(logsumexp(xs)) - math.log(len(xs))
    assert float(logmeanexp(np.array(xs))) == pytest.approx(expected, rel=1e-12, abs=1e-9)


def test_logmeanexp_knows_infinities() -> None:
    assert float(logmeanexp(np.array([-math.inf, -math.inf]))) == -math.inf
    assert float(logmeanexp(np.array([math.inf, 0.0]))) == math.inf


@given(margins, st.sampled_from(Side))
def test_no_calls_are_no_evidence(margin: float, side: Side) -> None:
    assert float(rate_evidence(0, 0, margin, side)) == pytest.approx(0, abs=1e-12)
    assert float(mean_evidence((0.0, 1.0), (0, 0), margin, 0, 1, side)) == pytest.approx(0)


@given(margins, counts, counts)
def test_evidence_moves_with_events_and_without(margin: float, zeros: int, ones: int) -> None:
    """What `streams` relies on to look after every call."""
    n = zeros + ones
    for side, sign in ((Side.PASS, 1), (Side.FAIL, -1)):
        here, quiet, event = (
            float(rate_evidence(n + i, ones + j, margin, side)) for i, j in ((0, 0), (1, 0), (1, 1))
        )
        rounding = 1e-9 * (1 + abs(here))
        assert sign * (quiet - here) >= -rounding
        assert sign * (event - here) <= rounding


@given(margins, margins, st.sampled_from(Side))
def test_one_more_call_adds_nothing_on_average_at_the_margin(
    margin: float, other: float, side: Side
) -> None:
    """E is a martingale on the margin and falls on average inside the null."""
    one, zero = (math.exp(float(rate_evidence(1, k, margin, side))) for k in (1, 0))
    assert margin * one + (1 - margin) * zero == pytest.approx(1, rel=1e-9)
    null = max(margin, other) if side is Side.PASS else min(margin, other)
    assert null * one + (1 - null) * zero <= 1 + 1e-9


@given(
    st.floats(-5, 5),
    st.floats(0.01, 10),
    st.floats(0.01, 0.99),
    st.floats(0, 1),
    st.sampled_from(Side),
)
def test_a_bet_on_a_mean_is_fair_at_the_margin(
    low: float, width: float, at: float, weight: float, side: Side
) -> None:
    """For a two-point law with the margin as its mean, one bet pays 1 on average."""
    high = low + width
    margin = low + at * width
    a, b = low + weight * (margin - low), high - weight * (high - margin)
    share = (margin - a) / (b - a) if b > a else 0.0
    ea, eb = (
        math.exp(float(mean_evidence((a, b), c, margin, low, high, side))) for c in ((1, 0), (0, 1))
    )
    assert (1 - share) * ea + share * eb == pytest.approx(1, rel=1e-6)


@given(margins, st.integers(0, 200), st.floats(0, 1), st.sampled_from(Side))
def test_fractional_scores_never_gain_over_events(
    margin: float, n: int, score: float, side: Side
) -> None:
    """x ** score is convex: a call's E is at most the mean over an event drawn with its score."""
    here = math.exp(float(rate_evidence(1, score, margin, side)))
    one, zero = (math.exp(float(rate_evidence(1, k, margin, side))) for k in (1, 0))
    assert here <= score * one + (1 - score) * zero + 1e-9


def test_a_margin_at_the_end_is_decided_by_one_call_or_never() -> None:
    n, k = [0, 5, 5, 5], [0, 0, 1, 5]
    assert rate_evidence(n, k, 0.0, Side.PASS).tolist() == [0, -math.inf, -math.inf, -math.inf]
    assert rate_evidence(n, k, 0.0, Side.FAIL).tolist() == [0, 0, math.inf, math.inf]
    assert rate_evidence(n, k, 1.0, Side.PASS).tolist() == [0, math.inf, math.inf, 0]
    assert rate_evidence(n, k, 1.0, Side.FAIL).tolist() == [0, -math.inf, -math.inf, -math.inf]
    with pytest.raises(ValueError, match="margin"):
        rate_evidence(1, 1, 1.5, Side.PASS)


def test_a_mean_refuses_what_is_out_of_range() -> None:
    with pytest.raises(ValueError, match="margin"):
        mean_evidence((0.0, 1.0), (1, 1), 1.0, 0, 1, Side.PASS)
    with pytest.raises(ValueError, match="values"):
        mean_evidence((0.0, 2.0), (1, 1), 0.5, 0, 1, Side.PASS)


def test_a_zero_margin_on_signs_is_mcnemars_on_discordant_pairs_alone() -> None:
    signs = (-1.0, 0.0, 1.0)
    without = mean_evidence(signs, (30, 0, 12), 0.0, -1, 1, Side.PASS)
    with_agreements = mean_evidence(signs, (30, 10_000, 12), 0.0, -1, 1, Side.PASS)
    assert float(with_agreements) == pytest.approx(float(without))
    lambdas = np.geomspace(1e-4, 0.98, 24)
    ratios = 30 * np.log((1 + lambdas) / 2 / 0.5) + 12 * np.log((1 - lambdas) / 2 / 0.5)
    assert float(without) == pytest.approx(float(logsumexp(ratios)) - math.log(24))


@pytest.mark.parametrize("margin", [0.001, 0.01, 0.05, 0.2, 0.5, 0.9])
def test_false_verdicts_on_the_margin_stay_within_alpha_when_every_call_is_a_look(
    margin: float,
) -> None:
    streams = 1000
    calls = 20_000 if margin <= 0.05 else 4_000
    rng = np.random.default_rng(20_240_601)
    passed, failed = rate_crossings(rng, streams, calls, margin, margin, LIMIT)
    assert np.isfinite(passed).mean() <= bound(SIDE_ALPHA, streams)
    assert np.isfinite(failed).mean() <= bound(SIDE_ALPHA, streams)


@pytest.mark.parametrize(
    ("rate", "side", "published"),
    [(0.005, 0, 2_356), (0.015, 1, 4_372), (0.02, 1, 1_167)],
)
def test_decisions_take_about_as_many_calls_as_the_design_measured(
    rate: float, side: int, published: int
) -> None:
    rng = np.random.default_rng(7)
    first = rate_crossings(rng, 400, 40_000, rate, 0.01, LIMIT)[side]
    assert published * 0.8 <= np.median(first) <= published * 1.25


@pytest.mark.parametrize("fraction", [1.0, 0.3])
def test_signs_net_of_a_control_on_the_margin_stay_within_alpha(fraction: float) -> None:
    """B disagrees in 6 % of calls, A' in 5 %: a difference of exactly the margin, 1 %."""
    streams, calls, chunk = 1000, 4_000, 50
    heaviest = 1 / fraction
    values = (-heaviest, 1 - heaviest, 0.0, 1.0)
    rng = np.random.default_rng(3)
    false = dict.fromkeys(Side, 0)
    for _ in range(0, streams, chunk):
        b, a = rng.random((2, chunk, calls)) < np.array([0.06, 0.05])[:, None, None]
        a &= rng.random((chunk, calls)) < fraction
        seen = (a & ~b, a & b, ~a & ~b, ~a & b)  # in the order of the values
        tallies = np.stack([np.cumsum(x, axis=1) for x in seen], axis=-1)
        for side in Side:
            logs = mean_evidence(values, tallies, 0.01, -heaviest, 1, side)
            false[side] += int((logs.max(axis=1) >= LIMIT).sum())
    assert all(count / streams <= bound(SIDE_ALPHA, streams) for count in false.values())


def test_a_wilson_interval_that_is_peeked_at_would_not() -> None:
    """Why all this is needed; and that the simulation can tell."""
    rng = np.random.default_rng(5)
    streams, calls, rate, z = 200, 20_000, 0.01, 1.96
    n = np.arange(1, calls + 1)
    wrong = 0
    for _ in range(streams):
        p = np.cumsum(rng.random(calls) < rate) / n
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        wrong += bool(np.any(np.abs(centre - rate)[100:] > half[100:]))
    assert wrong / streams > 0.3


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=60), st.floats(0.001, 0.5))
def test_discoveries_are_those_of_an_independent_e_bh(logs: list[float], alpha: float) -> None:
    expected = evalues.ebh(np.exp(logs), alpha)
    found = discoveries(logs, alpha)
    assert len(found) == int(expected.sum())
    assert sorted(logs[i] for i in found) == sorted(np.asarray(logs)[expected].tolist())


@given(
    st.lists(st.tuples(st.floats(-50, 50), st.floats(0.01, 10)), min_size=1, max_size=20),
)
def test_an_average_is_the_weighted_mean_of_e(pairs: list[tuple[float, float]]) -> None:
    logs, weights = zip(*pairs, strict=True)
    expected = evalues.combine(np.exp(logs), weights=weights)
    assert average(logs, weights) == pytest.approx(math.log(expected), rel=1e-9, abs=1e-9)


def test_an_average_of_nothing_is_no_evidence() -> None:
    assert average([], []) == -math.inf
    assert average([-math.inf, -math.inf], [1, 1]) == -math.inf
    assert average([math.inf, 0], [1, 1]) == math.inf
