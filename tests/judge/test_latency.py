"""Latency: two identical servers are not told apart, a slower one is, a dead one has none."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from sidecar.judge.counts import Coverage
from sidecar.judge.criteria.base import Criterion
from sidecar.judge.evidence.histogram import bucket
from sidecar.judge.evidence.mixtures import Floats
from sidecar.judge.judge import Judge
from sidecar.judge.levels import WARMUP, Levels, part_above
from sidecar.judge.pair import ControlTimes, JudgedPair
from sidecar.judge.report import CriterionVerdict, State
from sidecar.judge.settings import LatencySettings, untrusted
from sidecar.judge.times import times_of
from tests.judge.pairs import MS, SECOND, failed, pair, required, settings

KINDS = {
    "p50": required("latency_ratio", 0.1, quantile=0.5),
    "p95": required("latency_ratio", 0.2, quantile=0.95),
    "per call": required("latency_per_call", 0.1),
    "mean": required("latency_difference", 0.002, range_seconds=0.1),
}
EVERY = pytest.mark.parametrize("criterion", KINDS.values(), ids=KINDS)
CALLS, BLOCKS = 50, 40  # in each block of a second, and how many


def beside(i: int, production: float, shadow: float, control: float, at_ns: int) -> JudgedPair:
    """A call that all three answered, in milliseconds."""
    return pair(
        i,
        arrived_ns=at_ns,
        production_latency_ns=round(production * MS),
        shadow_latency_ns=round(shadow * MS),
        control_times=ControlTimes(round(control * MS)),
    )


def verdict_of(
    criterion: Criterion,
    call: Callable[[int, int], JudgedPair],
    *,
    control: float = 1.0,
    blocks: int = BLOCKS,
    calls: int = CALLS,
    lost: int = 0,
    lengths: tuple[int, ...] = (1,),
) -> CriterionVerdict:
    """What is said of so many blocks; `call` is given the call's and the block's number."""
    declared = settings(
        criterion,
        independent_calls=False,
        block_seconds=lengths,
        unseen_seconds=10.0,
        swing=1.0,
        repeat_seconds=0.0,
        min_blocks=0,
    )
    judge = Judge(declared, "pod", 0, control_fraction=control)
    for b in range(blocks):
        for i in range(calls):
            judge.observe(call(b * calls + i, b), b * SECOND + i * SECOND // calls)
        if lost:
            judge.lose({"queue_full": lost}, b * SECOND + SECOND // 2)
    n = blocks * calls
    return judge.verdict((blocks + 1) * SECOND, Coverage(n, n + lost * blocks)).criteria[0]


def noisy(seed: int, slower: float = 1.0) -> Callable[[int, int], JudgedPair]:
    """Calls of hugely different sizes on a machine that is busy for some seconds now and then."""
    rng = np.random.default_rng(seed)
    busy = np.exp(rng.normal(0, 1.0, BLOCKS) * (rng.random(BLOCKS) < 0.3))
    extra = rng.exponential(1.0, (2, BLOCKS))  # of one side or the other, for a whole block

    def call(i: int, b: int) -> JudgedPair:
        size = 5 * math.exp(rng.normal()) * busy[b]
        a, c, k = (size * math.exp(rng.normal(0, 0.3)) for _ in range(3))
        # The observer, too, comes late; in both of its halves alike, whichever is asked first.
        return beside(i, a, 3 + c * slower + extra[0, b], 3 + k + extra[1, b], b * SECOND)

    return call


@EVERY
def test_identical_servers_beside_a_control_never_fail_however_busy_the_machine(
    criterion: Criterion,
) -> None:
    found = [verdict_of(criterion, noisy(seed)).state for seed in range(12)]
    assert State.FAIL not in found


@EVERY
def test_a_shadow_three_times_as_slow_fails_beside_a_control(criterion: Criterion) -> None:
    found = verdict_of(criterion, noisy(1, slower=3.0))
    assert found.state is State.FAIL, found.reason
    assert found.estimate is not None
    assert found.estimate > criterion.margin
    low, _ = found.interval or (-math.inf, 0)
    assert low >= criterion.margin


@EVERY
def test_an_equal_shadow_passes_on_a_quiet_machine(criterion: Criterion) -> None:
    def call(i: int, b: int) -> JudgedPair:
        # What lies between production and the other two is the observer's, and no harm.
        return beside(i, 10, 14 + (i % 7) / 10, 14 + (i * 3 % 7) / 10, b * SECOND)

    found = verdict_of(criterion, call, blocks=400)
    assert found.state is State.PASS, found.reason


def test_a_server_that_is_slow_for_a_while_now_and_then_is_no_slower_server() -> None:
    """Twenty seconds each, of one side alone: with blocks of a second alone most of these fail."""
    found = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        phases = np.exp(rng.normal(0, 0.5, (2, 20)))

        def call(
            i: int,
            b: int,
            rng: np.random.Generator = rng,
            phases: Floats = phases,
        ) -> JudgedPair:
            shadow, control = 5 * np.exp(rng.normal(0, 0.2, 2)) * phases[:, b // 20]
            return beside(i, 5, shadow, control, b * SECOND)

        found.append(verdict_of(KINDS["p50"], call, blocks=400, calls=6, lengths=(1, 10, 60)).state)
    assert State.FAIL not in found


def test_exactly_at_the_margin_neither_is_claimed_more_often_than_alpha_allows() -> None:
    criterion = KINDS["p50"]
    rng = np.random.default_rng(5)

    def call(i: int, b: int) -> JudgedPair:
        shadow, control = 10 * np.exp(rng.normal(0, 0.4, 2))
        return beside(i, 10, 1.1 * shadow, control, b * SECOND)

    found = [verdict_of(criterion, call).state for _ in range(20)]
    assert found.count(State.PASS) + found.count(State.FAIL) <= 2


@EVERY
@pytest.mark.parametrize("by_control", [False, True])
def test_a_shadow_whose_deadline_is_shorter_than_its_work_never_passes(
    criterion: Criterion, by_control: bool
) -> None:
    """Both take 540 ms, the shadow is given 500: it was "-7.6 %"."""

    def call(i: int, b: int) -> JudgedPair:
        return failed(
            i,
            4,
            arrived_ns=b * SECOND,
            production_latency_ns=540 * MS,
            shadow_latency_ns=500 * MS,
            control_times=ControlTimes(540 * MS),
        )

    found = verdict_of(criterion, call, control=float(by_control), blocks=200)
    assert found.state is not State.PASS
    if criterion.kind != "latency_difference":
        assert found.estimate == math.inf
        assert "beyond the deadline" in found.reason
    else:
        assert "at the deadline" in found.about


@EVERY
def test_a_dead_shadow_has_no_latency(criterion: Criterion) -> None:
    def call(i: int, b: int) -> JudgedPair:
        times = ControlTimes(10 * MS)
        return failed(i, 14, arrived_ns=b * SECOND, shadow_latency_ns=MS // 2, control_times=times)

    found = verdict_of(criterion, call)
    assert (found.estimate, found.reason) == (None, "no data")
    assert found.state is State.WATCHING


@EVERY
def test_errors_of_a_shadow_do_not_hide_that_it_is_slow(criterion: Criterion) -> None:
    """It fails what would take long, and answers the rest as fast as the control."""

    def call(i: int, b: int) -> JudgedPair:
        if i % 2:
            return failed(i, 8, arrived_ns=b * SECOND, control_times=ControlTimes(100 * MS))
        return beside(i, 10, 10, 10, b * SECOND)

    assert verdict_of(criterion, call, blocks=400).state is not State.PASS


@EVERY
def test_a_dead_control_decides_nothing(criterion: Criterion) -> None:
    def call(i: int, b: int) -> JudgedPair:
        times = ControlTimes(failed=True)
        return pair(i, arrived_ns=b * SECOND, shadow_latency_ns=99 * MS, control_times=times)

    found = verdict_of(criterion, call, blocks=100)
    assert found.state is State.WATCHING
    assert "control answered 0 calls of" in found.reason


@EVERY
def test_a_control_slower_than_the_shadow_is_no_fail(criterion: Criterion) -> None:
    found = verdict_of(criterion, lambda i, b: beside(i, 10, 20, 60, b * SECOND), blocks=60)
    assert found.state is not State.FAIL
    assert found.log_fail < 0


@pytest.mark.parametrize("kind", ["time_to_first_message", "time_between_messages"])
def test_half_an_answer_is_neither_fast_nor_slow(kind: str) -> None:
    """It began, and met its deadline: when it would have gone on nobody knows."""
    criterion = required(kind, 0.1, quantile=0.5)

    def call(i: int, b: int) -> JudgedPair:
        return failed(
            i,
            4,
            arrived_ns=b * SECOND,
            shadow_latency_ns=5000 * MS,
            first_message_ns=(5 * MS, 5 * MS),
            message_gap_ns=(MS, None),
        )

    found = verdict_of(criterion, call, control=0.0, blocks=100)
    assert (found.state, found.estimate) == (State.WATCHING, None)


def test_an_answer_of_another_number_of_messages_has_its_own_time_between_them() -> None:
    # One that ends without a second message has none, for all that is known.
    one = pair(1, message_gap_ns=(5 * MS, None))
    assert times_of(one, "message_gap", False) == (5 * MS, 5 * MS, 0.0, math.inf)
    assert times_of(pair(1, message_gap_ns=(None, 5 * MS)), "message_gap", False) is None
    assert times_of(pair(1, message_gap_ns=(5 * MS, 7 * MS)), "message_gap", False) == (
        5 * MS,
        5 * MS,
        7 * MS,
        7 * MS,
    )


def test_a_shadow_that_answers_before_production_is_faster_and_nothing_else() -> None:
    found = verdict_of(KINDS["p50"], lambda i, b: beside(i, 50, 5, 10, b * SECOND), blocks=200)
    assert found.state is State.PASS
    assert found.estimate == pytest.approx(-0.5, abs=0.05)


def test_calls_of_hugely_different_size_decide_sooner_call_by_call() -> None:
    rng = np.random.default_rng(7)
    sizes = np.exp(rng.normal(3, 2, CALLS * BLOCKS))

    def call(i: int, b: int) -> JudgedPair:
        a, c = sizes[i] * np.exp(rng.normal(0, 0.05, 2))
        return beside(i, a, 1.3 * c, a, b * SECOND)

    by_call, marginal = (verdict_of(KINDS[name], call) for name in ("per call", "p50"))
    assert by_call.state is State.FAIL, by_call.reason
    assert by_call.log_fail > marginal.log_fail


def test_a_call_that_the_control_was_not_drawn_for_is_not_about_it() -> None:
    assert times_of(pair(1), "answer", True) is None
    found = verdict_of(KINDS["p50"], lambda i, b: pair(i, arrived_ns=b * SECOND), blocks=5)
    assert found.reason.startswith("the control answered 0")


def test_lost_calls_are_as_slow_as_can_be_for_pass_and_as_fast_for_fail() -> None:
    """A queue that is full: who was not asked was not fast."""

    def call(i: int, b: int) -> JudgedPair:
        return beside(i, 10, 10, 10, b * SECOND)

    whole = verdict_of(KINDS["p50"], call, blocks=200)
    holed = verdict_of(KINDS["p50"], call, blocks=200, lost=CALLS)
    assert whole.state is State.PASS
    assert holed.state is State.WATCHING
    assert holed.log_fail < 0


def test_a_control_that_gets_a_tenth_of_the_calls_gets_a_tenth_of_what_is_lost() -> None:
    def call(i: int, b: int) -> JudgedPair:
        asked = beside(i, 10, 10, 10, b * SECOND)
        return asked if i % 10 == 0 else pair(i, arrived_ns=b * SECOND)

    found = verdict_of(KINDS["p50"], call, control=0.1, blocks=200, lost=3)
    assert found.state is State.PASS, found.reason


def test_a_level_is_fixed_before_the_call_and_is_of_all_calls_before() -> None:
    levels = Levels()
    fast, slow = bucket(10 * MS), bucket(100 * MS)
    assert all(levels.at("c", 0.5, fast) is None for _ in range(WARMUP))
    first = levels.at("c", 0.5, slow)
    assert first is not None
    assert first.low_ns < 10 * MS <= first.high_ns
    for _ in range(200):
        levels.at("c", 0.5, slow)
    later = levels.at("c", 0.5, slow)
    assert later is not None
    assert later.low_ns < 100 * MS <= later.high_ns
    assert levels.at("other", 0.5, slow) is None


@pytest.mark.parametrize("spread", [0.5, 0.001, 0.0])
@pytest.mark.parametrize("p", [0.5, 0.95, 0.99])
def test_the_share_above_a_level_is_what_it_is_to_be_however_alike_calls_are(
    spread: float, p: float
) -> None:
    rng, levels = np.random.default_rng(3), Levels()
    drawn = 10 * MS * np.exp(rng.normal(0, spread, 20_000))
    share = []
    for ns in drawn:
        level = levels.at("c", p, bucket(ns))
        if level is not None:
            share.append(part_above(ns, *level))
    assert np.mean(share) == pytest.approx(1 - p, rel=0.1)


def test_half_of_the_calls_slow_is_no_pass_where_all_calls_are_nearly_alike() -> None:
    """All of production's lie in one bucket, so a level between buckets would be above or below."""
    criterion = KINDS["p50"]

    def call(i: int, b: int) -> JudgedPair:
        return beside(i, 10, 99 if i % 2 else 10, 10 + (i % 5) / 1000, b * SECOND)

    assert verdict_of(criterion, call, blocks=300).state is not State.PASS


def test_a_quantile_that_was_not_asked_for_is_no_pass() -> None:
    """After a minute everything is ten times as slow, and half of the shadow's calls far more."""

    def call(i: int, b: int) -> JudgedPair:
        if b < 5:
            return beside(i, 10, 10, 10, b * SECOND)
        return beside(i, 100, 9 if i % 5 < 3 else 9000, 100, b * SECOND)

    found = verdict_of(KINDS["p95"], call, blocks=200)
    assert found.state is not State.PASS


def test_requiring_a_latency_needs_a_control_or_the_word_that_production_will_do() -> None:
    declared = settings(KINDS["p95"], required("disagreement", 0.1))
    (line,) = untrusted(declared, False)
    for word in ("judge.criteria: latency-ratio", "role: control", "trust: direct"):
        assert word in line
    assert not untrusted(declared, True)
    trusting = LatencySettings(trust="direct")
    assert not untrusted(declared.model_copy(update={"latency": trusting}), False)
    informative = KINDS["p95"].model_copy(update={"required": False})
    assert not untrusted(settings(informative), False)


def test_only_the_median_of_single_calls_can_be_required() -> None:
    with pytest.raises(ValueError, match="only the median"):
        required("latency_per_call", 0.1, quantile=0.9)
