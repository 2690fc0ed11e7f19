"""After a PASS: harm is found within blocks, and health is left alone."""

from __future__ import annotations

import json
import math
from collections import defaultdict

import numpy as np
import pytest

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


DIFFERING = 20  # calls of a block whose decisions differ, so that a label tells them apart
HALF_AN_HOUR = 180  # blocks of ten seconds


def _looks(
    scores: np.ndarray,
    delays: np.ndarray,
    begin: int = 30,
    keep: int = 2160,
    run_length: float = 100_000.0,
) -> tuple[Watch, list[bool], list[float]]:
    """Ten-second blocks whose calls are labelled so many blocks later, looked at after each.

    Returns:
        The watch, whether it had fired at each look, and what it was fed for good.
    """
    blocks = Blocks(MeanBets(0.02, 1.0, -1.0, 1.0), keep=(150, 300, keep, 90, 90, 90))
    watch = Watch(0.02, -1.0, 1.0, run_length=run_length)
    due: dict[int, list[tuple[int, float]]] = defaultdict(list)
    fired, wealth = [], []
    for i, row in enumerate(scores):
        at = i * 10 * SECOND
        open_ = float(len(row))
        blocks.add(at, open_, (open_, -open_))
        for score, delay in zip(row, delays[i], strict=True):
            due[i + int(delay)].append((at, float(score)))
        for called, score in due.pop(i, ()):
            blocks.add(called, 0.0, (score - 1.0, score + 1.0))
        blocks.advance(at + 10 * SECOND)
        if i == begin:
            watch.begin_after(blocks)
        fired.append(i > begin and watch.follow(blocks))
        wealth.append(watch.log_evidence)
    return watch, fired, wealth


def _harmed(rng: np.random.Generator, well: int, ill: int) -> np.ndarray:
    rate = np.repeat([0.0, 0.9], [well, ill])[:, None]
    return (rng.random((well + ill, DIFFERING)) < rate).astype(float)


@pytest.mark.parametrize("late", [0, HALF_AN_HOUR])
def test_harm_is_found_soon_after_its_labels_come(late: int) -> None:
    scores = _harmed(np.random.default_rng(2), 360, 360)
    watch, fired, _ = _looks(scores, np.full(scores.shape, late))
    assert 360 + late <= fired.index(True) <= 360 + late + 20
    assert watch.worse_since is not None
    assert abs(watch.worse_since - 360) <= 6, "when it began is told by its calls, not its labels"


def test_labels_that_come_at_any_time_never_fire_where_all_of_them_would_not() -> None:
    """So the mean time to a false alarm is that of a detector that knew every label at once."""
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(12):
        bad = (rng.random((400, 1)) < 0.02).repeat(DIFFERING, axis=1).astype(float)
        delays = rng.exponential(40, bad.shape) * np.where(bad > 0, 0.1, 1.0)  # bad news is quick
        _, late, _ = _looks(bad, delays, run_length=20)
        _, prompt, _ = _looks(bad, np.zeros(bad.shape), run_length=20)
        alarms += prompt[-1]
        assert all(soon for soon, there in zip(prompt, late, strict=True) if there)
    assert alarms, "there is something to be wrong about"


def test_blocks_that_left_the_window_are_fed_for_good_and_the_rest_again() -> None:
    scores = np.zeros((200, DIFFERING))
    watch, fired, wealth = _looks(scores, np.zeros(scores.shape), keep=100)
    assert not any(fired)
    assert wealth[100] == -math.inf
    assert watch.last == 200 - 1 - 100


def test_of_a_sample_of_labels_blocks_are_looked_at_when_all_their_labels_are_here() -> None:
    blocks = Blocks(MeanBets(0.02, 1.0, -1.0, 1.0))
    watch = Watch(0.02, -1.0, 1.0)
    for i in range(60):
        blocks.add(i * 10 * SECOND, 1.0, (0.0, 0.0) if i < 20 else (1.0, 1.0))
    blocks.advance(600 * SECOND)
    watch.begin_after(Blocks(MeanBets(0.02, 1.0, -1.0, 1.0)))
    assert not watch.follow(blocks, 200 * SECOND)
    assert watch.follow(blocks, 600 * SECOND)
