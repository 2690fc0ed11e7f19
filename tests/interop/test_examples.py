"""The examples whose servers install here, as their users would run them.

MLServer's, Triton's and TensorFlow Serving's stand with those servers' own tests.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.harness import (
    EXAMPLES,
    Traffic,
    as_in_example,
    client,
    expected_differences,
    kserve,
    seldon,
    through_sidecar,
)
from tests.processes import Process

# The first run makes the environments.
pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


def test_kserves_own_server_and_client() -> None:
    def send(address: str) -> Traffic:
        return client("kserve", "kserve_client.py", address)

    with kserve(0) as production, kserve(0.5) as shadow:
        direct = send(production)
        expected = expected_differences(direct, send(shadow))
        assert expected["y"] == 40
        assert 0 < expected["big"] < 40  # only where the sum comes near to ten
        seen = as_in_example("kserve", production, shadow, send)
        alike = as_in_example("kserve", production, production, send)
    assert seen.traffic == direct
    assert seen.status["calls"]["compared"] == 40
    assert seen.differing_outputs() == expected
    assert alike.status["calls"]["compared"] == 40
    assert alike.differing == []


def test_seldons_own_microservice_and_messages() -> None:
    def send(address: str) -> Traffic:
        return client("seldon", "seldon_client.py", address)

    with seldon(0) as production, seldon(0.5) as shadow:
        direct = send(production)
        seen = as_in_example("seldon", production, shadow, send)
        alike = as_in_example("seldon", production, production, send)
    assert seen.traffic == direct
    assert seen.status["calls"]["compared"] == len(seen.differing) == 30
    assert alike.status["calls"]["compared"] == 30
    assert alike.differing == []


def test_a_service_of_ones_own_is_compared_by_its_fields_and_noise_is_left_out(
    tmp_path: Path,
) -> None:
    descriptors = tmp_path / "scorer.pb"
    proto = EXAMPLES / "own-proto" / "scorer.proto"
    make = [sys.executable, "-m", "grpc_tools.protoc", f"-I{proto.parent}", "--include_imports"]
    subprocess.run([*make, f"--descriptor_set_out={descriptors}", str(proto)], check=True)

    def peer(*arguments: str) -> list[str]:
        return [
            sys.executable,
            str(EXAMPLES / "own-proto" / "scorer.py"),
            str(descriptors),
            *arguments,
        ]

    def send(address: str) -> Traffic:
        done = subprocess.run(peer("send", address), text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return {"calls": int(done.stdout), "answers": []}

    config = str(EXAMPLES / "own-proto" / "sidecar.yaml")
    with (
        Process(peer("serve", "0.50"), name="scorer") as production,
        Process(peer("serve", "0.52"), name="candidate") as shadow,
    ):
        seen = through_sidecar(
            production.wait_ready()["address"],
            shadow.wait_ready()["address"],
            send,
            "--config",
            config,
            "--set",
            f"compare.descriptors={descriptors}",
        )
    assert seen.status["calls"]["compared"] == 200
    assert seen.differing_outputs() == {"label": 4}  # scores from 0.50 to 0.52, of 200
