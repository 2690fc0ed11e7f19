"""The replay's Jobs: their commands, part by part, against a real server; then the verdict."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kube.manifests_in import K8S
from tests.scenarios.test_payload_values import CALLS
from tests.scenarios.test_replay import folder, model

__all__ = ["folder"]  # the fixture: calls that were captured

CONFIG = "judge: {criteria: [{name: same, kind: disagreement, margin: 0.3, required: true}]}\n"


def _job(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load((K8S / name).read_text())["spec"]
    return spec


def _run(
    spec: dict[str, Any], shard: int, places: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    (container,) = spec["template"]["spec"]["containers"]
    words = []
    for word in container["args"]:
        text = word.replace("$(SHARD)", str(shard))
        for there, here in places.items():
            text = text.replace(there, here)
        words.append(text)
    command = [sys.executable, "-m", "sidecar", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_there_are_as_many_parts_as_pods() -> None:
    spec = _job("replay/job.yaml")
    (container,) = spec["template"]["spec"]["containers"]
    assert spec["completionMode"] == "Indexed"
    assert f"--shard=$(SHARD)/{spec['completions']}" in container["args"]
    (env,) = container["env"]
    told = env["valueFrom"]["fieldRef"]["fieldPath"]
    assert (env["name"], told) == (
        "SHARD",
        "metadata.annotations['batch.kubernetes.io/job-completion-index']",
    )
    (rule,) = [r for r in spec["podFailurePolicy"]["rules"] if r["action"] == "FailJob"]
    assert rule["onExitCodes"] == {"containerName": "replay", "operator": "In", "values": [2]}


@pytest.mark.timeout(300)
def test_the_parts_of_all_pods_are_the_whole_and_one_that_is_missing_is_refused(
    folder: Path,  # pytest's way
    tmp_path: Path,
) -> None:
    results, config = tmp_path / "results", tmp_path / "config.yaml"
    results.mkdir()
    config.write_text(CONFIG)
    parts, verdict = _job("replay/job.yaml"), _job("replay/verdict/job.yaml")
    with model("--bias", "7") as address:
        places = {
            "/calls": str(folder),
            "/results": str(results),
            "digits-candidate:9000": address,
            "/etc/shadow-sidecar/config.yaml": str(config),
        }
        for shard in range(parts["completions"]):
            early = _run(verdict, 0, places)
            assert early.returncode == 2, "not all parts are there"
            done = _run(parts, shard, places)
            assert done.returncode == 0, done.stdout + done.stderr
        again = _run(parts, 0, places)  # as after a pod that was lost when it had written
        assert (again.returncode, "nothing is left to send" in again.stderr) == (0, True)
        gone = {**places, "digits-candidate:9000": "127.0.0.1:1", "/results": str(tmp_path)}
        assert _run(parts, 0, gone).returncode == 2, "which ends the Job"
    done = _run(verdict, 0, places)
    assert done.returncode == 1, done.stdout + done.stderr
    whole = json.loads((results / "all.result").read_text())
    assert (whole["calls"], whole["unfinished"]) == (CALLS, False)
    assert whole["reports"][0]["outcomes"] == {"value": CALLS}
