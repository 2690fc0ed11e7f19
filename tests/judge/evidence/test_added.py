"""What the tee adds to production's latency: never proven where it is nothing, soon where it is."""

from __future__ import annotations

from random import Random

import pytest

from sidecar.judge.evidence.added import ALPHA_PROOF, ROUND, SHOWN, Added


def pairs(
    added: Added, draw: Random, count: int, more_ms: float, swing_ms: float = 20.0
) -> int | None:
    """Slices whose load wanders; after how many pairs harm is proven."""
    load = 0.0
    for number in range(1, count + 1):
        load = 0.9 * load + draw.gauss(0, swing_ms)
        one, other = load + draw.expovariate(0.05), load + draw.expovariate(0.05)
        if added.add(one + more_ms, other):
            return number
    return None


@pytest.mark.parametrize("more_ms", [0.0, 5.0])
def test_what_may_be_added_is_hardly_ever_proven_to_be_too_much(more_ms: float) -> None:
    streams = 120
    proven = sum(
        pairs(Added(5.0), Random(seed), 250, more_ms) is not None for seed in range(streams)
    )
    assert proven <= ALPHA_PROOF * streams + 2


def test_gross_harm_is_proven_within_a_few_minutes() -> None:
    for seed in range(20):
        found = pairs(Added(5.0), Random(seed), 60, 200.0)
        assert found is not None
        assert found <= 12  # four minutes of periods of 20 s


def test_harm_that_begins_late_is_not_outvoted_by_the_calm_before_it() -> None:
    added, draw = Added(5.0), Random(1)
    assert pairs(added, draw, 5 * ROUND, -1.0) is None
    found = pairs(added, draw, 2 * ROUND, 200.0)
    assert found is not None


def test_the_interval_has_the_median_in_it_at_every_look() -> None:
    missed = 0
    for seed in range(60):
        added, draw = Added(1e9), Random(seed)
        for _ in range(20):
            pairs(added, draw, 10, 3.0)
            told = added.estimate()
            if told.low_ms is not None and told.high_ms is not None:
                assert told.low_ms <= told.high_ms
                if not told.low_ms <= 3.0 <= told.high_ms:
                    missed += 1
                    break
    assert missed <= 0.05 * 60 + 3


def test_little_is_known_at_first_and_much_is_forgotten_in_halves() -> None:
    added = Added(5.0)
    assert added.estimate().median_ms is None
    added.add(3.0, 1.0)
    told = added.estimate()
    assert (told.pairs, told.median_ms, told.low_ms, told.high_ms) == (1, 2.0, None, None)
    for _ in range(SHOWN):
        added.add(1.0, 1.0)
    assert added.estimate().pairs == SHOWN // 2 + 1
