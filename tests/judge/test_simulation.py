"""A short simulation with fixed seeds: what fooled evidence per call does not fool blocks."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.simulate_engine import Looks, Streams, lengths_of, look, look_at_calls
from benchmarks.simulate_streams import (
    bursts,
    independent,
    labelled,
    only_by_day,
    rate_by_hour,
    under_load,
    with_restarts,
)
from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.evidence.mean_bets import MeanBets
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


RATES = MeanBets(MARGIN, 2.0)


@pytest.mark.parametrize("swing", [1.0, 2.0])
def test_the_simulation_is_what_the_judge_computes(swing: float) -> None:
    claim = MeanBets(MARGIN, swing)
    for streams in (
        bursts(np.random.default_rng(1), 1, 2000, 0.02, 500),
        bursts(np.random.default_rng(1), 1, 200, 0.02, 20_000, seconds=600),
    ):
        looks = look(streams, claim)
        step = int(streams.seconds * SECOND)
        lengths = lengths_of(streams)
        blocks = Blocks(claim, lengths=lengths, keep=[100] * len(lengths))
        for i, (n, k) in enumerate(zip(streams.n[0], streams.worst[0], strict=True)):
            blocks.add(START + i * step, n, (k, k))
            blocks.advance(START + (i + 1) * step)
            if i % 17 == 0:
                found = blocks.evidence()
                assert found.log_pass == pytest.approx(looks.log_pass[0, i], abs=1e-6)
                assert found.log_fail == pytest.approx(looks.log_fail[0, i], abs=1e-6)


@pytest.mark.parametrize("calls", [20, 200, 2000])
def test_bursts_fool_calls_and_not_blocks(calls: int) -> None:
    streams = bursts(np.random.default_rng(calls), 60, 4320, MARGIN, calls, seconds=10)
    before, after = look_at_calls(streams, MARGIN), look(streams, RATES)
    assert share(before, Side.PASS) > 0.3
    for side in Side:
        assert share(after, side) <= few(60)


def test_bursts_are_not_taken_for_independent_seconds() -> None:
    after = look(bursts(np.random.default_rng(7), 60, 3600, MARGIN, 200), RATES)
    for side in Side:
        assert share(after, side) <= few(60)


@pytest.mark.parametrize("busy", [True, False])
@pytest.mark.parametrize("span", [1.0, 60.0])
def test_a_rate_that_goes_with_the_load_is_judged_by_calls_and_not_by_blocks(
    span: float, busy: bool
) -> None:
    """Exactly at the margin all harm is in the busy spans, or all of it in the others."""
    streams = under_load(np.random.default_rng(11), 60, 7200, 0.05, span=span, busy=busy)
    after = look(streams, MeanBets(0.05))
    for side in Side:
        late = after.first(side, LIMIT) > 600  # before, hardly a busy span has been seen
        assert float((np.isfinite(after.first(side, LIMIT)) & late).mean()) <= few(60)


def test_a_rate_that_follows_the_hour_fools_calls_and_not_whole_days() -> None:
    for make in (rate_by_hour, only_by_day):
        streams = make(np.random.default_rng(3), 40, 3 * 1440, MARGIN, seconds=60)
        assert share(look_at_calls(streams, MARGIN), Side.FAIL) > 0.5
        for side in Side:
            assert share(look(streams, RATES), side) <= few(40)


def test_restarts_of_the_observer_change_nothing() -> None:
    rng = np.random.default_rng(4)
    streams = independent(rng, 60, 2160, MARGIN, seconds=10)
    after = look(with_restarts(rng, streams, 20), RATES)
    assert share(after, Side.PASS) <= few(60)
    assert share(after, Side.FAIL) <= few(60)


@pytest.mark.parametrize("biased", [False, True])
def test_labels_that_never_come_decide_nothing(biased: bool) -> None:
    claim = MeanBets(0.02, 1.0, -1.0, 1.0)
    counted, ignored = labelled(np.random.default_rng(5), 40, 4320, 0.02, 0.1, biased, seconds=10)
    assert share(look(ignored, claim), Side.PASS) > 0.5  # what leaving them out would say
    assert share(look(counted, claim), Side.PASS) == 0
    assert share(look(counted, claim), Side.FAIL) == 0


def test_health_passes_and_gross_harm_fails_within_five_minutes() -> None:
    rng = np.random.default_rng(6)
    healthy = look(independent(rng, 20, 4000, 0.2 * MARGIN), RATES)
    harmed = look(independent(rng, 60, 600, 3 * MARGIN), RATES)
    assert share(healthy, Side.PASS) >= 0.9
    assert np.median(harmed.first(Side.FAIL, LIMIT)) <= 300


def test_nothing_is_never_a_verdict() -> None:
    nothing = np.zeros((3, 500))
    looks = look(Streams(nothing, nothing, nothing), RATES)
    assert share(looks, Side.PASS) == share(looks, Side.FAIL) == 0
