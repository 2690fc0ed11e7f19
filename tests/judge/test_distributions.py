"""What is told of values: of both sides, of inputs over time, and of decisions; it adds."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sidecar.judge.decision import Decision
from sidecar.judge.distributions import DAY, HOUR, NAMES, Distributions, Drawn
from sidecar.report.drift import drift_of
from tests.judge.pairs import SECOND

START = 1_700_006_400


def _day(distributions: Distributions, hours: range, age: float) -> None:
    rng = np.random.default_rng(hours.start)
    for hour in hours:
        for i in range(20):
            drawn = Drawn(inputs={"age": float(rng.normal(age, 5))})
            distributions.add(drawn, (START + hour * HOUR + i) * SECOND)


def test_inputs_of_the_latest_hours_are_laid_beside_those_of_the_first_day() -> None:
    one = Distributions()
    _day(one, range(30), 40)
    assert drift_of(one).inputs[0].psi == pytest.approx(0, abs=0.3)
    _day(one, range(30, 34), 60)
    (row,) = drift_of(one).inputs
    assert row.name == "age"
    assert row.n == (480, 40), "a day, and two hours"
    assert row.psi is not None
    assert row.psi > 1
    assert row.wasserstein == pytest.approx(20, rel=0.1)
    assert sum(found[3] for found in row.bins) == pytest.approx(1)


def test_before_the_first_day_is_over_nothing_has_drifted() -> None:
    one = Distributions()
    _day(one, range(DAY // HOUR), 40)
    assert drift_of(one).inputs == ()


def test_outputs_and_decisions_of_both_sides_are_told() -> None:
    one, rule = Distributions(), Decision(threshold=0.5)
    for i in range(100):
        ours, theirs = np.array([0.1, 0.9]), np.array([0.1, 0.9 if i % 4 else 0.2])
        one.add(Drawn({"p": (ours, theirs)}, decided=[("right", rule, ours, theirs)]), i)
    found = drift_of(one)
    assert found.calls == 100
    assert found.outputs[0].n == (200, 200)
    assert found.outputs[0].wasserstein == pytest.approx(0.7 * 25 / 200, rel=0.1)
    assert found.confusions[0].classes == ("0", "1")
    assert found.confusions[0].counts == ((100, 0), (25, 75))


def test_pods_add_and_what_is_written_is_read_again() -> None:
    one, other, whole = Distributions(), Distributions(), Distributions()
    for hour in range(60):
        drawn = Drawn({"p": (1.0 + hour, 2.0)}, {"x": float(hour)})
        for to in (other if hour % 2 else one, whole):
            to.add(drawn, (START + hour * HOUR) * SECOND)
    both = one.plus(other)
    again = Distributions.from_dict(json.loads(json.dumps(both.to_dict())))
    assert again.to_dict() == both.to_dict()
    assert both.outputs == whole.outputs
    assert both.first == whole.first
    assert drift_of(both).inputs == drift_of(whole).inputs
    assert Distributions.from_dict({}).count == 0


def test_there_are_so_many_names_and_classes_and_no_more() -> None:
    one = Distributions()
    for i in range(500):
        value = np.zeros(5)
        drawn = Drawn(
            {f"o{i}": (value, value)},
            {f"i{i}": 1.0},
            [(f"c{i % 20}", Decision(bands=tuple(range(99))), float(i), 0.0)],
        )
        one.add(drawn, START * SECOND)
    assert len(one.outputs) == len(one.first) == NAMES
    assert all(len(matrix) <= 21 for matrix in one.matrices.values())
    assert len(one.matrices) == 8
