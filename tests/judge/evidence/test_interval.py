from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.special import betaln
from ville import BernoulliCS

from sidecar.judge.evidence.interval import STEPS, beta_evidence, mean_interval, rate_interval
from sidecar.judge.evidence.mixtures import Side, mean_evidence, threshold
from tests.judge.streams import bound


@given(st.integers(0, 1000), st.integers(0, 1000), st.floats(1e-4, 1 - 1e-4), st.floats(0.01, 100))
def test_beta_evidence_is_scipys(zeros: int, ones: int, rate: float, b: float) -> None:
    n = zeros + ones
    expected = (
        betaln(0.5 + ones, b + zeros)
        - betaln(0.5, b)
        - ones * np.log(rate)
        - zeros * np.log(1 - rate)
    )
    assert beta_evidence(n, ones, rate, 0.5, b) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("rate", "margin"), [(0.0, 0.01), (0.02, 0.01), (0.4, 0.3), (1.0, 0.5)])
def test_a_rates_interval_is_villes_at_every_call(rate: float, margin: float) -> None:
    rng = np.random.default_rng(11)
    x = (rng.random(400) < rate).astype(float)
    oracle = BernoulliCS(0.05, prior=(0.5, (1 - margin) / (2 * margin)), intersect=False).fit(x)
    for n in (1, 2, 3, 10, 99, 400):
        ours = rate_interval(n, float(x[:n].sum()), margin, 0.05)
        theirs = (oracle.lower_[n - 1], oracle.upper_[n - 1])
        assert ours == pytest.approx(theirs, abs=1e-7)


def test_nothing_counted_bounds_nothing() -> None:
    assert rate_interval(0, 0, 0.01, 0.05) == (0.0, 1.0)
    assert mean_interval((-1.0, 1.0), (0, 0), -1, 1, 0.05) == (-1, 1)


@given(st.integers(1, 5000), st.floats(0, 1), st.floats(1e-3, 1 - 1e-3))
@example(8, 0.875, 1 / 256)  # so unlikely a priori that nearly every other rate is likelier
def test_a_rates_interval_holds_its_estimate(n: int, share: float, margin: float) -> None:
    k = round(share * n)
    low, high = rate_interval(n, k, margin, 0.05)
    assert 0 <= low <= k / n <= high <= 1

    def inside(rate: float) -> bool:
        return beta_evidence(n, k, rate, 0.5, (1 - margin) / (2 * margin)) < threshold(0.05)

    # An end of the range belongs to it if the nearest rate that is looked at does.
    assert (low == 0) == (k == 0 or inside(k / n * 0.5**STEPS))
    assert (high == 1) == (k == n or inside(1 - (1 - k / n) * 0.5**STEPS))


@given(st.lists(st.integers(0, 300), min_size=5, max_size=5).filter(any))
def test_a_means_interval_holds_its_estimate_and_ends_where_evidence_does(c: list[int]) -> None:
    values = (-2.0, -0.5, 0.0, 1.0, 2.0)
    mean = float(np.dot(values, c)) / sum(c)
    low, high = mean_interval(values, c, -2, 2, 0.05)
    assert -2 <= low <= mean + 1e-9
    assert mean - 1e-9 <= high <= 2
    limit = threshold(0.025)
    if low > -2 + 1e-6:
        assert float(mean_evidence(values, c, low, -2, 2, Side.FAIL)) == pytest.approx(limit, 1e-3)
    if high < 2 - 1e-6:
        assert float(mean_evidence(values, c, high, -2, 2, Side.PASS)) == pytest.approx(limit, 1e-3)


def test_a_means_interval_covers_at_every_one_of_many_looks() -> None:
    rng = np.random.default_rng(2)
    streams, missed = 300, 0
    values = np.linspace(-1, 1, 9)
    law = np.array([1, 0, 2, 5, 80, 6, 3, 1, 2]) / 100
    mean = float(values @ law)
    limit = threshold(0.025)
    for _ in range(streams):
        drawn = rng.choice(9, size=3000, p=law)
        tallies = np.cumsum(np.eye(9)[drawn], axis=0)
        looks = [mean_evidence(tuple(values), tallies, mean, -1, 1, side) for side in Side]
        missed += bool(max(logs.max() for logs in looks) >= limit)
    assert missed / streams <= bound(0.05, streams)
