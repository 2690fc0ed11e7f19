"""Verdicts from blocks of wall-clock time: what fooled a verdict from calls does not fool them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from sidecar.judge.counts import Coverage
from sidecar.judge.evidence.effective import digest_of
from sidecar.judge.judge import Judge
from sidecar.judge.labels import Label
from sidecar.judge.report import State, Verdict
from tests.judge.pairs import SECOND, compared, failed, pair, required, settings

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


def test_nothing_passes_on_what_was_good_before_its_time_was_up() -> None:
    declared = required("disagreement", 0.2)
    asked = {"independent_calls": False, "repeat_seconds": 0.0, "min_duration_seconds": 21_600.0}
    judge = Judge(settings(declared, **asked), "pod", 0)
    now = _feed(judge, [False] * (RATE * 3600))
    assert _verdict(judge, now).criteria[0].state is State.PASS
    differ = np.random.default_rng(1).random(RATE * 5 * 3600) < 0.36
    now = _feed(judge, differ.tolist(), RATE * 3600)
    found = _verdict(judge, now)
    assert (found.criteria[0].estimate or 0.0) > 0.25
    assert found.state is State.WATCHING
    assert found.criteria[0].state is State.WATCHING


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


def test_several_shadows_share_what_a_pass_may_err() -> None:
    states = []
    for candidates in (1, 40):
        judge = _judge(candidates=candidates)
        now = _feed(judge, [False] * (RATE * 7800))
        states.append(_verdict(judge, now).state)
    assert states == [State.PASS, State.WATCHING]


def test_calls_that_are_alike_are_worth_few_and_do_not_pass() -> None:
    """Half a minute in a thousand everything differs: bursts, each worth one call."""
    judge = _judge(min_effective_calls=1e6)
    now = _feed(judge, [i % (RATE * 1000) < RATE * 3 for i in range(RATE * 36_000)])
    found = _verdict(judge, now)
    assert found.state is State.WATCHING
    assert "independent ones" in found.reason or "blocks so far" in found.reason


def test_a_pass_names_the_slices_that_it_is_not_shown_for() -> None:
    chosen = settings(
        SAME,
        independent_calls=False,
        repeat_seconds=0.0,
        swing=1,
        slices=[{"source": "metadata:tier"}],
    )
    judge = Judge(chosen, "pod", 0)
    for i in range(RATE * 7800):
        at = i * SECOND // RATE
        tier = "gold" if i % 9000 == 7 else "free"
        judge.observe(pair(i, arrived_ns=at, slices=(("tier", tier),)), at)
    found = _verdict(judge, 7800 * SECOND)
    assert found.state is State.PASS
    assert "not shown for: tier=gold (4 calls)" in found.reason, found.reason
    free = next(s for s in found.slices if s.slice == "tier=free")
    assert free.blocks is not None
    assert free.blocks > 30


def test_labels_that_come_all_at_once_count_in_the_blocks_of_their_calls() -> None:
    right = required("accuracy", 0.05, decision={"threshold": 0.5})
    chosen = settings(right, independent_calls=False, repeat_seconds=0.0, swing=1, min_blocks=0)
    judge = Judge(chosen, "pod", 0)
    for i in range(RATE * 600):
        at = i * SECOND // RATE
        judge.observe(pair(i, arrived_ns=at, values={"score": (0.9, 0.1 if i % 3 else 0.9)}), at)
    assert _verdict(judge, 600 * SECOND).state is State.WATCHING
    for i in range(RATE * 600):
        judge.label(Label(f"id-{i}", 1), 600 * SECOND)
    found = _verdict(judge, 601 * SECOND)
    assert found.state is State.FAIL, found.reason
    assert found.criteria[0].blocks is not None
    assert found.criteria[0].blocks >= 10


@pytest.mark.parametrize("harmed", [False, True], ids=["well", "harmed"])
def test_after_a_pass_harm_is_seen_by_labels_that_come_half_an_hour_late(harmed: bool) -> None:
    """A fifth of the calls differ, half of them rightly; harm after the PASS is all of them."""
    accuracy = required("accuracy", 0.2, outputs="p", decision={"threshold": 0.5})
    judge = Judge(
        settings(accuracy, independent_calls=False, min_blocks=30, swing=1, slices=()), "pod", 0
    )
    rng = np.random.default_rng(1)
    late, passed, failed_at = 1800, 0, 0
    for second in range(0, 4 * 3600, 2):
        now = second * SECOND
        worse = harmed and passed
        one = np.float64(0.9), np.float64(0.1 if worse or rng.random() < 0.2 else 0.9)
        judge.observe(pair(second, arrived_ns=now, values={"p": one}), now)
        about = second - late
        if about >= 0:
            bad = worse and about > passed
            judge.label(Label(f"id-{about}", 1 if bad else int(rng.integers(2))), now)
        if second % 120 == 0:
            found = judge.verdict(now, Coverage(second + 1, second + 1))
            if found.state is State.PASS:
                passed = passed or second
            if found.state is State.FAIL:
                failed_at = second
                break
    assert passed
    if harmed:
        assert passed + late < failed_at < passed + late + 1200, found.reason
        assert "worse since" in found.reason
    else:
        assert not failed_at


def test_slices_by_the_truth_are_known_with_the_label() -> None:
    right = required("accuracy", 0.05, decision={"threshold": 0.5}, labels="sample")
    judge = Judge(settings(right, repeat_seconds=0.0, slices=[{"source": "label"}]), "pod", 0)
    for i in range(3000):
        truth = i % 2
        wrong = truth == 1 and i % 8 == 1
        said = 0.9 if truth else 0.1
        judge.observe(pair(i, values={"score": (said, 1 - said if wrong else said)}), i)
        judge.label(Label(f"id-{i}", truth), i)
    slices = {s.slice: s for s in _verdict(judge, 10**12, 3000).slices}
    assert slices["label=1"].estimate == pytest.approx(0.25, abs=0.01)
    assert slices["label=0"].estimate == pytest.approx(0.0, abs=1e-9)


def test_a_control_that_gives_no_answer_is_no_proof_of_harm() -> None:
    from dataclasses import replace as changed

    from sidecar.judge.pair import ControlTimes

    noise = required("disagreement", 0.05)
    chosen = settings(noise, independent_calls=False, repeat_seconds=0.0, swing=1)
    found = []
    for lost in (False, True):
        judge = Judge(chosen, "pod", 0, control_fraction=1.0)
        for i in range(RATE * 1200):
            at = i * SECOND // RATE
            call = pair(i, i % 4 == 0, arrived_ns=at, control_times=ControlTimes(failed=lost))
            alike = None if lost else compared(models=("m:1", "m:1"))
            judge.observe(changed(call, control=alike), at)
        plan_fails = _verdict(judge, 1200 * SECOND).criteria[0]
        found.append((plan_fails.state, plan_fails.log_fail))
    assert found[0][0] is State.FAIL
    assert found[1][0] is State.WATCHING


def test_thirty_calls_again_and_again_do_not_pass_for_thousands() -> None:
    """An hour of one load test's three inputs: nothing differs, and little was asked."""
    few, many = _judge(min_distinct_inputs=30), _judge(min_distinct_inputs=30)
    for i in range(RATE * 7200):
        at = i * SECOND // RATE
        few.observe(pair(i, arrived_ns=at, request_digest=digest_of("m", [b"%d" % (i % 3)])), at)
        many.observe(pair(i, arrived_ns=at, request_digest=None), at)
    found = _verdict(few, 7200 * SECOND)
    assert found.state is State.WATCHING
    assert "3.0 of at least 30 distinct inputs" in found.reason
    assert found.distinct_inputs == pytest.approx(3.0)
    unknown = _verdict(many, 7200 * SECOND)
    assert unknown.distinct_inputs is None
    assert unknown.state is State.PASS, "where requests are not known nothing is held back"
