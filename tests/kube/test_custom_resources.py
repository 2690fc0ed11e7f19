"""Custom resources against the schemas of the projects that define them."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.interop.environments import make
from tests.kube.manifests_in import committed, is_core

CUSTOM = [(where, document) for where, document in committed() if not is_core(document)]
FLAGGER = "flagger.app"
# Flagger publishes no schema package. These are the words of its documentation.
FLAGGER_HOOKS = {
    "confirm-rollout",
    "pre-rollout",
    "rollout",
    "confirm-traffic-increase",
    "confirm-promotion",
    "post-rollout",
    "rollback",
    "event",
}


def verdicts(documents: list[dict[str, Any]]) -> list[str]:
    """What the schemas say of each."""
    modules = make("kubernetes-models").node_modules
    done = subprocess.run(
        ["node", str(Path(__file__).with_name("validate.mjs")), str(modules)],
        input=json.dumps(documents),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [line.partition(" ")[2] for line in done.stdout.splitlines()]


@pytest.mark.interop
def test_every_custom_resource_is_valid() -> None:
    known = [(where, d) for where, d in CUSTOM if not d["apiVersion"].startswith(FLAGGER)]
    found = verdicts([document for _, document in known])
    wrong = {w: v for (w, _), v in zip(known, found, strict=True) if v != "ok"}
    assert not wrong
    assert {d["apiVersion"].partition("/")[0] for _, d in known} == {
        "argoproj.io",
        "cert-manager.io",
        "gateway.networking.k8s.io",
        "monitoring.coreos.com",
        "networking.istio.io",
        "security.istio.io",
        "telemetry.istio.io",
    }


@pytest.mark.interop
def test_the_schemas_do_find_mistakes() -> None:
    rollout = copy.deepcopy(next(d for _, d in CUSTOM if d["kind"] == "Rollout"))
    rollout["spec"]["strategy"]["canary"]["steps"][1] = {"setWeight": "one"}
    assert verdicts([rollout])[0] not in {"ok", "unknown"}


def test_the_flagger_canary_uses_hooks_that_flagger_has() -> None:
    canary = next(d for _, d in CUSTOM if d["kind"] == "Canary")
    assert canary["apiVersion"] == "flagger.app/v1beta1"
    analysis = canary["spec"]["analysis"]
    assert {hook["type"] for hook in analysis["webhooks"]} <= FLAGGER_HOOKS
    assert {"interval", "threshold", "stepWeights"} <= analysis.keys()
    assert analysis["stepWeights"] == [1, 20, 50]
    assert {"apiVersion", "kind", "name"} == canary["spec"]["targetRef"].keys()
