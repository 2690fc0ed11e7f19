"""Figures of a version against itself."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from sidecar.replay.changes.base import Change
from sidecar.replay.sensitivity import Mean, Sensitivity


def test_a_mean_has_the_normal_interval() -> None:
    mean = Mean()
    values = [0.1, 0.4, 0.35, 0.8]
    for value in values:
        mean.add(value)
    mean.add(math.nan)
    assert mean.value == pytest.approx(sum(values) / 4)
    half = 1.959964 * stats.sem(values)
    assert mean.half_width == pytest.approx(half)


@pytest.mark.parametrize(("flips", "calls"), [(0, 10), (3, 50), (50, 50), (1, 1)])
def test_flips_have_wilsons_interval(flips: int, calls: int) -> None:
    found = Sensitivity("v", Change("x", "missing"), calls=calls, flips=flips)
    low, high = stats.binomtest(flips, calls).proportion_ci(method="wilson")
    assert found.flip_interval == pytest.approx((low, high), abs=1e-9)


def test_nothing_is_known_without_calls() -> None:
    assert Sensitivity("v", Change("x", "missing")).flip_interval == (0.0, 1.0)
    assert math.isnan(Mean().value)
