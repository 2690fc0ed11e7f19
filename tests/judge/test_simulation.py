"""A short simulation with fixed seeds: what fooled evidence per call does not fool blocks."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.simulate_engine import Looks, Streams, look, look_at_calls
from benchmarks.simulate_streams import bursts, independent, labelled, with_restarts
from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.evidence.mixtures import Side, threshold

LIMIT = threshold(0.025)
MARGIN = 0.01
SECOND = 1_000_000_000
START = 1_700_006_400 * SECOND  # a whole hour


def share(looks: Looks, side: Side) -> float:
    return float(np.isfinite(looks.first(side, LIMIT)).mean())


def few(streams: int) -> float:
    """alpha and two standard errors."""
    return 0.025 + 2 * float(np.sqrt(0.025 * 0.975 / streams))


def test_the_simulation_is_what_the_judge_computes() -> None:
    streams = bursts(np.random.default_rng(1), 1, 800, 0.02, 2000)
    looks = look(streams)
    blocks = Blocks(MARGIN)
    for i, (n, k) in enumerate(zip(streams.n[0], streams.worst[0], strict=True)):
        blocks.add(START + i * 10 * SECOND, n, k, k)
        blocks.advance(START + (i + 1) * 10 * SECOND)
        if i % 7 == 0:
            found = blocks.evidence()
            assert found.log_pass == pytest.approx(looks.log_pass[0, i], abs=1e-6)
            assert found.log_fail == pytest.approx(looks.log_fail[0, i], abs=1e-6)


@pytest.mark.parametrize("calls", [20, 200, 2000])
def test_bursts_fool_calls_and_not_blocks(calls: int) -> None:
    streams = bursts(np.random.default_rng(calls), 60, 4320, MARGIN, calls)
    before, after = look_at_calls(streams, MARGIN), look(streams)
    assert share(before, Side.PASS) > 0.3
    for side in Side:
        assert share(after, side) <= few(60)


def test_restarts_of_the_observer_change_nothing() -> None:
    rng = np.random.default_rng(4)
    after = look(with_restarts(rng, independent(rng, 60, 2160, MARGIN), 20))
    assert share(after, Side.PASS) <= few(60)
    assert share(after, Side.FAIL) <= few(60)


@pytest.mark.parametrize("biased", [False, True])
def test_labels_that_never_come_decide_nothing(biased: bool) -> None:
    bound = (0.02, -1.0, 1.0)
    counted, ignored = labelled(np.random.default_rng(5), 40, 4320, 0.02, 0.1, biased)
    assert share(look(ignored, bound), Side.PASS) > 0.5  # what leaving them out would say
    assert share(look(counted, bound), Side.PASS) == 0
    assert share(look(counted, bound), Side.FAIL) == 0


def test_health_passes_and_gross_harm_fails_within_five_minutes() -> None:
    rng = np.random.default_rng(6)
    healthy = look(independent(rng, 20, 4320, 0.2 * MARGIN))
    harmed = look(independent(rng, 60, 60, 3 * MARGIN))
    assert share(healthy, Side.PASS) == 1
    assert np.median(harmed.first(Side.FAIL, LIMIT)) <= 30


def test_nothing_is_never_a_verdict() -> None:
    nothing = np.zeros((3, 500))
    looks = look(Streams(nothing, nothing, nothing))
    assert share(looks, Side.PASS) == share(looks, Side.FAIL) == 0
