from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.compare.result import Comparison, Outcome, OutputResult
from sidecar.judge.criteria.base import Criterion, Plan
from sidecar.judge.criteria.counting import score_of, splat_mean
from sidecar.judge.criteria.shapes import Increments
from sidecar.judge.decision import UNDECIDED, Decision, decisions, flips, mean_cost
from sidecar.judge.evidence.histogram import bucket
from sidecar.judge.pair import JudgedPair, Value
from sidecar.judge.ranges import Ranges
from tests.judge.pairs import MS, compared, failed, pair, required


def increments(plan: Plan, call: JudgedPair, ranges: Ranges) -> Increments:
    found = plan.criterion.tally(plan).count(call, ranges)
    return [] if found is None else found.increments


def counted(criterion: Criterion, call: JudgedPair, fraction: float = 0.0) -> dict[str, float]:
    return dict(increments(criterion.plan(fraction), call, Ranges()))


def mean(criterion: Criterion, call: JudgedPair, fraction: float = 0.0) -> float:
    plan = criterion.plan(fraction)
    found = increments(plan, call, Ranges())
    return math.fsum(plan.edges[int(name)] * w for name, w in found if name.isdigit())


def outputs(*results: tuple[str, Outcome, float]) -> Comparison:
    made = tuple(OutputResult(n, o, "tolerance", s) for n, o, s in results)
    return Comparison(Outcome.VALUE, made)


def test_a_score_is_about_the_outputs_that_the_glob_names() -> None:
    found = outputs(("a", Outcome.VALUE, 0.5), ("b", Outcome.EQUAL, 0.0), ("[2]c", Outcome.RANK, 1))
    any_of = {glob: score_of(found, glob) for glob in "abcx"}
    assert any_of == {"a": 1.0, "b": 0.0, "c": 1.0, "x": None}
    assert score_of(found, "*", mean=True) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("outcome", "score"),
    [
        (Outcome.EQUAL, 0.0),
        (Outcome.SHADOW_ERROR, 1.0),
        (Outcome.UNDECODABLE, 1.0),
        (Outcome.MESSAGE_COUNT, 1.0),
    ],
)
def test_without_outputs_the_outcome_is_the_score(outcome: Outcome, score: float) -> None:
    assert score_of(Comparison(outcome), "*") == score


@pytest.mark.parametrize("status", [4, 8, 13, 14])
def test_a_failed_shadow_disagrees_and_is_counted_as_failed(status: int) -> None:
    assert counted(required("disagreement", 0.1), failed(0, status)) == {"n": 1, "k": 1}
    assert counted(required("shadow_error_rate", 0.1), failed(0, status)) == {"n": 1, "k": 1}


def test_only_a_missed_deadline_is_a_latency() -> None:
    ratio = required("latency_ratio", 0.1)
    production = {f"a{bucket(10 * MS)}": 1}
    assert counted(ratio, failed(0, 14)) == {**production, "z0": 1}
    slow = failed(0, 4, shadow_latency_ns=5000 * MS)
    assert counted(ratio, slow) == {**production, f"z{bucket(5000 * MS)}": 1}


@pytest.mark.parametrize("fraction", [1.0, 0.5, 0.1, 0.07])
@pytest.mark.parametrize("differs", [False, True])
@pytest.mark.parametrize("control", [None, False, True])
def test_a_control_weighs_one_over_its_fraction(
    fraction: float, differs: bool, control: bool | None
) -> None:
    again = None if control is None else compared(control, models=("m:1", "m:1"))
    call = pair(0, differs, control=again)
    expected = differs - (1 / fraction if control else 0)
    assert mean(required("disagreement", 0.1), call, fraction) == pytest.approx(expected)
    found = counted(required("disagreement", 0.1), call, fraction)
    assert found.get("controls", 0) == (control is not None)
    assert len([name for name in found if name.isdigit()]) == 1  # exact, not shared


def test_a_latency_difference_is_in_seconds_within_its_range() -> None:
    criterion = required("latency_difference", 0.1, range_seconds=0.5)
    assert mean(criterion, pair(0, shadow_latency_ns=60 * MS)) == pytest.approx(0.05)
    assert mean(criterion, pair(0, shadow_latency_ns=9000 * MS)) == 0.5


def test_bias_holds_another_type_against_a_pass_and_not_for_a_fail() -> None:
    """A shadow that answers text where production answers numbers is not left out."""
    text = OutputResult("score", Outcome.DTYPE, "equal", 1.0)
    well = OutputResult("other", Outcome.EQUAL, "tolerance", 0.0, {"signed_relative": 0.0})
    bias = required("bias", 0.1)
    for outputs in ((text,), (text, well)):
        found = counted(bias, pair(0, comparison=Comparison(Outcome.DTYPE, outputs)))
        cell = {name: 500 * n for name, n in found.items()}
        measured = bias.plan().measure(cell)
        assert measured.log_pass < 0
        assert measured.log_fail <= 0
    numbers = {"score": (np.array([1.0], np.float32), np.array([3.0]))}
    call = pair(0, comparison=Comparison(Outcome.DTYPE, (text,)), values=numbers)
    assert mean(bias, call) == pytest.approx(1.0)


def test_bias_leaves_out_what_is_no_number_on_either_side() -> None:
    nan = np.array([math.nan])
    assert counted(required("bias", 0.1), pair(0, values={"score": (nan, nan)})) == {}


def test_bias_reads_the_comparisons_figure_or_else_the_values() -> None:
    raw = OutputResult("score", Outcome.VALUE, "tolerance", 1.0, {"signed_relative": 0.3})
    call = pair(0, comparison=Comparison(Outcome.VALUE, (raw,)))
    assert mean(required("bias", 0.1), call) == pytest.approx(0.3)
    assert counted(required("bias", 0.1, outputs="other"), call) == {}
    by_values = pair(0, values={"score": (np.array([1.0, 0.0, math.nan]), np.array([3.0, 0.0, 1]))})
    assert mean(required("bias", 0.1), by_values) == pytest.approx(0.5)
    huge = pair(0, values={"score": (-1.7e308, 1.7e308)})
    assert mean(required("bias", 0.1), huge) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        (Decision(threshold=0.5), 0.5, [0]),
        (Decision(threshold=0.5), np.array([0.4, 0.6, math.nan]), [0, 1, UNDECIDED]),
        (Decision(argmax=True), np.array([0.1, 0.7, 0.2]), [1]),
        (Decision(argmax=True), np.array([[1, 2], [4, 3]]), [1, 0]),
        (Decision(top_k=2), np.array([5, 1, 9]), [frozenset({0, 2})]),
        (Decision(bands=(0.0, 1.0)), np.array([-1.0, 0.0, 0.5, 2.0]), [0, 1, 1, 2]),
        (Decision(threshold=0.5), "text", []),
        (Decision(argmax=True), np.array([]), []),
    ],
)
def test_decisions_are_what_was_declared(rule: Decision, value: Value, expected: object) -> None:
    assert decisions(rule, value) == expected


def test_flips_and_costs_are_means_over_rows() -> None:
    rule = Decision(threshold=0.5, cost=((0, 1), (5, 0)))
    assert flips([0, 1, 1, 0], [0, 0, 1, 1]) == 0.5
    assert mean_cost(rule, [0, 1, 1, 0], [0, 0, 1, 1]) == pytest.approx(1.5)
    assert flips([0], [0, 1]) == 1.0
    assert mean_cost(rule, [UNDECIDED], [0]) == 5


def test_decision_flips_count_calls_and_costs_their_mean() -> None:
    call = pair(0, values={"score": (0.9, 0.1)})
    share = required("decision_flips", 0.1, decision=Decision(threshold=0.5))
    cost = Decision(threshold=0.5, cost=((0, 1), (5, 0)))
    costly = required("decision_flips", 0.1, decision=cost)
    assert counted(share, call) == {"n": 1, "k": 1}
    assert mean(costly, call) == pytest.approx(5)
    assert counted(share, failed(0)) == {"n": 1, "k": 1}
    assert mean(costly, failed(0)) == pytest.approx(5)
    assert counted(share, pair(0)) == {}


def test_a_range_is_learned_before_anything_is_held_against_it() -> None:
    criterion, ranges = required("out_of_range", 0.1, warmup_calls=2), Ranges()
    plan = criterion.plan(0.0)
    found = [
        increments(plan, pair(i, values={"score": values}), ranges)
        for i, values in enumerate([(0.0, 99.0), (1.0, 99.0), (50.0, 0.5), (0.5, 50.0)])
    ]
    assert found[:2] == [[], []]
    # Production itself is out of its learned range once; the shadow is held against that.
    assert [splat_mean(plan.edges, one) for one in found[2:]] == pytest.approx([-1.0, 1.0])


def test_outputs_that_are_production_s_own_are_never_out_of_range() -> None:
    criterion = required("out_of_range", 0.1, range=(0, 1))
    assert mean(criterion, pair(0, values={"score": (7.0, 7.0)})) == 0


def test_numbers_that_the_shadow_does_not_give_are_outside() -> None:
    criterion = required("out_of_range", 0.1, range=(0, 1))
    for missing in (None, "text"):
        assert mean(criterion, pair(1, True, values={"score": (0.5, missing)})) == 1.0
    assert mean(criterion, pair(1, True, values={"score": (7.0, None)})) == 0.0


def test_a_declared_range_counts_at_once_and_nan_is_outside() -> None:
    criterion = required("out_of_range", 0.1, range=(0, 1))
    values = {"score": (0.5, np.array([0.5, 2.0, math.nan, 1.0]))}
    assert mean(criterion, pair(0, values=values)) == pytest.approx(0.5)


KINDS = st.sampled_from(
    [
        required("disagreement", 0.1),
        required("shadow_error_rate", 0.1),
        required("latency_ratio", 0.1),
        required("latency_difference", 0.1),
        required("bias", 0.1),
        required("out_of_range", 0.1, range=(0, 1)),
        required("decision_flips", 0.1, decision=Decision(threshold=0)),
        required("decision_flips", 0.1, decision=Decision(bands=(0, 1), cost=((0, 1, 2),) * 3)),
    ]
)


@given(
    KINDS,
    st.floats(allow_nan=True),
    st.floats(allow_nan=True),
    st.integers(0, 10**12),
    st.sampled_from([0, 4, 14]),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_whatever_comes_counters_grow_by_at_most_a_call(
    criterion: Criterion, a: float, b: float, latency: int, status: int, fraction: float
) -> None:
    given_: dict[str, object] = {"values": {"s": (a, b)}, "shadow_latency_ns": latency}
    call = failed(0, status, **given_) if status else pair(0, True, **given_)
    plan = criterion.plan(fraction)
    found = criterion.tally(plan).count(call, Ranges())
    if found is not None:
        assert all(0 <= weight <= 1 for _, weight in found.increments)
        assert len({name for name, _ in found.increments}) == len(found.increments)
        assert math.isfinite(found.magnitude)


def test_a_method_that_is_not_covered_is_not_counted() -> None:
    assert counted(required("disagreement", 0.1, methods="/other/*"), pair(0)) == {}
