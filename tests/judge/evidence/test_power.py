"""The time that is foretold is the time that streams take."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.simulate_engine import look
from benchmarks.simulate_streams import DAY, independent
from sidecar.judge.evidence.mean_bets import MeanBets
from sidecar.judge.evidence.mixtures import Side, threshold
from sidecar.judge.evidence.power import seconds_until, spread_of_rate

MARGIN = 0.01


def told(effect: float, swing: float, calls: float = 50.0) -> float | None:
    rate = effect * MARGIN
    side = Side.PASS if effect < 1 else Side.FAIL
    claim = MeanBets(MARGIN, swing)
    return seconds_until(claim, side, rate, spread_of_rate(rate), calls, 0.025)


@pytest.mark.parametrize(("effect", "swing"), [(0.2, 1), (0.5, 1), (0.2, 2), (3.0, 2), (1.5, 1)])
def test_what_is_foretold_is_what_streams_take(effect: float, swing: float) -> None:
    side = Side.PASS if effect < 1 else Side.FAIL
    streams = independent(np.random.default_rng(1), 15, 60_000, effect * MARGIN, 0.1)
    found = np.median(look(streams, MeanBets(MARGIN, swing)).first(side, threshold(0.025))) * 0.1
    assert told(effect, swing) == pytest.approx(float(found), rel=0.6)


def test_at_the_moved_margin_a_day_is_waited_for() -> None:
    assert told(2.0, 2) == pytest.approx(DAY, rel=0.01)
    assert told(0.8, 2) == pytest.approx(DAY, rel=0.01)


def test_at_the_margin_itself_there_is_never_a_decision() -> None:
    claim = MeanBets(MARGIN)
    for side in Side:
        assert seconds_until(claim, side, MARGIN, spread_of_rate(MARGIN), 50, 0.025) is None


def test_fewer_calls_take_longer_and_no_calls_forever() -> None:
    few, many = told(0.5, 1, calls=5), told(0.5, 1, calls=50)
    assert few is not None
    assert many is not None
    assert few > many
    assert told(0.5, 1, calls=1e-9) is None
