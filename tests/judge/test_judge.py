from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sidecar.compare.result import Comparison, Outcome
from sidecar.judge.counts import ALL, CellKey, Coverage, counts_of, merge, total
from sidecar.judge.decision import Decision
from sidecar.judge.judge import Judge
from sidecar.judge.labels import Label
from sidecar.judge.pair import ControlTimes, JudgedPair
from sidecar.judge.repeats import Repeats
from sidecar.judge.report import State
from sidecar.judge.settings import JudgeSettings, SliceSettings
from sidecar.judge.verdict import decide, plans_of
from tests.judge.pairs import MS, SECOND, compared, failed, judged, pair, required, settings

DISAGREEMENT = required("disagreement", 0.01)


def test_an_equal_candidate_passes() -> None:
    judge = Judge(settings(DISAGREEMENT, required("shadow_error_rate", 0.01)), "pod", 0)
    for i in range(1000):
        judge.observe(pair(i), i * MS)
    verdict = judged(judge, 1000)
    assert verdict.state is State.PASS
    assert "disagreement" in verdict.reason
    assert verdict.coverage == 1.0
    assert verdict.calls == 1000
    for criterion in verdict.criteria:
        assert criterion.state is State.PASS
        assert criterion.estimate == 0.0
        assert criterion.interval is not None
        assert criterion.interval[1] < 0.02


def test_a_worse_candidate_fails_and_the_worst_calls_are_named() -> None:
    judge = Judge(settings(DISAGREEMENT, worst=3, sample=5), "pod", 0, unix_offset_ns=7)
    for i in range(500):
        judge.observe(pair(i, differs=i % 10 == 0, trace_ids=(f"a{i}", f"b{i}")), i * MS)
    verdict = judged(judge, 500)
    assert verdict.state is State.FAIL
    assert "disagreement" in verdict.reason
    worst = judge.worst("disagreement")
    assert len(worst) == 3
    for example in worst:
        i = int(example.note.identity.removeprefix("id-"))
        assert i % 10 == 0
        assert example.note.trace_ids == (f"a{i}", f"b{i}")
        assert example.note.unix_ns == i * MS + 7
        assert example.note.outputs == (("score", "value", 1.0),)
    assert len({e.note.identity for e in judge.sample("disagreement")}) == 5


def test_no_traffic_is_never_a_pass_even_at_the_end_of_the_budget() -> None:
    judge = Judge(settings(DISAGREEMENT, max_duration_seconds=10.0), "pod", 0)
    early = judge.verdict(5 * SECOND, Coverage(0, 0))
    assert (early.state, early.ended) == (State.WATCHING, False)
    assert early.coverage is None
    late = judge.verdict(11 * SECOND, Coverage(0, 0))
    assert (late.state, late.ended) == (State.INCONCLUSIVE, True)
    assert late.criteria[0].reason == "no data"


def test_without_a_required_criterion_nothing_passes() -> None:
    judge = Judge(JudgeSettings(min_duration_seconds=0, independent_calls=True), "pod", 0)
    for i in range(5000):
        judge.observe(pair(i), i * MS)
    verdict = judged(judge, 5000)
    assert verdict.state is State.WATCHING
    assert "no criterion is required" in verdict.reason
    assert verdict.criteria[0].state is State.PASS


def test_a_candidate_worse_on_one_class_is_caught_in_that_slice_and_no_other() -> None:
    rng = np.random.default_rng(4)
    judge = Judge(settings(DISAGREEMENT, slices=(SliceSettings(source="class:label"),)), "pod", 0)
    for i in range(6000):
        name = str(rng.choice(10, p=[0.95] + [0.05 / 9] * 9))
        differs = name == "3" and bool(rng.random() < 0.5)
        judge.observe(pair(i, differs, slices=(("label", name),)), i * MS)
    verdict = judged(judge, 6000)
    assert verdict.state is State.FAIL
    assert "label=3" in verdict.reason
    assert [s.slice for s in verdict.slices if s.flagged] == ["label=3"]
    assert verdict.slices[0].slice == "label=3"
    assert verdict.criteria[0].estimate is not None
    assert verdict.criteria[0].estimate < 0.01


def test_a_slower_candidate_fails_on_latency_alone() -> None:
    rng = np.random.default_rng(5)
    criteria = (DISAGREEMENT, required("latency_ratio", 0.1, quantile=0.5))
    judge = Judge(settings(*criteria), "pod", 0)
    for i in range(2000):
        a, b = rng.lognormal(np.log(10 * MS), 0.3, 2)
        slower = pair(i, production_latency_ns=int(a), shadow_latency_ns=int(1.5 * b))
        judge.observe(slower, i * MS)
    verdict = judged(judge, 2000)
    assert verdict.state is State.FAIL
    states = {c.name: c.state for c in verdict.criteria}
    assert states == {"disagreement": State.PASS, "latency-ratio": State.FAIL}
    assert verdict.criteria[1].estimate == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_a_candidate_as_random_as_production_does_not_fail_net_of_a_control(
    fraction: float,
) -> None:
    rng = np.random.default_rng(6)

    def run(net: bool) -> State:
        criterion = required("disagreement", 0.02, net=net)
        judge = Judge(settings(criterion), "pod", 0, control_fraction=fraction)
        for i in range(8000):
            control = compared(bool(rng.random() < 0.3)) if rng.random() < fraction else None
            judge.observe(pair(i, bool(rng.random() < 0.3), control=control), i * MS)
        return judged(judge, 8000).state

    assert run(net=True) is not State.FAIL
    assert run(net=False) is State.FAIL


def opaque(i: int, method: str = "/p.S/M") -> JudgedPair:
    comparison = Comparison(Outcome.VALUE, compared(True).outputs, "opaque")
    return pair(i, comparison=comparison, method=method)


def understood(i: int, method: str = "/p.S/M") -> JudgedPair:
    return pair(i, comparison=compared()._replace(reader="descriptors"), method=method)


def test_calls_whose_bytes_differed_are_not_known_once_their_method_can_be_read() -> None:
    judge = Judge(settings(DISAGREEMENT), "pod", 0, attempt=1)
    for i in range(300):
        judge.observe(opaque(i), i * MS)
    assert judged(judge, 300).state is State.FAIL
    for i in range(300, 1300):
        judge.observe(understood(i), i * MS)
        judge.observe(opaque(1000 + i), i * MS)  # still on its way: not counted, no step back
    judge.observe(failed(5000, method="/p.S/Other"), 1300 * MS)
    verdict = judge.verdict(SECOND, Coverage(1301, 1301))
    # Those 300 are worst for PASS and best for FAIL: neither holds, and no attempt is spent.
    assert (verdict.state, verdict.calls, judge.attempt) == (State.WATCHING, 1301, 1)
    assert verdict.events["unread"] == 300
    assert set(verdict.models) == {"production m", "shadow m"}
    for i in range(1301, 60_000):
        judge.observe(understood(i), i * MS)
    assert judged(judge, 60_000).state is State.PASS


@pytest.mark.parametrize("by_calls", [True, False])
def test_what_was_known_before_a_method_can_be_read_stays_known(by_calls: bool) -> None:
    declared = settings(DISAGREEMENT, independent_calls=by_calls)

    def run(first: Callable[[int], JudgedPair], later: Callable[[int], JudgedPair]) -> State:
        judge = Judge(declared, "pod", 0)
        for i in range(1500):
            at = i * 4 * SECOND
            judge.observe(replace((first if i % 2 else later)(i), arrived_ns=at), at)
        judge.observe(replace(understood(1500), arrived_ns=6000 * SECOND), 6000 * SECOND)
        return judge.verdict(6001 * SECOND, Coverage(1501, 1501)).state

    def same(i: int) -> JudgedPair:
        return pair(i, comparison=compared()._replace(reader="opaque"))

    def readable(differs: bool) -> Callable[[int], JudgedPair]:
        return lambda i: pair(
            i, method="/p.S/Old", comparison=compared(differs)._replace(reader="descriptors")
        )

    assert run(same, readable(False)) is (State.PASS if by_calls else State.WATCHING)
    assert run(same, readable(True)) is State.FAIL
    assert run(opaque, readable(False)) is State.WATCHING  # that half is not known any more


def test_a_fail_is_not_forgotten_when_a_new_methods_payloads_become_readable() -> None:
    judge = Judge(settings(DISAGREEMENT), "pod", 0, attempt=1)
    for i in range(300):
        judge.observe(understood(i, "/p.S/Old"), i * MS)
        judge.observe(pair(i, True), i * MS)
    assert judged(judge, 600).state is State.FAIL
    judge.observe(opaque(600), 600 * MS)
    for i in range(601, 3000):
        judge.observe(understood(i), i * MS)
    verdict = judged(judge, 3000)
    assert (verdict.state, verdict.events["unread"], judge.attempt) == (State.FAIL, 1, 1)


def test_a_method_none_of_whose_calls_counted_x() -> None:
    judge = Judge(settings(DISAGREEMENT), "pod", 0)
    for i in range(20):
        judge.observe(pair(i), i * MS)
    judge.observe(replace(opaque(20), is_repeat=True), 20 * MS)
    judge.observe(understood(21), 21 * MS)
    assert judged(judge, 22).events["unread"] == 0


def test_counts_of_bytes_and_of_what_they_mean_are_not_added() -> None:
    judges = {name: Judge(settings(DISAGREEMENT), name, 0) for name in ("a", "b", "c")}
    for i in range(10):
        judges["a"].observe(understood(i), i * MS)
        judges["b"].observe(opaque(i), i * MS)
        judges["c"].observe(opaque(i, "/p.S/Other"), i * MS)
    counts = counts_of(judge.snapshot(SECOND, Coverage(10, 10)) for judge in judges.values())
    sums = total(counts)
    assert (sums.calls, sums.judges, sums.left_out) == (20, 2, 1)


def test_a_control_that_does_not_answer_excuses_nothing_and_condemns_nothing() -> None:
    judge = Judge(settings(DISAGREEMENT), "pod", 0, control_fraction=1.0)
    for i in range(400):
        judge.observe(pair(i, i % 2 == 0, control=Comparison(Outcome.SHADOW_ERROR)), i * MS)
    verdict = judged(judge, 400)
    assert verdict.state is State.WATCHING
    assert "control answered 0" in verdict.reason


@pytest.mark.parametrize(
    "control",
    [
        compared(True, models=("m:1", "m:2")),
        compared(False, models=("m:1", "m:2")),
        Comparison(Outcome.UNDECODABLE, models=("m:1", "")),
        Comparison(Outcome.MESSAGE_COUNT, models=("m:1", "m:1")),
    ],
)
def test_a_control_of_another_version_or_without_a_readable_answer_excuses_nothing(
    control: Comparison,
) -> None:
    judge = Judge(settings(DISAGREEMENT), "pod", 0, control_fraction=1.0)
    for i in range(2000):
        judge.observe(pair(i, True, control=control, control_times=ControlTimes()), i * MS)
    verdict = judged(judge, 2000)
    assert verdict.state is State.WATCHING
    assert "the control answered 0 calls of 2,000" in verdict.reason
    told = "2,000 answers were another version's than production's"
    assert (told in verdict.reason) == (control.models[1] == "m:2")


def test_a_shadow_that_fails_is_rejected_though_its_breaker_ruins_coverage() -> None:
    judge = Judge(settings(DISAGREEMENT, required("shadow_error_rate", 0.01)), "pod", 0)
    for i in range(40):
        judge.observe(failed(i), i * MS)
    verdict = judge.verdict(SECOND, Coverage(40, 4000))
    assert verdict.state is State.FAIL
    assert "shadow-error-rate" in verdict.reason or "disagreement" in verdict.reason


def test_low_coverage_is_inconclusive_until_it_recovers() -> None:
    judge = Judge(settings(DISAGREEMENT), "pod", 0)
    for i in range(1000):
        judge.observe(pair(i), i * MS)
    low = judge.verdict(SECOND, Coverage(1000, 2000))
    assert (low.state, low.coverage) == (State.INCONCLUSIVE, 0.5)
    assert "coverage is 50.0%" in low.reason
    assert judged(judge, 1000).state is State.PASS


def test_a_fail_stands_however_the_figures_drift_and_a_pass_until_there_is_proof_of_harm() -> None:
    judge = Judge(settings(DISAGREEMENT), "pod", 0)
    for i in range(1000):
        judge.observe(pair(i), i * MS)
    assert judged(judge, 1000).state is State.PASS
    for i in range(1000, 1010):
        judge.observe(pair(i, differs=True), i * MS)
    assert judged(judge, 1010).state is State.PASS
    for i in range(1010, 2000):
        judge.observe(pair(i, differs=True), i * MS)
    later = judged(judge, 2000)
    assert later.state is State.FAIL
    assert "passed at" in later.reason
    for i in range(2000, 60_000):
        judge.observe(pair(i), i * MS)
    assert judged(judge, 60_000).state is State.FAIL


def test_a_pass_waits_for_the_minimum_time_and_a_failure_does_not() -> None:
    good, bad = (
        Judge(settings(DISAGREEMENT, min_duration_seconds=60.0), "pod", 0) for _ in range(2)
    )
    for i in range(1000):
        good.observe(pair(i), i)
        bad.observe(pair(i, differs=True), i)
    assert good.verdict(59 * SECOND, Coverage(1000, 1000)).state is State.WATCHING
    assert bad.verdict(59 * SECOND, Coverage(1000, 1000)).state is State.FAIL
    assert good.verdict(60 * SECOND, Coverage(1000, 1000)).state is State.PASS


def test_watching_says_how_many_more_calls_it_needs() -> None:
    judge = Judge(settings(DISAGREEMENT), "pod", 0)
    for i in range(200):
        judge.observe(pair(i), i * MS)
    watching = judged(judge, 200)
    needed = watching.criteria[0].calls_needed
    assert watching.state is State.WATCHING
    assert needed is not None
    for i in range(200, 200 + needed - 10):
        judge.observe(pair(i), i * MS)
    assert judged(judge, 200 + needed).state is State.WATCHING
    for i in range(10_000, 10_020):
        judge.observe(pair(i), i * MS)
    assert judged(judge, 210 + needed).state is State.PASS


def test_the_budget_of_calls_ends_the_watch() -> None:
    judge = Judge(settings(DISAGREEMENT, max_calls=150), "pod", 0)
    for i in range(150):
        judge.observe(pair(i), i * MS)
    verdict = judged(judge, 150)
    assert (verdict.state, verdict.ended) == (State.INCONCLUSIVE, True)
    assert "budget" in verdict.reason
    for i in range(150, 3000):
        judge.observe(pair(i), i * MS)
    assert judged(judge, 3000).state is State.INCONCLUSIVE


def test_an_attempt_spends_its_share_of_alpha() -> None:
    needed = []
    for attempt in (0, 1, 2, 5):
        judge = Judge(settings(DISAGREEMENT), "pod", 0, attempt=attempt)
        calls = 0
        while judged(judge, calls).state is State.WATCHING:
            for i in range(calls, calls + 20):
                judge.observe(pair(i), i * MS)
            calls += 20
        needed.append(calls)
    assert needed == sorted(set(needed))  # each attempt asks for more evidence than the one before


@pytest.mark.parametrize("by_calls", [True, False])
def test_a_shadow_that_never_answers_fails(by_calls: bool) -> None:
    """Its breaker keeps nearly every call back; those that are tried fail, one after the other."""
    declared = settings(required("shadow_error_rate", 0.01), independent_calls=by_calls)

    def run(failing: Callable[[int], bool]) -> State:
        judge, tried = Judge(declared, "pod", 0), 0
        for second in range(900):
            at = second * SECOND
            if second % 10 == 0:
                tried += 1
                one = failed(second) if failing(second) else pair(second)
                judge.observe(replace(one, arrived_ns=at), at)
            judge.lose({"breaker_open": 50}, at)
        return judge.verdict(900 * SECOND, Coverage(tried, tried + 45_000)).state

    assert run(lambda _: True) is State.FAIL
    # Where it answers when it is tried, nobody knows of the calls between.
    assert run(lambda second: second == 0) is State.INCONCLUSIVE


def test_an_answer_that_names_no_version_changes_nothing() -> None:
    judge = Judge(settings(DISAGREEMENT), "pod", 0)
    judge.observe(pair(0), 0)
    judge.observe(failed(1), MS)
    judge.observe(pair(2, comparison=compared(models=("", ""))), 2 * MS)
    judge.observe(pair(3, comparison=compared(models=("other:9", "other:9"))), 3 * MS)
    assert judged(judge, 4).calls == 4


def test_a_repeat_does_not_count_and_is_told() -> None:
    judge = Judge(settings(DISAGREEMENT), "pod", 0)
    for i in range(5):
        judge.observe(pair(i, is_repeat=i % 2 == 1), i * MS)
    verdict = judged(judge, 5)
    assert (verdict.calls, verdict.events["repeats"]) == (3, 2)


def test_of_identical_requests_within_the_window_the_first_to_arrive_counts() -> None:
    repeats = Repeats(1.0)
    assert not repeats.is_repeat("/M", (b"same",), 0)
    assert repeats.is_repeat("/M", (b"same",), SECOND - 1)
    assert not repeats.is_repeat("/M", (b"other",), SECOND - 1)
    assert not repeats.is_repeat("/Other", (b"same",), SECOND - 1)
    assert not repeats.is_repeat("/M", (b"same",), SECOND)
    assert not Repeats(0).is_repeat("/M", (b"same",), 0)


def test_identical_requests_count_once_only_where_each_call_is_taken_as_new() -> None:
    assert settings(DISAGREEMENT).repeats_within == 1
    assert settings(DISAGREEMENT, independent_calls=False).repeats_within == 0
    given = settings(DISAGREEMENT, independent_calls=False, repeat_seconds=2)
    assert given.repeats_within == 2


def test_a_call_that_production_did_not_answer_is_no_evidence() -> None:
    judge = Judge(settings(DISAGREEMENT, required("shadow_error_rate", 0.01)), "pod", 0)
    error = Comparison(Outcome.PRODUCTION_ERROR)
    for i in range(2000):
        judge.observe(pair(i, comparison=error, production_status=13), i * MS)
    verdict = judged(judge, 2000)
    assert verdict.state is State.WATCHING
    assert all(c.n == 0 for c in verdict.criteria)


def test_labels_of_disagreements_decide_about_accuracy() -> None:
    """The shadow is right where they differ; without labels that stays open."""
    criterion = required("accuracy", 0.02, decision=Decision(threshold=0.5))
    judge = Judge(settings(criterion), "pod", 0)
    for i in range(3000):
        b = 0.9 if i % 20 == 0 else 0.1
        judge.observe(pair(i, values={"score": (0.1, b)}), i * MS)
    assert judged(judge, 3000).state is State.WATCHING
    wanted = judge.wanted(1000)
    assert sorted(wanted) == sorted(f"id-{i}" for i in range(0, 3000, 20))
    for name in wanted:
        judge.label(Label(name, 1), 4 * SECOND)
        judge.label(Label(name, 1), 4 * SECOND)
    verdict = judged(judge, 3000)
    assert verdict.state is State.PASS
    assert verdict.criteria[0].estimate == pytest.approx(-0.05)
    assert verdict.events["joined"] == verdict.events["duplicate"] == 150
    assert judge.wanted(10) == []


def test_pods_merge_into_the_verdict_that_one_pod_would_have_reached() -> None:
    declared = settings(
        DISAGREEMENT,
        required("latency_ratio", 0.2, quantile=0.5),
        slices=(SliceSettings(source="method"),),
    )
    rng = np.random.default_rng(8)
    one, *pods = (Judge(declared, name, 0) for name in ("one", "a", "b", "c"))
    for i in range(3000):
        a, b = (int(x) for x in rng.lognormal(np.log(10 * MS), 0.2, 2))
        call = pair(
            i,
            bool(rng.random() < 0.003),
            production_latency_ns=a,
            shadow_latency_ns=b,
        )
        one.observe(call, i * MS)
        pods[i % 3].observe(call, i * MS)
    snapshots = [pod.snapshot(5 * SECOND, Coverage(1000, 1000)) for pod in pods]
    merged = total(merge(counts_of(snapshots), counts_of(snapshots[:1])))
    whole = decide(declared, plans_of(declared), merged)
    alone = one.verdict(5 * SECOND, Coverage(3000, 3000))
    assert whole.state is alone.state
    assert whole.judges == 3
    for ours, theirs in zip(whole.criteria, alone.criteria, strict=True):
        assert ours.n == theirs.n
        assert ours.log_pass == pytest.approx(theirs.log_pass)
        assert ours.log_fail == pytest.approx(theirs.log_fail)
        assert ours.interval == pytest.approx(theirs.interval)


def test_a_label_counts_with_the_others_once_its_slice_had_to_go() -> None:
    criterion = required("accuracy", 0.02, decision=Decision(threshold=0.5))
    by_user = (SliceSettings(source="metadata:user"),)
    judge = Judge(settings(criterion, slices=by_user, max_slices=1), "pod", 0)
    for i, user in enumerate(("x", "x", "y", "y")):
        judge.observe(pair(i, slices=(("user", user),), values={"s": (0.9, 0.1)}), i * MS)
    judge.label(Label("id-1", 1), SECOND)
    cells = judge.snapshot(SECOND, Coverage(4, 4)).cells
    assert {key.slice: cell.get("labelled") for key, cell in cells.items()} == {
        "": 1.0,
        "user=(other)": 1.0,
        "user=y": None,
    }


def test_a_label_counts_as_much_as_it_weighs() -> None:
    criterion = required("accuracy", 0.02, decision=Decision(threshold=0.5))
    judge = Judge(settings(criterion), "pod", 0)
    judge.observe(pair(0, values={"s": (0.9, 0.1)}), 0)
    judge.label(Label("id-0", 1, weight=0.25), 1)
    # A quarter says that production was right, and the rest may lie anywhere between.
    found = judged(judge, 1).criteria[0]
    assert (found.n, found.estimate) == pytest.approx((1, 0.25))
    sample = required("accuracy", 0.02, decision=Decision(threshold=0.5), labels="sample")
    judge = Judge(settings(sample), "pod", 0)
    judge.observe(pair(0, values={"s": (0.9, 0.1)}), 0)
    judge.label(Label("id-0", 1, weight=0.25), 1)
    found = judged(judge, 1).criteria[0]
    assert (found.n, found.estimate) == pytest.approx((0.25, 1.0))


def test_a_shadow_fails_only_where_production_answered() -> None:
    in_band = Comparison(Outcome.SHADOW_ERROR)
    assert pair(0, comparison=in_band).failed
    assert pair(0, shadow_status=14).failed
    assert not pair(0, comparison=in_band, production_status=13).failed
    assert not pair(0, comparison=Comparison(Outcome.BOTH_ERROR_SAME), shadow_status=13).failed


def test_labels_are_lost_that_come_when_the_hour_of_their_call_is_gone() -> None:
    """All agree; 10 labels come after 10 days and are the worst and the best that they may be."""
    sample = required("accuracy", 0.1, decision=Decision(threshold=0.5), labels="sample")
    declared = settings(
        sample, independent_calls=False, labels={"max_age_seconds": 30 * 86_400}, slices=()
    )
    judge, hours = Judge(declared, "pod", 0), 240
    for i in range(hours):
        now = i * 3600 * SECOND
        judge.observe(pair(i, values={"score": (0.9, 0.9)}, arrived_ns=now), now)
        if i >= 110:
            judge.label(Label(f"id-{i}", 1), now)
        if i == hours - 2:
            for j in [*range(100, 110), *range(10)]:  # some whose hour has room still, some not
                judge.label(Label(f"id-{j}", 1), now)
    verdict = judged(judge, hours, hours * 3600 * SECOND)
    (blocks,) = judge.snapshot(hours * 3600 * SECOND, Coverage(hours, hours)).blocks[
        CellKey("accuracy", ALL)
    ]
    assert blocks.rows(3600)[0][0] == 0, "nothing was there before, so there was room for all"
    assert verdict.events["labels_too_late"] == 0
    for i in range(hours, hours + 300):
        now = i * 3600 * SECOND
        judge.observe(pair(i, values={"score": (0.9, 0.9)}, arrived_ns=now), now)
        judge.label(Label(f"id-{i}", 1), now)
    for j in range(10, 20):
        judge.label(Label(f"id-{j}", 1), now)
    verdict = judged(judge, hours + 300, now + 3600 * SECOND)
    assert verdict.events["labels_too_late"] == 10
    (criterion,) = verdict.criteria
    assert criterion.bounds is not None
    low, high = criterion.bounds
    assert low == pytest.approx(-10 / 460)
    assert high == pytest.approx(10 / 460)
