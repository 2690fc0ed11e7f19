"""AdmissionReviews as the API server sends them."""

from __future__ import annotations

import base64
import json
from typing import Any

import jsonpatch

GROUPS = {"Pod": ("", "v1", "pods"), "Deployment": ("apps", "v1", "deployments")}


def review(
    kind: str,
    after: dict[str, Any] | None,
    operation: str = "CREATE",
    before: dict[str, Any] | None = None,
    sub: str = "",
) -> bytes:
    """One review of an object of the kind."""
    group, version, resource = GROUPS.get(kind, ("example.com", "v1", kind.lower() + "s"))
    request: dict[str, Any] = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": resource},
        "namespace": "models",
        "operation": operation,
        "userInfo": {"username": "admin"},
        "object": after,
        "oldObject": before,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }
    if sub:
        request["subResource"] = sub
    body = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    return json.dumps(body).encode()


def patched(before: dict[str, Any], response: dict[str, Any]) -> Any:
    """The object after the response's JSON Patch, applied by a library as the API server would."""
    assert response["patchType"] == "JSONPatch"
    return jsonpatch.apply_patch(before, json.loads(base64.b64decode(response["patch"])))
