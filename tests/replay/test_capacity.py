"""What holds, what breaks, and what to configure. Pure; the loop itself runs in scenarios."""

from __future__ import annotations

import math

import pytest

from sidecar.replay.capacity import SLO, Capacity, Step, advise


def _step(rate: float, *, p99: float = 0.01, failed: int = 0, overflowed: int = 0) -> Step:
    sent = round(rate)
    return Step(rate, sent, sent - failed, failed, overflowed, p99 / 2, p99, p99)


@pytest.mark.parametrize(
    ("text", "quantile", "seconds"),
    [("p99=50ms", 0.99, 0.05), ("p50=0.2s", 0.5, 0.2), ("p99.9=1s", 0.999, 1), ("p5=1s", 0.05, 1)],
)
def test_an_slo_is_a_quantile_and_a_time(text: str, quantile: float, seconds: float) -> None:
    found = SLO.parse(text)
    assert (found.quantile, found.seconds) == pytest.approx((quantile, seconds))


@pytest.mark.parametrize("text", ["", "p99", "p99=50", "99=50ms", "p0=1s", "p99=-1s", "pinf=1s"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be such as p99=50ms"):
        SLO.parse(text)


def test_a_rate_holds_if_nearly_all_are_answered_in_time() -> None:
    slo = SLO(0.99, 0.05)
    assert _step(100).holds(slo)
    assert not _step(100, p99=0.06).holds(slo)
    assert not _step(100, failed=2).holds(slo)
    assert not _step(100, overflowed=10).holds(slo)
    assert not _step(100, p99=math.inf).holds(SLO(0.99, 10.0))


def test_advice_leaves_room_and_follows_littles_law() -> None:
    advice = advise(Capacity((_step(100, p99=0.1), _step(200, p99=5.0)), 100, 200), 400.0)
    assert advice is not None
    assert advice.rate == pytest.approx(80)
    assert advice.concurrency == 8
    assert advice.queue_calls == 160
    assert advice.fraction == pytest.approx(0.2)


def test_without_a_rate_that_holds_there_is_no_advice() -> None:
    assert advise(Capacity((_step(10, p99=9),), 0.0, 10.0), None) is None
