"""After a PASS: harm is found within blocks, and health is left alone."""

from __future__ import annotations

import json

import numpy as np

from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.evidence.mean_bets import MeanBets
from sidecar.judge.evidence.watch import Watch

SECOND = 1_000_000_000


def test_harm_after_a_long_good_time_is_found_in_four_blocks() -> None:
    watch = Watch(0.01)
    for number in range(10_000):
        assert not watch.update(number, 100, 0)
    blocks = 0
    while not watch.update(10_000 + blocks, 100, 100):
        blocks += 1
        assert blocks < 4
    assert watch.worse_since == 10_000
    assert watch.worse_since_ns == 100_000 * SECOND


def test_when_harm_began_is_told_within_some_blocks_however_noisy_the_good_time_was() -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        watch = Watch(0.05)
        for number in range(2000):
            watch.update(number, 20, rng.binomial(20, 0.02))
        number = 2000
        while not watch.update(number, 20, rng.binomial(20, 0.3)):
            number += 1
        assert watch.worse_since is not None
        assert 1990 <= watch.worse_since <= 2005


def test_at_the_margin_it_runs_as_long_as_promised() -> None:
    rng = np.random.default_rng(5)
    lengths = []
    for _ in range(60):
        watch = Watch(0.05, run_length=40)
        number = 0
        while number < 400 and not watch.update(number, 50, rng.binomial(50, 0.05)):
            number += 1
        lengths.append(number)
    assert np.mean(lengths) >= 40


def test_it_goes_on_from_json() -> None:
    watch = Watch(0.01, seconds=60)
    for number in range(50):
        watch.update(number, 100, number % 3)
    again = Watch.from_dict(json.loads(json.dumps(watch.to_dict())))
    assert again.log_evidence == watch.log_evidence
    assert again.update(50, 100, 60) == watch.update(50, 100, 60)
    assert again.to_dict() == watch.to_dict()


def test_it_follows_the_blocks_from_the_decision_on() -> None:
    blocks = Blocks(MeanBets(0.01))
    for i in range(100):
        blocks.add(i * 10 * SECOND, 100, (100, 100))
    blocks.advance(1000 * SECOND)
    watch = Watch(0.01)
    watch.begin_after(blocks)
    assert not watch.follow(blocks)
    for i in range(100, 104):
        blocks.add(i * 10 * SECOND, 100, (100, 100))
    blocks.advance(1040 * SECOND)
    assert watch.follow(blocks)
