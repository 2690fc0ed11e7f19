"""Pods to inject into, as people write them."""

from __future__ import annotations

import copy
from typing import Any

MODEL: dict[str, Any] = {
    "metadata": {
        "name": "digits",
        "labels": {"app": "digits", "shadow-sidecar/inject": "true"},
        "annotations": {"shadow-sidecar/shadow": "candidate=candidate:9000"},
    },
    "spec": {
        "containers": [
            {
                "name": "server",
                "image": "model:1",
                "ports": [{"name": "grpc", "containerPort": 9000, "protocol": "TCP"}],
                "readinessProbe": {"tcpSocket": {"port": "grpc"}},
            }
        ]
    },
}


def pod(annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """A model's pod that asks for the sidecar; `annotations` without the prefix."""
    made = copy.deepcopy(MODEL)
    named = {f"shadow-sidecar/{key}": value for key, value in (annotations or {}).items()}
    made["metadata"]["annotations"] |= named
    made["spec"] |= spec
    return made


def container(pod: dict[str, Any], name: str) -> dict[str, Any]:
    """A container or init container by name."""
    spec = pod["spec"]
    found = [
        c for k in ("initContainers", "containers") for c in spec.get(k, ()) if c["name"] == name
    ]
    assert len(found) == 1, f"{len(found)} containers named {name}"
    return dict(found[0])
