"""TensorFlow Serving's API: servers of grpcio and ovmsclient's stubs, ovmsclient in front."""

from __future__ import annotations

import pytest

from tests.interop.harness import (
    Traffic,
    as_in_example,
    client,
    expected_differences,
    tensorflow_api,
    through_sidecar,
)

# The first run makes the environment.
pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


def _send(address: str) -> Traffic:
    return client("ovmsclient", "ovms_client.py", address)


def test_predictions_are_compared_and_the_differing_outputs_named() -> None:
    with tensorflow_api(0) as production, tensorflow_api(0.5) as shadow:
        direct = _send(production)
        expected = expected_differences(direct, _send(shadow))
        assert expected == {"y": 40, "text": 2}
        seen = through_sidecar(production, shadow, _send)
        example = as_in_example("tensorflow-serving", production, shadow, _send)
    assert example.differing_outputs() == expected
    assert seen.traffic == direct
    assert seen.status["calls"]["compared"] == direct["calls"] == 45
    assert seen.differing_outputs() == expected
    outcomes = [pair["outcome"] for pair in seen.pairs]
    assert outcomes.count("both_error_same") == 1  # the input that both refuse
    assert outcomes.count("value") == 42


def test_a_server_agrees_with_itself() -> None:
    with tensorflow_api(0) as production, tensorflow_api(0) as shadow:
        seen = through_sidecar(production, shadow, _send)
    assert seen.status["calls"]["compared"] == 45
    assert seen.differing == []
