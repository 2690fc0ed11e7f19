"""gRPC that is not C-core: JavaScript's on both sides, and Go's as a client."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.harness import (
    Traffic,
    expected_differences,
    grpcurl,
    inference_proto,
    node,
    node_client,
    through_sidecar,
)
from tests.processes import server

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def proto(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inference_proto(tmp_path_factory.mktemp("proto"))


@pytest.fixture(scope="module")
def javascript(proto: Path) -> Iterator[tuple[str, str]]:
    """A production and a shadow that differ at every number."""
    with (
        node("grpc_js_server.js", str(proto), "0") as production,
        node("grpc_js_server.js", str(proto), "0.5") as shadow,
    ):
        yield production.wait_ready()["address"], shadow.wait_ready()["address"]


@pytest.mark.skipif(shutil.which("npm") is None, reason="grpc-js comes from npm, which is not here")
def test_javascript_is_compared_whatever_it_compresses_with(
    proto: Path, javascript: tuple[str, str]
) -> None:
    def send(address: str) -> Traffic:
        return node_client("grpc_js_client.js", str(proto), address)

    production, shadow = javascript
    direct = send(production)
    expected = expected_differences(direct, send(shadow))
    assert expected == {"y": 63, "[1]y": 3, "[2]y": 3, "[3]y": 3, "[4]y": 3}

    seen = through_sidecar(production, shadow, send)

    assert seen.traffic == direct
    assert seen.status["calls"]["compared"] == direct["calls"] == 66
    assert seen.differing_outputs() == expected
    outcomes = [pair["outcome"] for pair in seen.pairs]
    assert (outcomes.count("value"), outcomes.count("both_error_same")) == (63, 3)


def test_go_is_compared_in_unary_and_streaming_calls(proto: Path) -> None:
    requests: list[dict[str, Any]] = [
        {
            "model_name": "arithmetic",
            "inputs": [
                {
                    "name": "x",
                    "datatype": "FP32",
                    "shape": [2],
                    "contents": {"fp32_contents": [i, i / 2]},
                },
                {
                    "name": "t",
                    "datatype": "BYTES",
                    "shape": [1],
                    "contents": {"bytes_contents": ["QUJD"]},
                },
            ],
        }
        for i in range(3)
    ]

    def send(address: str) -> Traffic:
        unary = grpcurl(proto, address, "ModelInfer", requests[:1])
        stream = grpcurl(proto, address, "ModelStreamInfer", requests)
        return {"calls": 2, "answers": [unary, stream]}

    with server("model") as production, server("model", "--bias", "1") as shadow:
        address = production.wait_ready()["address"]
        direct = send(address)
        assert [len(answer) for answer in direct["answers"]] == [1, 3]
        seen = through_sidecar(address, shadow.wait_ready()["address"], send)
    assert seen.traffic == direct
    assert seen.status["calls"]["compared"] == 2
    assert seen.differing_outputs() == {
        "x": 2,
        "sum": 2,
        "[1]x": 1,
        "[1]sum": 1,
        "[2]x": 1,
        "[2]sum": 1,
    }
