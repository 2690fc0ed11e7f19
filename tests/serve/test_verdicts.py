"""The verdict on the metrics page."""

from __future__ import annotations

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.judge.distributions import Drawn
from sidecar.serve.families import PREFIX
from sidecar.serve.metrics import Metrics
from tests.house import House, told


def page(house: House) -> dict[tuple[str, ...], float]:
    body, _ = Metrics(house.experiment.state).expose()
    return {
        (sample.name.removeprefix(PREFIX), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_no_data_is_watching_without_a_coverage() -> None:
    found = page(House({}))
    assert found["verdict", "candidate", "WATCHING"] == 1
    assert found["verdict", "candidate", "PASS"] == 0
    assert ("coverage_ratio", "candidate") not in found
    assert ("criterion_estimate", "same", "true", "candidate") not in found
    assert found["criterion_margin", "same", "true", "candidate"] == 0.05


def test_a_verdict_is_shown_as_the_last_sweep_found_it() -> None:
    house = House({})
    for _ in range(300):
        house.call(told(1.0))
    assert page(house)["verdict", "candidate", "WATCHING"] == 1
    house.experiment.sweep()
    found = page(house)
    states = {state: found["verdict", "candidate", state] for state in ("PASS", "FAIL", "WATCHING")}
    assert states == {"PASS": 1, "FAIL": 0, "WATCHING": 0}
    assert found["coverage_ratio", "candidate"] == 1
    assert found["judged_calls", "candidate"] == 300
    assert found["criterion_estimate", "same", "true", "candidate"] == 0
    assert 0 < found["criterion_upper_bound", "same", "true", "candidate"] < 0.05
    assert found["criterion_lower_bound", "same", "true", "candidate"] == 0
    assert found["criterion_verdict", "same", "candidate", "PASS"] == 1


def test_outputs_that_drift_are_told_apart_from_those_that_do_not() -> None:
    """Through the whole page, from 200 values on; the same draws on both sides, or one moved."""
    rng = np.random.default_rng(1)
    house = House({})
    distributions = house.judged.epoch.distributions
    for i in range(300):
        if i == 150:
            assert ("drift_psi", "same", "output", "candidate") not in page(house), "too few"
        x, y = rng.normal(5, 1), rng.normal(5, 1)
        drawn = Drawn({"same": (x, y), "moved": (x, y + 3)})
        distributions.add(drawn, i * 1_000_000_000)
    found = page(house)
    names = {key[1:]: value for key, value in found.items() if key[0] == "drift_psi"}
    assert names.keys() == {("same", "output", "candidate"), ("moved", "output", "candidate")}
    assert names["same", "output", "candidate"] < 0.25
    assert names["moved", "output", "candidate"] > 1
    assert found["drift_wasserstein", "moved", "output", "candidate"] == pytest.approx(3, rel=0.1)
    assert found["drift_wasserstein", "same", "output", "candidate"] < 0.3
    assert found["drift_calls", "candidate"] == 300
