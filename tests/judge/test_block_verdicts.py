"""Verdicts from blocks of wall-clock time: what fooled a verdict from calls does not fool them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from sidecar.judge.counts import Coverage
from sidecar.judge.judge import Judge
from sidecar.judge.report import State, Verdict
from tests.judge.pairs import SECOND, failed, pair, required, settings

RATE = 5  # calls a second
SAME = required("disagreement", 0.05)


def _judge(**given: object) -> Judge:
    chosen = {
        "independent_calls": False,
        "repeat_seconds": 0.0,
        "min_blocks": 30,
        "swing": 1,
        **given,
    }
    return Judge(settings(SAME, **chosen), "pod", 0)


def _feed(judge: Judge, differ: Iterable[bool], first: int = 0) -> int:
    """Calls at a steady rate; the time after the last, in nanoseconds."""
    i = first
    for i, one in enumerate(differ, first):
        at = i * SECOND // RATE
        judge.observe(pair(i, bool(one), arrived_ns=at), at)
    return (i + 1) * SECOND // RATE


def _verdict(judge: Judge, now_ns: int, calls: int = 100) -> Verdict:
    return judge.verdict(now_ns, Coverage(calls, calls))


def test_an_equal_candidate_passes_in_the_end_and_says_what_it_was_seen_in() -> None:
    judge = _judge()
    now = _feed(judge, [False] * (RATE * 7200))
    found = _verdict(judge, now)
    assert found.state is State.PASS, found.reason
    assert "seen in 2 of 24 hours of a day" in found.reason or "seen in" in found.reason
    assert "blocks of" in found.criteria[0].basis
    assert found.hours_of_day in {2, 3}


def test_a_few_minutes_of_agreement_are_not_enough() -> None:
    """From calls alone these would pass: 600 calls, none of which differ."""
    calls = Judge(settings(SAME, repeat_seconds=0.0), "pod", 0)
    blocks = _judge(min_blocks=0)
    for judge in (calls, blocks):
        _feed(judge, [False] * 600)
    assert _verdict(calls, 120 * SECOND).state is State.PASS
    assert _verdict(blocks, 120 * SECOND).state is State.WATCHING


def test_gross_harm_fails_within_five_minutes() -> None:
    judge = _judge()
    draws = np.random.default_rng(1).random(RATE * 300)
    now = _feed(judge, draws < 0.3)
    assert _verdict(judge, now).state is State.FAIL


def test_what_may_be_the_hour_is_told_and_decided_when_a_day_is_over() -> None:
    judge = _judge(swing=2, block_seconds=(600, 3600))
    differ = np.random.default_rng(1).random(90_000) < 0.08
    for i, one in enumerate(differ.tolist()):
        judge.observe(pair(i, one, arrived_ns=i * SECOND), i * SECOND)
        if i == 7200:
            found = _verdict(judge, i * SECOND)
            assert found.state is State.WATCHING
            assert "before a whole day is over" in found.reason
    assert _verdict(judge, 90_000 * SECOND).state is State.FAIL


def test_bursts_at_the_margin_fool_calls_and_not_blocks() -> None:
    """Ten streams of bursts of 200 calls at exactly the margin, looked at after every block."""
    wrong = {True: 0, False: 0}
    for independent in wrong:
        for seed in range(10):
            rng = np.random.default_rng(seed)
            judge = _judge(independent_calls=independent, min_blocks=0)
            bursts = rng.random(40) < SAME.margin
            state, i = State.WATCHING, 0
            for burst in bursts:
                now = _feed(judge, [bool(burst)] * 200, i)
                i += 200
                state = _verdict(judge, now).state
                if state in {State.PASS, State.FAIL}:
                    break
            wrong[independent] += state in {State.PASS, State.FAIL}
    assert wrong[True] >= 8
    assert wrong[False] <= 2


def test_calls_that_were_lost_count_as_the_worst_for_a_pass() -> None:
    """A tenth of the calls is missing, and all of those would have disagreed."""
    judge = _judge(coverage_floor=0.0)
    for minute in range(240):
        now = _feed(judge, [False] * (RATE * 54), minute * RATE * 60)
        judge.lose({"breaker_open": RATE * 6}, now)
    found = _verdict(judge, 240 * 60 * SECOND)
    assert found.state is not State.PASS, found.reason
    assert found.state is not State.FAIL, "nor is it proof of harm"
    assert found.lost == {"breaker_open": 240 * RATE * 6}
    low, high = found.criteria[0].bounds or (0.0, 0.0)
    assert (low, high) == pytest.approx((0.0, 0.1))


def test_a_pass_is_watched_and_harm_that_begins_later_is_told() -> None:
    judge = _judge()
    now = _feed(judge, [False] * (RATE * 7200))
    assert _verdict(judge, now).state is State.PASS
    now = _feed(judge, [True] * (RATE * 360), RATE * 7200)
    found = _verdict(judge, now)
    assert found.state is State.FAIL
    assert "passed at 1970-01-01 02:00:00 UTC, worse since 1970-01-01 02:00" in found.reason


def test_a_pass_stands_while_nothing_becomes_worse() -> None:
    judge = _judge()
    now = _feed(judge, [False] * (RATE * 7200))
    assert _verdict(judge, now).state is State.PASS
    now = _feed(judge, [False] * (RATE * 3600), RATE * 7200)
    assert _verdict(judge, now).state is State.PASS


def test_a_fail_stands_however_well_things_go_later() -> None:
    judge = _judge()
    now = _feed(judge, [True] * (RATE * 300))
    assert _verdict(judge, now).state is State.FAIL
    now = _feed(judge, [False] * (RATE * 3600), RATE * 300)
    assert _verdict(judge, now).state is State.FAIL


def test_a_shadow_that_is_down_five_seconds_in_a_hundred_never_passes_at_one_percent() -> None:
    errors = required("shadow_error_rate", 0.01)
    chosen = settings(errors, independent_calls=False, repeat_seconds=0.0, coverage_floor=0.0)
    judge = Judge(chosen, "pod", 0)
    for i in range(RATE * 14_400):
        at = i * SECOND // RATE
        second = at // SECOND % 100
        if second < 1:
            judge.observe(failed(i, arrived_ns=at), at)
        elif second < 5:
            judge.lose({"breaker_open": 1}, at)  # what the breaker spared the shadow
        else:
            judge.observe(pair(i, arrived_ns=at), at)
    assert _verdict(judge, 14_400 * SECOND).state is not State.PASS


def test_an_hour_is_the_least_for_a_pass_by_default() -> None:
    from sidecar.judge.settings import JudgeSettings

    assert JudgeSettings().min_duration_seconds == 3600
    assert JudgeSettings().independent_calls is False
