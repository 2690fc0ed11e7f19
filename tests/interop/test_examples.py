"""The examples whose servers install here, as their users would run them.

MLServer's, Triton's and TensorFlow Serving's stand with those servers' own tests.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.environments import PEERS
from tests.interop.harness import (
    EXAMPLES,
    Shadowed,
    Traffic,
    as_in_example,
    client,
    expected_differences,
    kserve,
    seldon,
    through_sidecar,
    torchserve,
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


def test_torchserves_own_server_answers_in_json(tmp_path: Path) -> None:
    def send(address: str) -> Traffic:
        command = [sys.executable, str(PEERS / "torchserve_client.py"), address]
        done = subprocess.run(command, text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        traffic: Traffic = json.loads(done.stdout)
        return traffic

    def shadowed(candidate: str) -> Shadowed:
        config = EXAMPLES / "torchserve" / "sidecar.yaml"
        seen = through_sidecar(production, candidate, send, "--config", str(config))
        calls = seen.status["calls"]
        assert calls["skipped"]["method"] == 1, "Ping is no prediction"
        # What is left out for want of time is told.
        assert 41 == calls["seen"] == calls["compared"] + sum(calls["skipped"].values())
        assert calls["compared"] >= 20
        return seen

    with torchserve(0, tmp_path / "a") as production:
        direct = send(production)
        with torchserve(0.5, tmp_path / "b") as candidate:
            seen = shadowed(candidate)
        with torchserve(0.0001, tmp_path / "c") as candidate:
            alike = shadowed(candidate)
    assert direct["answers"][7]["outputs"] == {"prediction": {"y": [0, 2, 4, 6]}}
    assert seen.traffic == direct
    assert seen.differing_outputs() == {"prediction": seen.status["calls"]["compared"]}
    assert alike.differing == []  # other spaces, and numbers within the example's tolerance


def described(folder: str, name: str, tmp_path: Path) -> Path:
    """An example's descriptors, made as its first lines say."""
    descriptors = tmp_path / f"{name}.pb"
    proto = EXAMPLES / folder / f"{name}.proto"
    make = [sys.executable, "-m", "grpc_tools.protoc", f"-I{proto.parent}", "--include_imports"]
    subprocess.run([*make, f"--descriptor_set_out={descriptors}", str(proto)], check=True)
    return descriptors


def test_a_service_of_ones_own_is_compared_by_its_fields_and_noise_is_left_out(
    tmp_path: Path,
) -> None:
    descriptors = described("own-proto", "scorer", tmp_path)

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


def test_a_language_models_stream_is_compared_by_its_text_and_timed_by_its_tokens(
    tmp_path: Path,
) -> None:
    descriptors = described("llm-stream", "llm", tmp_path)

    def peer(*arguments: str) -> list[str]:
        return [
            sys.executable,
            str(EXAMPLES / "llm-stream" / "llm.py"),
            str(descriptors),
            *arguments,
        ]

    def send(address: str) -> Traffic:
        done = subprocess.run(
            peer("send", address, "200"), text=True, capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        traffic: Traffic = json.loads(done.stdout)
        return traffic

    with (
        Process(peer("serve"), name="llm") as production,
        Process(
            peer("serve", "--piece", "3", "--first-ms", "120", "--other", "10"), name="candidate"
        ) as shadow,
    ):
        ours = production.wait_ready()["address"]
        theirs = shadow.wait_ready()["address"]
        direct, other = send(ours), send(theirs)
        differing = sum(a != b for a, b in zip(direct["answers"], other["answers"], strict=True))
        assert differing == 20
        flags = {
            "compare.descriptors": descriptors,
            "judge.independent_calls": True,
            "judge.min_duration_seconds": 0,
            "judge.repeat_seconds": 0,
        }
        seen = through_sidecar(
            ours,
            theirs,
            send,
            *("--config", str(EXAMPLES / "llm-stream" / "sidecar.yaml")),
            *(word for key, value in flags.items() for word in ("--set", f"{key}={value}")),
        )
    assert seen.traffic == direct
    assert seen.status["calls"]["compared"] == 200
    # Three tokens a piece where production sends one: the same text is no difference.
    assert seen.differing_outputs() == {"text": 20}
    rows = {row["name"]: row for row in seen.report["verdict"]["criteria"]}
    assert rows["same-words"]["estimate"] == 0.1
    assert rows["same-words"]["state"] == "FAIL"
    assert rows["first-token"]["n"] == 200
    assert rows["first-token"]["estimate"] > 1  # 120 ms where production takes 20
