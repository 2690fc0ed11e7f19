"""MLServer on both sides, NVIDIA's tritonclient in front."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop.harness import (
    Traffic,
    as_in_example,
    assert_asked_again_it_agrees,
    client,
    expected_differences,
    mlserver,
    through_sidecar,
)

# The first run makes two environments.
pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    directory = tmp_path_factory.mktemp("models")
    with (
        mlserver("production", directory / "production") as production,
        mlserver("shadow", directory / "shadow") as shadow,
    ):
        yield production, shadow


def _send(model: str) -> Callable[[str], Traffic]:
    return lambda address: client("tritonclient", "triton_client.py", address, model)


def test_float_tensors_are_compared_and_the_differing_outputs_named(
    servers: tuple[str, str],
) -> None:
    production, shadow = servers
    direct = _send("iris")(production)
    other = _send("iris")(shadow)
    expected = expected_differences(direct, other)
    assert expected["predict_proba"] == 100  # all but the species that one split tells apart
    assert 0 < expected["predict"] < 100

    seen = through_sidecar(production, shadow, _send("iris"))

    assert seen.traffic == direct
    assert seen.status["calls"]["seen"] == seen.status["calls"]["compared"] == 150
    assert seen.differing_outputs() == expected
    assert len(seen.differing) == 100
    assert {pair["outcome"] for pair in seen.differing} == {"value"}


def test_bytes_tensors_are_compared_text_by_text(servers: tuple[str, str]) -> None:
    production, shadow = servers
    direct = _send("text")(production)
    expected = expected_differences(direct, _send("text")(shadow))
    assert expected == {"text": 4}  # those with a capital letter

    seen = through_sidecar(production, shadow, _send("text"))

    assert seen.traffic == direct
    assert seen.status["calls"]["compared"] == direct["calls"] == 8
    assert seen.differing_outputs() == expected
    assert {pair["outcome"] for pair in seen.differing} == {"value"}


@pytest.mark.parametrize("model", ["iris", "text"])
def test_a_server_agrees_with_itself(servers: tuple[str, str], model: str) -> None:
    production, _ = servers
    seen = through_sidecar(production, production, _send(model))
    assert seen.status["calls"]["compared"] == seen.traffic["calls"]
    assert seen.differing == []
    assert {pair["outcome"] for pair in seen.pairs} == {"equal"}


def test_the_example_compares_classes_exactly_and_probabilities_with_its_tolerance(
    servers: tuple[str, str],
) -> None:
    production, shadow = servers
    expected = expected_differences(_send("iris")(production), _send("iris")(shadow))
    seen = as_in_example("mlserver", production, shadow, _send("iris"))
    assert seen.status["calls"]["compared"] == 150
    assert seen.differing_outputs() == expected  # a tree's probabilities are 0 and 1


@pytest.mark.parametrize("model", ["iris", "text"])
def test_what_was_captured_of_a_server_and_asked_again_of_it_agrees_completely(
    servers: tuple[str, str], model: str, tmp_path: Path
) -> None:
    assert_asked_again_it_agrees(*servers, _send(model), tmp_path)
