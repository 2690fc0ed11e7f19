"""Each new stream is as likely to be sampled as any other."""

from __future__ import annotations

import random
from itertools import pairwise
from math import sqrt

import pytest

from sidecar.wire.sample import Sampler

STREAMS = 40_000


def drawn(it: Sampler) -> bool:
    """Whether the next stream is sampled, asked as the walk asks."""
    if it.passed_over:
        it.passed_over -= 1
        return False
    it.again()
    return True


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.93])
def test_streams_are_sampled_independently_with_the_share_that_was_asked_for(
    fraction: float,
) -> None:
    it = Sampler(random.Random(7).random, fraction)
    said = [drawn(it) for _ in range(STREAMS)]
    error = 4 * sqrt(fraction * (1 - fraction) / STREAMS)
    assert sum(said) / STREAMS == pytest.approx(fraction, abs=error)
    # Neighbours say nothing about each other.
    both = sum(one and other for one, other in pairwise(said)) / STREAMS
    error = 4 * sqrt(fraction**2 * (1 - fraction**2) / STREAMS) + 1 / STREAMS
    assert both == pytest.approx(fraction**2, abs=error)


def test_asking_again_and_again_changes_nothing_about_the_share() -> None:
    it = Sampler(random.Random(7).random, 0.2)
    found = 0
    for number in range(STREAMS):
        if number % 3 == 0:
            it.ask(1.0)
            it.ask(0.2)
        found += drawn(it)
    assert found / STREAMS == pytest.approx(0.2, abs=4 * sqrt(0.2 * 0.8 / STREAMS))


@pytest.mark.parametrize(("fraction", "sampled"), [(0.0, 0), (5e-324, 0), (1e-12, 0), (1.0, 1000)])
def test_all_nothing_and_next_to_nothing_can_be_asked_for(fraction: float, sampled: int) -> None:
    it = Sampler(random.Random(7).random, fraction)
    assert sum(drawn(it) for _ in range(1000)) == sampled
    assert it.everything == (fraction == 1.0)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_the_least_and_the_largest_draw_are_of_use(uniform: float) -> None:
    it = Sampler(lambda: uniform, 0.5)
    assert it.passed_over == (53 if uniform else 0)
