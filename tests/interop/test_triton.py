"""The real Triton on both sides, NVIDIA's own client in front."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop.harness import (
    LIBPYTHON,
    Traffic,
    as_in_example,
    assert_asked_again_it_agrees,
    client,
    expected_differences,
    through_sidecar,
    triton,
)

pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not LIBPYTHON.is_file(), reason="Triton's backend needs a Python with a shared library"
    ),
]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[str, str]]:
    with triton(0) as production, triton(0.5) as shadow:
        yield production, shadow


def _send(model: str) -> Callable[[str], Traffic]:
    return lambda address: client("tritonclient", "triton_client.py", address, model)


@pytest.mark.parametrize(
    ("model", "expected"), [("doubler", {"y": 40}), ("counter", {"i": 1, "[1]i": 1, "[2]i": 1})]
)
def test_tensors_are_compared_in_calls_and_decoupled_streams(
    servers: tuple[str, str], model: str, expected: dict[str, int]
) -> None:
    production, shadow = servers
    direct = _send(model)(production)
    assert expected_differences(direct, _send(model)(shadow)) == expected

    seen = through_sidecar(production, shadow, _send(model))

    assert seen.traffic == direct
    assert seen.status["calls"]["compared"] == direct["calls"]
    assert seen.differing_outputs() == expected
    assert {pair["outcome"] for pair in seen.differing} == {"value"}


@pytest.mark.parametrize("model", ["doubler", "counter"])
def test_a_server_agrees_with_itself(servers: tuple[str, str], model: str) -> None:
    production, _ = servers
    seen = through_sidecar(production, production, _send(model))
    assert seen.status["calls"]["compared"] == seen.traffic["calls"]
    assert seen.differing == []


@pytest.mark.parametrize(("model", "calls"), [("doubler", 40), ("counter", 1)])
def test_the_example_reads_calls_and_streams(
    servers: tuple[str, str], model: str, calls: int
) -> None:
    seen = as_in_example("triton", *servers, _send(model))
    assert seen.status["calls"]["compared"] == len(seen.differing) == calls


@pytest.mark.parametrize("model", ["doubler", "counter"])
def test_what_was_captured_of_a_server_and_asked_again_of_it_agrees_completely(
    servers: tuple[str, str], model: str, tmp_path: Path
) -> None:
    assert_asked_again_it_agrees(*servers, _send(model), tmp_path)
