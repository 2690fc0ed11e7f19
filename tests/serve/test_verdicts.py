"""The verdict on the metrics page."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

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
