"""Evidence from blocks of time: additive, mergeable, and never fooled by what is inside a block."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest

from sidecar.judge.evidence.betting import bets
from sidecar.judge.evidence.blocks import Blocks, shares_of
from sidecar.judge.evidence.mean_bets import MeanBets as Bets
from sidecar.judge.evidence.mixtures import Side, logmeanexp, threshold

SECOND = 1_000_000_000
START = 1_700_002_800 * SECOND  # a whole hour


LONG = (10, 60, 600, 3600)


def long_blocks(bets: Bets) -> Blocks:
    return Blocks(bets, lengths=LONG, keep=(360, 240, 144, 168))


def filled(means: list[float], calls: float = 100.0, margin: float = 0.01) -> Blocks:
    """A block of 10 s for each mean."""
    blocks = long_blocks(Bets(margin))
    for i, mean in enumerate(means):
        blocks.add(START + i * 10 * SECOND, calls, (mean * calls, mean * calls))
    blocks.advance(START + len(means) * 10 * SECOND)
    return blocks


def noisy(mean: float, blocks: int, seed: int = 1, calls: int = 100) -> list[float]:
    rng = np.random.default_rng(seed)
    return [float(x) / calls for x in rng.binomial(calls, mean, blocks)]


def test_an_open_block_is_no_evidence_yet() -> None:
    blocks = long_blocks(Bets(0.01))
    blocks.add(START, 100, (100, 100))
    assert blocks.evidence_for(10).log_fail == 0.0
    blocks.advance(START + 10 * SECOND)
    assert blocks.evidence_for(10).log_fail > 1.0


def test_evidence_is_the_betting_mixture_written_out() -> None:
    blocks = filled([0.0, 0.02, 0.05, 0.0])
    grid = bets(0.01, 0.0, 1.0, Side.FAIL)
    by_hand = sum(np.log1p(grid * (mean - 0.01)) for mean in (0.0, 0.02, 0.05, 0.0))
    assert blocks.evidence_for(10).log_fail == pytest.approx(float(logmeanexp(np.array(by_hand))))


def test_a_perfect_shadow_passes_soon_after_the_fewest_blocks_possible() -> None:
    fewest = threshold(0.025) / 0.01
    before, after = filled([0.0] * int(fewest)), filled([0.0] * int(1.25 * fewest))
    assert before.evidence_for(10).log_pass < threshold(0.025)
    assert after.evidence_for(10).log_pass > threshold(0.025)


def test_gross_harm_needs_three_blocks() -> None:
    assert filled([1.0] * 3).evidence_for(10).log_fail > threshold(0.025)


def test_a_block_counts_as_many_calls_as_it_has_and_what_was_won_by_small_ones_shrinks() -> None:
    calm = filled([0.0] * 500)
    assert calm.evidence_for(10).log_pass > threshold(0.025)
    calm.add(START + 5000 * SECOND, 1e6, (0, 0))
    calm.advance(START + 5010 * SECOND)
    assert calm.evidence_for(10).log_pass < 0.1  # as little as one block


@pytest.mark.parametrize("size", [150.0, 1000.0, 1e5])
def test_a_cap_that_grew_leaves_no_more_than_if_it_had_been_known(size: float) -> None:
    """And hardly less: the wealth between two bets of the grid is taken from below."""
    sums = noisy(0.004, 400)
    grown = filled(sums)
    grown.add(START + 4000 * SECOND, size, (0, 0))
    grown.advance(START + 4010 * SECOND)
    for side in Side:
        z = np.array([*((m - 0.01) * 100 / size for m in sums), -0.01])
        exact = np.log1p(z[:, None] * bets(0.01, 0.0, 1.0, side)).sum(axis=0)
        found = grown.evidence_for(10).side(side)
        assert found == pytest.approx(float(logmeanexp(exact)), abs=0.05)
        assert found <= float(logmeanexp(exact)) + 1e-9


def test_what_is_lost_counts_against_both_claims() -> None:
    blocks = long_blocks(Bets(0.01))
    for i in range(800):
        blocks.add(START + i * 10 * SECOND, 100, (5, 0))  # 5 % of the calls are missing
    blocks.advance(START + 8000 * SECOND)
    found = blocks.evidence()
    assert found.log_pass < 0
    assert found.log_fail < 0
    assert blocks.estimates == (0.0, 0.05)
    low, high = blocks.interval(0.05)
    assert low == 0.0
    assert high > 0.05


def test_longer_blocks_are_sums_of_shorter_ones() -> None:
    blocks = filled(noisy(0.02, 720))
    assert [blocks.blocks(s) for s in (10, 60, 600, 3600)] == [720, 120, 12, 2]
    rows = blocks.rows(60)
    assert sum(row[0] for _, row in rows) == 720 * 100
    assert blocks.rows(60, since=rows[-2][0]) == rows[-1:]


def test_independent_blocks_are_decided_on_at_the_shortest_length() -> None:
    chosen = filled(noisy(0.02, 400)).chosen()
    assert chosen.seconds == 10
    assert "not alike" in chosen.reason


def test_bursts_over_several_blocks_ask_for_longer_ones() -> None:
    rng = np.random.default_rng(3)
    means: list[float] = []
    while len(means) < 4000:
        means += [float(rng.random() < 0.1)] * 4  # 40 s each
    chosen = filled(means).chosen()
    assert chosen.seconds >= 60
    assert "those of" in chosen.reason


def test_where_nothing_differs_bursts_of_a_minute_are_assumed_and_it_is_said() -> None:
    chosen = filled([0.0] * 1000).chosen()
    assert chosen.seconds == 60
    assert "are assumed" in chosen.reason


def test_each_length_pays_its_share_of_alpha() -> None:
    blocks = filled(noisy(0.02, 400))
    assert sum(shares_of(4)) == pytest.approx(1)
    expected = max(
        blocks.evidence_for(s).log_fail + math.log(share)
        for s, share in zip(blocks.lengths, shares_of(4), strict=True)
    )
    assert blocks.evidence().log_fail == expected


def test_json_brings_everything_back_and_counting_goes_on() -> None:
    means = noisy(0.02, 3000)
    whole = filled(means)
    first = filled(means[:1777])
    again = Blocks.from_dict(json.loads(json.dumps(first.to_dict())))
    for i, mean in enumerate(means[1777:], start=1777):
        again.add(START + i * 10 * SECOND, 100, (mean * 100, mean * 100))
    again.advance(START + 30_000 * SECOND)
    for seconds in LONG:
        assert again.rows(seconds) == whole.rows(seconds)
        found, expected = again.evidence_for(seconds), whole.evidence_for(seconds)
        assert found.log_pass == pytest.approx(expected.log_pass)
        assert found.log_fail == pytest.approx(expected.log_fail)
    assert again.interval(0.05) == pytest.approx(whole.interval(0.05))


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 9"):
        Blocks.from_dict({**long_blocks(Bets(0.1)).to_dict(), "format": 9})


def test_a_late_score_counts_in_the_block_of_its_call() -> None:
    late, prompt = filled([0.0] * 100), filled([0.0] * 42 + [0.05] + [0.0] * 57)
    before = late.evidence_for(10)
    late.add(START + 420 * SECOND, 0, (5, 5))
    assert late.evidence_for(10).log_fail > before.log_fail
    for seconds in LONG:
        found, expected = late.evidence_for(seconds), prompt.evidence_for(seconds)
        assert found.log_fail == pytest.approx(expected.log_fail)
        assert found.log_pass == pytest.approx(expected.log_pass)
    assert late.estimates == prompt.estimates


def test_what_is_later_than_the_window_is_lost() -> None:
    blocks = Blocks(Bets(0.01), lengths=(10,), keep=(20,))
    for i in range(100):
        blocks.add(START + i * 10 * SECOND, 100, (0, 0))
    before = blocks.calls
    blocks.add(START, 5, (2, 2))
    assert blocks.late == 5
    assert blocks.calls == before + 5
    assert blocks.total[1:] == [5, 0], "worst for PASS, best for FAIL, whatever was said"
    blocks.add(START, 0, (5, 5))  # of a call that was counted: it stays unknown
    assert blocks.total[1:] == [5, 0]
    assert blocks.late == 6


@pytest.mark.parametrize("order", ["backwards", "shuffled", "shuffled and read"])
def test_what_comes_out_of_order_has_its_own_block_while_there_is_room(order: str) -> None:
    """From the last to the first, in any order, and from the first to the last, is the same."""
    backwards = Blocks(Bets(0.1), lengths=(10, 60), keep=(100, 100))
    forwards = Blocks(Bets(0.1), lengths=(10, 60), keep=(100, 100))
    means = noisy(0.05, 60)
    for i, mean in enumerate(means):
        forwards.add(START + i * 10 * SECOND, 100, (mean * 100, mean * 100))
    found_order = list(reversed(list(enumerate(means))))
    if order != "backwards":
        random.Random(order).shuffle(found_order)
    for i, mean in found_order:
        backwards.add(START + i * 10 * SECOND, 100, (mean * 100, mean * 100))
        if order != "shuffled":
            backwards.advance(START + 600 * SECOND)
    backwards.advance(START + 600 * SECOND)
    forwards.advance(START + 600 * SECOND)
    assert backwards.late == 0
    for seconds in (10, 60):
        rows, wanted = backwards.rows(seconds), forwards.rows(seconds)
        assert [number for number, _ in rows] == [number for number, _ in wanted]
        for (_, row), (_, expected_row) in zip(rows, wanted, strict=True):
            assert row == pytest.approx(expected_row)
        found, expected = backwards.evidence_for(seconds), forwards.evidence_for(seconds)
        assert found.log_pass == pytest.approx(expected.log_pass)
        assert found.log_fail == pytest.approx(expected.log_fail)


def test_what_comes_late_and_in_order_is_one_block_however_often_it_is_read() -> None:
    """As labels an hour late do: the clock has closed their hour before the first of them came."""
    read, told_at_once = (Blocks(Bets(0.1), lengths=(10, 60), keep=(100, 100)) for _ in "ab")
    for i, mean in enumerate(noisy(0.05, 60)):
        for blocks in (read, told_at_once):
            blocks.add(START + i * 10 * SECOND, 100, (mean * 100, mean * 100))
        read.advance(START + 7200 * SECOND)
        assert read.blocks(60) <= i // 6 + 1
    told_at_once.advance(START + 7200 * SECOND)
    for seconds in (10, 60):
        assert read.blocks(seconds) == told_at_once.blocks(seconds)
        found, expected = read.evidence_for(seconds), told_at_once.evidence_for(seconds)
        assert found.log_pass == pytest.approx(expected.log_pass)
        assert found.log_fail == pytest.approx(expected.log_fail)


def test_a_window_has_a_bound_whatever_comes_first() -> None:
    """As when one label of today is here, and those of the days before are imported then."""
    blocks, in_order = (Blocks(Bets(0.1), lengths=(10, 60), keep=(20, 20)) for _ in "ab")
    means = noisy(0.05, 400)
    newest = (START + 400 * 10 * SECOND, 100, (5, 5))
    blocks.add(*newest)
    blocks.advance(START + 500 * 10 * SECOND)
    for i, mean in enumerate(means):
        for some in (blocks, in_order):
            some.add(START + i * 10 * SECOND, 100, (mean * 100, mean * 100))
    in_order.add(*newest)
    in_order.advance(START + 500 * 10 * SECOND)
    assert blocks.late == 0
    assert blocks.total == pytest.approx(in_order.total)
    for seconds in (10, 60):
        assert len(blocks.rows(seconds)) <= 25
        assert blocks.blocks(seconds) == in_order.blocks(seconds)
        found, expected = blocks.evidence_for(seconds), in_order.evidence_for(seconds)
        assert found.log_pass == pytest.approx(expected.log_pass)
        assert found.log_fail == pytest.approx(expected.log_fail)


def test_pods_are_added_by_wall_clock_before_they_bet() -> None:
    """Two pods that fail together are one witness, not two."""
    means = noisy(0.03, 30)
    a, b = filled(means), filled(means)
    both = Blocks.merged([a, b])
    assert both.calls == a.calls + b.calls
    assert both.evidence_for(10).log_fail == pytest.approx(a.evidence_for(10).log_fail)


@pytest.mark.parametrize("blocks", [50, 2000])  # inside the window, and long past it
def test_merging_never_makes_more_of_pods_that_lived_together(blocks: int) -> None:
    means = noisy(0.02, blocks)
    alone = filled(means)
    merged = Blocks.merged([filled(means), filled(means), filled(means)])
    for seconds in alone.lengths:
        found, one = merged.evidence_for(seconds), alone.evidence_for(seconds)
        assert found.log_fail <= one.log_fail + 1e-6
        assert found.log_fail == pytest.approx(one.log_fail, rel=1e-3, abs=1e-6)


def test_pods_that_lived_one_after_the_other_add() -> None:
    means = noisy(0.02, 2000)
    first, second = filled(means[:1000]), long_blocks(Bets(0.01))
    for i, mean in enumerate(means[1000:], start=1000):
        second.add(START + i * 10 * SECOND, 100, (mean * 100, mean * 100))
    second.advance(START + 20_000 * SECOND)
    whole, merged = filled(means), Blocks.merged([second, first])
    assert merged.evidence_for(10).log_fail == pytest.approx(
        whole.evidence_for(10).log_fail, rel=0.02
    )
    assert merged.blocks(10) == 2000


def test_blocks_of_other_margins_do_not_merge() -> None:
    with pytest.raises(ValueError, match="cannot be merged"):
        Blocks.merged([long_blocks(Bets(0.1)), long_blocks(Bets(0.2))])


def test_memory_is_constant() -> None:
    short, long = filled(noisy(0.02, 12_000)), filled(noisy(0.02, 36_000))
    assert len(long.rows(10)) <= 450
    assert len(json.dumps(long.to_dict())) < 1.3 * len(json.dumps(short.to_dict()))


def test_hours_and_days_are_told() -> None:
    blocks = long_blocks(Bets(0.01))
    for hour in range(30):
        blocks.add(START + hour * 3600 * SECOND, 1, (0, 0))
    assert (blocks.hours_of_day, blocks.days_of_week) == (24, 3)


def test_calls_in_bursts_are_worth_fewer_calls() -> None:
    single = filled(noisy(0.05, 500))
    bursts = filled([float(x) for x in np.random.default_rng(2).random(500) < 0.05])
    assert single.effective_calls == pytest.approx(50_000, rel=0.25)
    assert bursts.effective_calls == pytest.approx(500, rel=0.25)


def seconds_of(means: list[float], calls: float = 50.0, **given: float) -> Blocks:
    """A block of one second for each mean."""
    blocks = Blocks(Bets(0.01, **given))
    for i, mean in enumerate(means):
        blocks.add(START + i * SECOND, calls, (mean * calls, mean * calls))
    blocks.advance(START + len(means) * SECOND)
    return blocks


def test_seconds_are_decided_on_once_longer_blocks_are_known_not_to_be_alike() -> None:
    means = noisy(0.03, 400, calls=50)
    assert seconds_of(means[:150]).chosen().seconds > 1
    assert seconds_of(means).chosen().seconds == 1


def test_before_a_day_is_over_only_harm_beyond_the_swing_is_proof() -> None:
    twice, thrice = noisy(0.02, 3600, calls=50), noisy(0.03, 3600, calls=50)
    assert seconds_of(twice, swing=1).evidence().log_fail > threshold(0.025)
    assert seconds_of(twice, swing=2).evidence().log_fail < threshold(0.025)
    assert seconds_of(thrice, swing=2).evidence().log_fail > threshold(0.025)


def test_whole_days_are_evidence_at_the_margin_itself() -> None:
    def days(mean: float, blocks: int) -> Blocks:
        found = Blocks(Bets(0.01, 2.0), lengths=(600, 3600), keep=(144, 168))
        for i, one in enumerate(noisy(mean, blocks, calls=1000)):
            found.add(START + i * 600 * SECOND, 1000, (one * 1000, one * 1000))
        found.advance(START + blocks * 600 * SECOND)
        return found

    limit = threshold(0.025)
    assert days(0.015, 143).evidence().log_fail < limit
    harmed = days(0.015, 145)
    assert harmed.days_over == 1
    assert harmed.evidence().log_fail > limit
    again = Blocks.from_dict(json.loads(json.dumps(harmed.to_dict())))
    assert again.evidence().log_fail == pytest.approx(harmed.evidence().log_fail)
    both = Blocks.merged([harmed, days(0.015, 145)])
    assert both.evidence().log_fail == pytest.approx(harmed.evidence().log_fail)


def test_hours_that_swing_around_the_margin_are_no_proof_of_anything() -> None:
    """The rate follows the hour, from nothing to twice the margin, through three days."""
    rng = np.random.default_rng(8)
    for swing, wrong in ((1.0, True), (2.0, False)):
        blocks = Blocks(Bets(0.01, swing), lengths=(60, 600, 3600), keep=(30, 30, 30))
        crossed = False
        for i in range(3 * 1440):
            rate = 0.01 * (1 + np.cos(2 * np.pi * i / 1440))
            k = float(rng.binomial(3000, rate))
            blocks.add(START + i * 60 * SECOND, 3000, (k, k))
            if i % 60 == 0:
                crossed = crossed or blocks.evidence().log_fail > threshold(0.025)
        assert crossed is wrong


def test_signed_scores_and_impossible_margins() -> None:
    blocks = long_blocks(Bets(0.02, 1.0, -1.0, 1.0))
    for i in range(400):
        blocks.add(START + i * 10 * SECOND, 10, (0, 0))
    blocks.advance(START + 4000 * SECOND)
    assert blocks.evidence_for(10).log_pass > threshold(0.025)
    with pytest.raises(ValueError, match="between"):
        long_blocks(Bets(0.0))


def test_what_becomes_known_of_calls_that_were_never_counted_makes_no_block() -> None:
    blocks = Blocks(Bets(0.01), lengths=(1, 10), keep=(100, 100))
    blocks.add(START, 0.0, (0.0, 0.0))
    for i in (0, 1, 5, 6):
        blocks.add(START + i * SECOND, 10.0, (0.0, 0.0))
    blocks.add(START + 3 * SECOND, 0.0, (0.0, 0.0))
    blocks.advance(START + 60 * SECOND)
    assert [number - START // SECOND for number, _ in blocks.rows(1)] == [0, 1, 5, 6]
    assert all(map(math.isfinite, blocks.interval(0.05)))
    assert math.isfinite(blocks.evidence().log_pass)


@pytest.mark.parametrize(("hours", "whole"), [(1, False), (17, False), (18, True), (24, True)])
def test_a_day_is_whole_only_if_most_of_its_hours_had_calls(hours: int, whole: bool) -> None:
    blocks = long_blocks(Bets(0.05, 2.0))
    for day in range(4):
        for tens in range(hours * 6):
            at = START + (day * 86_400 + tens * 600) * SECOND
            blocks.add(at, 1000, (35.0, 35.0))
    blocks.advance(START + 4 * 86_400 * SECOND)
    assert bool(blocks.days_over) is whole
    # Within the margin, but not if an hour may be half as bad as its day.
    assert (blocks.evidence().log_pass > 0) is whole
    again = Blocks.from_dict(json.loads(json.dumps(blocks.to_dict())))
    assert again.evidence() == blocks.evidence()


def test_a_day_of_one_hour_adds_nothing_to_whole_days() -> None:
    blocks = long_blocks(Bets(0.05, 2.0))
    told = []
    for hour in [*range(25), 48]:
        blocks.add(START + hour * 3600 * SECOND, 1000, (35.0, 35.0))
        blocks.advance(START + (hour + 1) * 3600 * SECOND)
        told.append(blocks.levels[-1].sums.days)
    assert told[-2] is not None
    assert told[-1] is not None
    assert told[-1].tolist() == told[-2].tolist()
