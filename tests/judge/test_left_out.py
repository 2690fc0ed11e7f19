"""Calls in which the shadow's part is bad are never left out of a criterion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sidecar.compare.result import Comparison, Outcome, OutputResult
from sidecar.judge.counts import Coverage
from sidecar.judge.evidence.effective import digest_of
from sidecar.judge.judge import Judge
from sidecar.judge.labels import Label
from sidecar.judge.report import State
from tests.judge.pairs import MS, pair, required, settings

N = 600
NONE, BOXES = np.empty((0,)), np.array([0.9, 0.8])
THRESHOLD = {"outputs": "score", "decision": {"threshold": 0.5}}


def said(criterion: Any, bad: dict[str, Any], good: dict[str, Any], labels: Any = None) -> State:
    """What is said where every other call is bad."""
    judge = Judge(settings(criterion), "pod", 0)
    for i in range(N):
        judge.observe(pair(i, **(bad if i % 2 else good)), i * MS)
        if labels is not None:
            judge.label(Label(f"id-{i}", labels(i)), i * MS)
    return judge.verdict(10**12, Coverage(N, N)).state


def scores(a: Any, b: Any) -> dict[str, Any]:
    return {"values": {"score": (a, b)}}


@pytest.mark.parametrize("ours", [NONE, None])
def test_where_production_decides_nothing_and_the_shadow_something_they_differ(ours: Any) -> None:
    flips = required("decision_flips", 0.05, **THRESHOLD)
    assert said(flips, scores(ours, BOXES), scores(BOXES, BOXES)) is State.FAIL
    accuracy = required("accuracy", 0.05, **THRESHOLD)
    # No label can tell about those: as bad as can be for PASS, as good as can be for FAIL.
    found = said(accuracy, scores(ours, BOXES), scores(BOXES, BOXES), lambda i: int(i % 2 == 0))
    assert found is State.WATCHING


@pytest.mark.parametrize("outcome", [Outcome.UNDECODABLE, Outcome.MESSAGE_COUNT])
def test_an_answer_that_cannot_be_read_is_as_far_off_as_can_be(outcome: Outcome) -> None:
    bad = {"comparison": Comparison(outcome, reader="open_inference", models=("m:1", "m:2"))}
    bias = required("bias", 0.05, outputs="score")
    assert said(bias, bad, scores(1.0, 1.0)) is State.FAIL


OTHER: dict[str, Any] = {"method": "/p.S/Other"}
UNREAD = Comparison(Outcome.UNDECODABLE, reader="descriptors", models=("m:1", "m:2"))
APART = Comparison(
    Outcome.EQUAL,
    (OutputResult("boxes", Outcome.EQUAL, "exact", 0.0),),
    "descriptors",
    models=("m:1", "m:2"),
)


def test_a_method_of_which_no_answer_could_ever_be_read_is_not_left_out() -> None:
    """Nobody knows whether it has such an output: worst for PASS, and nothing for FAIL."""
    bias = required("bias", 0.2, outputs="score")
    assert said(bias, OTHER | {"comparison": UNREAD}, scores(1.0, 1.0)) is State.WATCHING


def test_an_unreadable_answer_of_a_method_without_such_an_output_is_none_of_its_calls() -> None:
    judge = Judge(settings(required("bias", 0.2, outputs="score")), "pod", 0)
    for i in range(N):
        judge.observe(pair(4 * i, **scores(1.0, 1.0)), 4 * i * MS)
        for j, found in enumerate((APART, UNREAD, APART), 4 * i + 1):
            judge.observe(pair(j, **OTHER, comparison=found), j * MS)
    assert judge.verdict(10**12, Coverage(4 * N, 4 * N)).state is State.PASS


@pytest.mark.parametrize("kind", ["time_to_first_message", "time_between_messages"])
def test_a_stream_that_ends_without_a_message_may_take_for_ever(kind: str) -> None:
    times = "first_message_ns" if kind == "time_to_first_message" else "message_gap_ns"
    criterion = required(kind, 0.5, quantile=0.95)
    found = said(criterion, {times: (MS, None)}, {times: (MS, MS)})
    assert found is not State.PASS
    assert said(criterion, {times: (MS, MS)}, {times: (MS, MS)}) is State.PASS


@pytest.mark.parametrize("far", [1e303, -1e305, float("inf")])
def test_a_number_beyond_all_bounds_is_as_wrong_as_can_be(far: float) -> None:
    mae = required("mae", 0.05, outputs="score", labels="sample")
    assert said(mae, scores(1.0, far), scores(1.0, 1.0), lambda _: 1.0) is State.FAIL


def test_a_decision_that_cannot_be_made_is_no_label() -> None:
    accuracy = required("accuracy", 0.05, labels="sample", **THRESHOLD)
    nan = scores(0.9, float("nan"))
    assert said(accuracy, nan, nan, lambda i: 1 if i % 2 else -1) is State.FAIL


def test_images_with_edges_of_one_colour_are_distinct() -> None:
    edge = bytes(100_000)
    digests = {digest_of("/m", [edge + bytes([i]) * 50_000 + edge]) for i in range(50)}
    assert len(digests) == 50
