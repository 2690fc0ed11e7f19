from __future__ import annotations

import math
from typing import Any

import pytest

from sidecar.judge.number import number
from sidecar.judge.words import compared, margin, measured
from tests.house import House, told
from tests.judge.pairs import required

COST = {"threshold": 0.5, "cost": [[0.0, 1.0], [5.0, 0.0]]}


@pytest.mark.parametrize(
    ("kind", "at", "given", "said"),
    [
        ("disagreement", 0.05, {}, "9.81 % of calls disagree, above the margin of 5 %"),
        (
            "disagreement",
            0.05,
            {"score": "mean"},
            "9.81 % apart on average, above the margin of 5 %",
        ),
        ("shadow_error_rate", 0.005, {}, "9.81 % of calls fail, above the margin of 0.5 %"),
        (
            "out_of_range",
            0.01,
            {},
            "9.81 % more outputs than production's are out of range, above the margin of 1 %",
        ),
        (
            "latency_ratio",
            0.1,
            {"quantile": 0.99},
            "p99 latency is +9.81 %, above the margin of +10 %",
        ),
        ("latency_difference", 0.005, {}, "mean latency is +98.1 ms, above the margin of +5 ms"),
        ("bias", 0.05, {}, "outputs are +9.81 % off on average, outside the margin of +-5 %"),
        (
            "bias",
            0.05,
            {"direction": "decrease"},
            "outputs are +9.81 % off on average, below the margin of -5 %",
        ),
        (
            "decision_flips",
            0.05,
            {"decision": {"argmax": True}},
            "9.81 % of decisions change, above the margin of 5 %",
        ),
        (
            "decision_flips",
            0.5,
            {"decision": COST},
            "decisions cost 0.0981 on average, above the margin of 0.5",
        ),
        (
            "accuracy",
            0.01,
            {"decision": {"argmax": True}},
            "accuracy is 9.81 pp lower, above the margin of 1 pp",
        ),
        ("recall_at_k", 0.0, {}, "recall at k is 9.81 pp lower, above the margin of 0 pp"),
    ],
)
def test_every_kind_says_its_figure_in_its_own_words(
    kind: str, at: float, given: dict[str, Any], said: str
) -> None:
    plan = required(kind, at, **given).plan(0.0)
    assert compared(plan, "above", 0.09812, None) == said


def test_an_interval_is_written_in_the_same_unit_as_far_as_it_is_known() -> None:
    plan = required("latency_ratio", 0.1).plan(0.0)
    told = [
        measured(plan, -0.02, interval)
        for interval in (None, (-0.04, 0.0), (-0.04, math.inf), (-math.inf, 0.5))
    ]
    assert told == [
        "p95 latency is -2 %",
        "p95 latency is -2 % (-4 % to 0 %)",
        "p95 latency is -2 % (at least -4 %)",
        "p95 latency is -2 % (at most +50 %)",
    ]
    assert measured(plan, None, None) == compared(plan, "below", None, None) == "no data"


def test_a_margin_that_holds_both_ways_is_within_or_outside() -> None:
    plan = required("bias", 0.05).plan(0.0)
    assert "within the margin of +-5 %" in compared(plan, "below", 0.01, None)
    assert margin(plan.criterion) == "+-5 %"


def test_what_is_net_of_a_control_says_so() -> None:
    plan = required("disagreement", 0.05).plan(0.5)
    assert measured(plan, 0.01, None) == "1 % of calls disagree, net of the control"


def test_numbers_have_three_digits_and_no_exponent() -> None:
    values = (0, 1, 99.96, 1234.5, 0.012345, -0.5, 1e-9, -1e-9, 1e-6, math.inf)
    assert [number(value) for value in values] == [
        "0",
        "1",
        "100",
        "1,234",
        "0.0123",
        "-0.5",
        "0",
        "0",
        "0.000001",
        "inf",
    ]


def test_what_lost_calls_count_as_is_said_as_it_is() -> None:
    for independent, expected in ((False, "each counts as the worst"), (True, "only coverage")):
        house = House(
            {
                "criteria": [{"name": "same", "kind": "disagreement", "margin": 0.1}],
                "independent_calls": independent,
            }
        )
        for _ in range(20):
            house.call(told(1.0))
        house.judged.blind(5, house.now_ns)
        lines = house.judged.evaluate(house.now_ns).evidence
        assert any(line.startswith("5 calls were lost") and expected in line for line in lines)
