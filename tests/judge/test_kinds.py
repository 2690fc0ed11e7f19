"""Every kind of criterion through the same life: no data, a null, gross harm, a missing answer,
NaN, merge, save and load."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import pytest

from sidecar.compare.result import Comparison, Outcome, OutputResult
from sidecar.judge.counts import Coverage
from sidecar.judge.criteria.base import Criterion
from sidecar.judge.criteria.kinds import AnyCriterion
from sidecar.judge.judge import Judge
from sidecar.judge.labels import Label, LabelValue
from sidecar.judge.pair import JudgedPair
from sidecar.judge.report import State, Verdict
from tests.judge.pairs import MS, compared, failed, judged, pair, required, settings

CALLS = 3000
LEARNED = set("msuv")
NAN = math.nan


@dataclass(frozen=True, slots=True)
class Life:
    """A kind, and what its calls are like."""

    criterion: Criterion
    harmed: Callable[[int], JudgedPair]
    well: Callable[[int], JudgedPair] = pair
    truth: Callable[[int], LabelValue] | None = None


def _scores(b: float | Callable[[int], float]) -> Callable[[int], JudgedPair]:
    """Calls that production scores .9, and the shadow b."""

    def call(i: int) -> JudgedPair:
        value = b(i) if callable(b) else b
        return pair(i, value != 0.9, values={"score": (0.9, value)})

    return call


def _signed(error: float) -> Callable[[int], JudgedPair]:
    def call(i: int) -> JudgedPair:
        output = OutputResult("s", Outcome.VALUE, "tolerance", 1.0, {"signed_relative": error})
        return pair(i, comparison=Comparison(Outcome.VALUE, (output,), models=("m:1", "m:2")))

    return call


def _items(shadow: list[int]) -> Callable[[int], JudgedPair]:
    return lambda i: pair(i, values={"items": (np.array([1, 2, 3]), np.array(shadow))})


ABOVE = {"decision": {"threshold": 0.5}}
SAMPLE = ABOVE | {"labels": "sample"}
LIVES = {
    "disagreement": Life(required("disagreement", 0.05), lambda i: pair(i, i % 4 == 0)),
    "bias": Life(required("bias", 0.05), _signed(0.3), _signed(0.0)),
    "shadow_error_rate": Life(
        required("shadow_error_rate", 0.05), lambda i: failed(i) if i % 4 == 0 else pair(i)
    ),
    "latency_ratio": Life(
        required("latency_ratio", 0.2, quantile=0.5), lambda i: pair(i, shadow_latency_ns=40 * MS)
    ),
    "latency_per_call": Life(
        required("latency_per_call", 0.2), lambda i: pair(i, shadow_latency_ns=40 * MS)
    ),
    "time_to_first_message": Life(
        required("time_to_first_message", 0.2, quantile=0.5),
        lambda i: pair(i, first_message_ns=(5 * MS, 15 * MS)),
        lambda i: pair(i, first_message_ns=(5 * MS, 5 * MS)),
    ),
    "time_between_messages": Life(
        required("time_between_messages", 0.2, quantile=0.5),
        lambda i: pair(i, message_gap_ns=(2 * MS, 9 * MS)),
        lambda i: pair(i, message_gap_ns=(2 * MS, 2 * MS)),
    ),
    "latency_difference": Life(
        required("latency_difference", 0.01, range_seconds=0.1),
        lambda i: pair(i, shadow_latency_ns=60 * MS),
    ),
    "decision_flips": Life(required("decision_flips", 0.05, **ABOVE), _scores(0.1), _scores(0.9)),
    "out_of_range": Life(required("out_of_range", 0.05, range=(0, 1)), _scores(7.0), _scores(0.9)),
    "accuracy": Life(required("accuracy", 0.05, **ABOVE), _scores(0.1), _scores(0.9), lambda _: 1),
    "brier": Life(required("brier", 0.05), _scores(0.2), _scores(0.9), lambda _: 1),
    "log_loss": Life(required("log_loss", 0.1), _scores(0.2), _scores(0.9), lambda _: 1),
    "mae": Life(required("mae", 0.05), _scores(0.2), _scores(0.9), lambda _: 1),
    "rmse": Life(
        required("rmse", 0.2, labels="sample"),
        _scores(0.2),
        lambda i: pair(i, values={"score": (0.5, 0.5)}),
        lambda _: 1,
    ),
    "ndcg_at_k": Life(
        required("ndcg_at_k", 0.05, k=3, labels="sample"),
        _items([7, 8, 1]),
        _items([1, 2, 3]),
        lambda _: [1, 2, 3],
    ),
    "precision": Life(
        required("precision", 0.05, **SAMPLE),
        # Production is nearly always right when it says yes; the shadow says yes to everything.
        lambda i: pair(i, values={"score": (0.9 if i % 2 else 0.1, 0.9)}),
        lambda i: pair(i, values={"score": (0.9 if i % 2 else 0.1,) * 2}),
        lambda i: i % 2 if i % 10 != 1 else 0,
    ),
    "recall": Life(required("recall", 0.05, **SAMPLE), _scores(0.1), _scores(0.9), lambda _: 1),
    "f1": Life(
        required("f1", 0.05, **SAMPLE),
        lambda i: pair(i, values={"score": (0.9, 0.9 if i % 3 == 0 else 0.1)}),
        _scores(0.9),
        lambda i: int(i % 10 != 1),
    ),
    "precision_at_k": Life(
        required("precision_at_k", 0.05, k=3, labels="sample"),
        _items([7, 8, 9]),
        _items([1, 2, 3]),
        lambda _: [1, 2, 3],
    ),
    "recall_at_k": Life(
        required("recall_at_k", 0.05, k=3, labels="sample"),
        _items([7, 8, 9]),
        _items([1, 2, 3]),
        lambda _: [1, 2, 3],
    ),
}
EVERY = pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)


def _judge(life: Life, calls: Callable[[int], JudgedPair], count: int = CALLS) -> Judge:
    declared = settings(life.criterion, repeat_seconds=0.0)
    judge = Judge(declared, "pod", 0)
    for i in range(count):
        judge.observe(calls(i), i * MS)
        if life.truth is not None:
            judge.label(Label(f"id-{i}", life.truth(i)), i * MS)
    return judge


def _found(life: Life, calls: Callable[[int], JudgedPair], count: int = CALLS) -> Verdict:
    return judged(_judge(life, calls, count), count)


def test_every_kind_has_a_life() -> None:
    union = get_args(get_args(AnyCriterion)[0])
    assert {kind.model_fields["kind"].default for kind in union} == set(LIVES)


@EVERY
def test_without_data_nothing_is_decided(life: Life) -> None:
    criterion = judged(Judge(settings(life.criterion), "pod", 0), 0).criteria[0]
    assert (criterion.state, criterion.reason, criterion.n) == (State.WATCHING, "no data", 0)
    assert criterion.estimate is None
    assert criterion.interval is None
    assert criterion.log_pass == criterion.log_fail == 0


@EVERY
def test_a_candidate_that_is_production_passes_and_never_fails(life: Life) -> None:
    found = _found(life, life.well)
    assert found.state is State.PASS, found.reason
    assert found.criteria[0].estimate == pytest.approx(0, abs=1e-9)
    assert found.criteria[0].log_fail < 0


@EVERY
def test_gross_harm_fails_and_the_reason_says_by_how_much(life: Life) -> None:
    found = _found(life, life.harmed)
    assert found.state is State.FAIL, found.reason
    assert "margin of" in found.reason
    low, _ = found.criteria[0].interval or (-math.inf, 0.0)
    assert low > 0


@EVERY
def test_a_shadow_that_never_answers_never_passes(life: Life) -> None:
    def unanswered(i: int) -> JudgedPair:
        call = life.well(i)
        known = {name: (a, None) for name, (a, _) in call.values.items()}
        return failed(i, values=known)

    assert _found(life, unanswered).state is not State.PASS


@EVERY
def test_nan_is_never_taken_for_agreement(life: Life) -> None:
    def broken(i: int) -> JudgedPair:
        call = life.well(i)
        output = OutputResult("score", Outcome.NONFINITE, "tolerance", 1.0)
        values = {
            name: (a, np.full(a.shape, NAN) if isinstance(a, np.ndarray) else NAN)
            for name, (a, _) in call.values.items()
        }
        found = Comparison(Outcome.NONFINITE, (output,), models=("m:1", "m:2"))
        return replace(call, comparison=found, values=values)

    found = _found(life, broken)
    if life.criterion.measures_latency or life.criterion.is_of_failures:
        assert found.state is State.PASS  # it reads no output
    else:
        assert found.state is not State.PASS, found.reason


@EVERY
def test_what_two_pods_counted_says_what_one_would_say(life: Life) -> None:
    plan = life.criterion.plan()

    def mixed(i: int) -> JudgedPair:
        return life.harmed(i) if i % 3 == 0 else life.well(i)

    def cells(first: int, last: int) -> dict[str, float]:
        judge = Judge(settings(life.criterion, repeat_seconds=0.0), "pod", 0)
        for i in range(first, last):
            judge.observe(mixed(i), i * MS)
            if life.truth is not None:
                judge.label(Label(f"id-{i}", life.truth(i)), i * MS)
        found = judged(judge, last - first)
        assert found.calls == last - first
        (cell,) = judge.snapshot(0, Coverage(last - first, last - first)).cells.values()
        # A level that calls are held against is learned by each pod anew.
        return {name: n for name, n in cell.items() if name not in LEARNED}

    one, two = cells(0, 100), cells(100, 240)
    # Saved and loaded: counters are numbers by name, and nothing else.
    saved = json.loads(json.dumps(one))
    added = {name: saved.get(name, 0) + two.get(name, 0) for name in {*one, *two}}
    whole = cells(0, 240)
    assert added == pytest.approx(whole)
    for side in ("log_pass", "log_fail", "estimate", "n"):
        assert getattr(plan.measure(added), side) == pytest.approx(
            getattr(plan.measure(whole), side)
        )


@EVERY
def test_every_kind_says_what_it_measures_with_its_unit(life: Life) -> None:
    found = _found(life, life.harmed, 200).criteria[0]
    assert found.about
    assert "_" not in found.about
    assert found.unit in {"share", "change", "seconds", "points", "plain"}
    assert life.criterion.said(life.criterion.plan(), "9 %").count("9 %") == 1


def test_a_bias_takes_an_answer_that_is_not_a_number_for_as_wrong_as_can_be() -> None:
    def third(i: int) -> JudgedPair:
        if i % 3:
            return _signed(0.0)(i)
        output = OutputResult("s", Outcome.NONFINITE, "tolerance", 1.0, {"signed_relative": 0.0})
        return pair(i, comparison=Comparison(Outcome.NONFINITE, (output,), models=("m:1", "m:2")))

    assert _found(LIVES["bias"], third).state is State.FAIL


def test_a_label_weighs_its_call_and_its_score_alike() -> None:
    """With a weight of a quarter each, 10 points worse is 10 points worse."""
    criterion = required("accuracy", 0.05, **ABOVE)
    for labels in ("disagreements", "sample"):
        chosen = criterion.model_copy(update={"labels": labels})
        judge = Judge(settings(chosen, repeat_seconds=0.0), "pod", 0)
        for i in range(CALLS):
            worse = i % 5 == 0
            judge.observe(pair(i, worse, values={"score": (0.9, 0.1 if worse else 0.9)}), i * MS)
            judge.label(Label(f"id-{i}", 1, weight=0.25), i * MS)
        found = judged(judge, CALLS).criteria[0]
        assert found.state is not State.PASS, (labels, found.reason)
        if labels == "sample":
            assert found.estimate == pytest.approx(0.2)


def test_compared_calls_are_what_the_helper_says() -> None:
    assert compared().agrees
    assert not compared(True).agrees
