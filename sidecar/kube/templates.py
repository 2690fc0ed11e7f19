"""Objects that carry a pod, and what of ours stands on them and on their pod template.

Rule: pure; an object is not changed. Counterparts: `workloads`, which injects each kind;
`asking`, which carries what a workload asks for to its template.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from sidecar.kube.bypasses import Injected, injected_of
from sidecar.kube.inject import Pod
from sidecar.kube.options import NOTES, PREFIX, STATUS_ANNOTATION

Object: TypeAlias = dict[str, Any]

TEMPLATES = {
    "Deployment": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Rollout": ("spec", "template"),  # argoproj.io
    "PodTemplate": ("template",),
    "Pod": (),
}


def title(document: Mapping[str, Any]) -> str:
    """The object's kind and name, for people."""
    metadata = document.get("metadata") or {}
    return f"{document.get('kind')} {metadata.get('name') or metadata.get('generateName')}"


def pod_of(document: Object) -> Pod | None:
    """The pod template of a workload, with the workload's own request merged into it."""
    path = TEMPLATES.get(str(document.get("kind")))
    template = at(document, path) if path is not None else None
    if template is None:
        return None
    mine = request_of(document)
    metadata = template.get("metadata") or {}
    halves = {half: mine[half] | (metadata.get(half) or {}) for half in mine}
    return {**template, "metadata": {**metadata, **halves}}


def injected_in(document: Object) -> Injected | None:
    """What `inject` noted of the sidecar in a workload, a pod or KServe's and Seldon's objects."""
    path = TEMPLATES.get(str(document.get("kind")))
    pod: Any = at(document, path) if path is not None else None
    if pod is None:
        spec = document.get("spec") or {}
        inner = spec.get("predictor") or spec.get("podSpec") or {}
        pod = {"metadata": document.get("metadata"), "spec": inner}
    notes = (pod.get("metadata") or {}).get("annotations") or {}
    space = str((document.get("metadata") or {}).get("namespace") or "")
    try:
        return injected_of(pod, space, json.loads(notes[STATUS_ANNOTATION]))
    except (KeyError, TypeError, ValueError):
        return None


def request_of(document: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The labels and annotations of ours that an object carries."""
    metadata = document.get("metadata") or {}
    return {
        half: {
            k: v
            for k, v in (metadata.get(half) or {}).items()
            if k.startswith(PREFIX) and k not in NOTES
        }
        for half in ("labels", "annotations")
    }


def at(document: Object, path: tuple[str, ...]) -> Any:
    """The dict at a path in an object; None where there is none."""
    node: Any = document
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None
