"""One admission review: the API server's question in, our answer out.

Rule: pure; whatever the object holds, the answer is one that keeps no model from starting. A
wrong annotation is refused where a person is waiting for the answer, and only there: when a
workload or a bare pod is created, or its template changed. A pod that a controller makes, to
replace one that was evicted perhaps, is admitted as it came, with a warning.

Counterparts: `workloads` and `inject`, which decide what changes; `webhook`, which carries it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sidecar.kube import patch
from sidecar.kube.asking import asks_in_halves, spread_request
from sidecar.kube.bypasses import (
    NO_NET_ADMIN,
    kserve_line,
    refused_by_limits,
    refused_redirect,
)
from sidecar.kube.inject import Pod, inject, is_injected, wants_injection, with_reason
from sidecar.kube.namespaces import NONE, Defaults
from sidecar.kube.options import PREFIX, InjectError
from sidecar.kube.templates import TEMPLATES, injected_in, pod_of

API_VERSION = "admission.k8s.io/v1"
MAX_WARNING = 256  # characters; the API server cuts longer ones itself
MESSAGE = "shadow-sidecar: "
HALF = f"nothing is injected before {PREFIX}shadow or {PREFIX}config-map is annotated, too"


class MalformedReviewError(ValueError):
    """The request is not an AdmissionReview of version v1."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back, and one word for the counters."""

    review: dict[str, Any]
    outcome: str  # one of OUTCOMES
    about: Mapping[str, str] = field(default_factory=dict)  # which object, and why, for the log


OUTCOMES = (
    "injected",
    "passed",
    "spread",
    "unchanged",
    "refused",
    "waiting",
    "warned",
    "foreign",
    "error",
)


def answer(body: bytes, defaults: Mapping[str, str]) -> Answer:
    """Answer the AdmissionReview in `body`.

    Raises:
        MalformedReviewError: saying what is missing.
    """
    return decide(read_request(body), defaults)


def decide(
    request: Mapping[str, Any], defaults: Mapping[str, str], where: Defaults = NONE
) -> Answer:
    """Answer a request that `read_request` has read, whatever its object holds.

    Args:
        request: the review's.
        defaults: option values by name.
        where: what is known of the namespace: its Pod Security level, its LimitRanges.
    """
    try:
        return _decide(request, defaults, where)
    except Exception as error:  # a defect of ours must not keep a model from starting
        text = f"not injected: {type(error).__name__}: {error}"
        return _allow(request, "error", warning=text)


def read_request(body: bytes) -> dict[str, Any]:
    """The request of the AdmissionReview in `body`.

    Raises:
        MalformedReviewError: saying what is missing.
    """
    try:
        review = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedReviewError(f"not JSON: {error}") from None
    if not isinstance(review, dict) or review.get("kind") != "AdmissionReview":
        raise MalformedReviewError('not an AdmissionReview: kind must be "AdmissionReview"')
    if review.get("apiVersion") != API_VERSION:
        raise MalformedReviewError(f"apiVersion must be {API_VERSION!r}")
    request = review.get("request")
    if not isinstance(request, dict) or not isinstance(request.get("uid"), str):
        raise MalformedReviewError("request.uid is required")
    return request


def with_warnings(found: Answer, lines: Sequence[str]) -> Answer:
    """The answer with further warnings, cut as the API server would."""
    if not lines:
        return found
    response = found.review["response"]
    said = [*response.get("warnings", ()), *((MESSAGE + line)[:MAX_WARNING] for line in lines)]
    return replace(found, review=_review({**response, "warnings": said}))


def _inject(pod: Pod, defaults: Mapping[str, str], where: Defaults) -> tuple[Pod, str]:
    """The pod with the sidecar, and what is to be said of it.

    Raises:
        InjectError: it cannot be, or not in this namespace: the pod would not start.
    """
    made = inject(pod, defaults)
    injected = injected_in({"kind": "Pod", **made})
    if injected is None:
        return made, ""
    refused = [line for limits in where.limits for line in refused_by_limits(injected, limits)]
    if injected.intercept == "redirect" and where.enforced in NO_NET_ADMIN:
        refused.append(f"{PREFIX}intercept: {refused_redirect(where.enforced)}")
    if refused:
        raise InjectError(refused)
    return made, kserve_line(pod, injected) or ""


def _decide(request: Mapping[str, Any], defaults: Mapping[str, str], where: Defaults) -> Answer:
    kind = (request.get("kind") or {}).get("kind")
    before = request.get("object")
    operation = request.get("operation")
    if not isinstance(before, dict) or request.get("subResource") or kind not in TEMPLATES:
        return _allow(request, "foreign")
    if kind == "Pod":
        # Only a new pod: the containers of one that exists cannot be added to.
        if operation != "CREATE" or not wants_injection(before) or is_injected(before):
            return _allow(request, "unchanged")
        try:
            made, said = _inject(before, defaults, where)
            outcome = "passed" if said else "injected"
            return _allow(request, outcome, patch.diff(before, made), said or None)
        except InjectError as error:
            if not (before.get("metadata") or {}).get("ownerReferences"):
                return _refuse(request, error)
            reasoned = patch.diff(before, with_reason(before, error.errors))
            return _allow(request, "warned", reasoned, str(error))
    if operation not in {"CREATE", "UPDATE"} or (before.get("metadata") or {}).get(
        "ownerReferences"
    ):
        return _allow(request, "unchanged")  # its owner's template is the one to look at
    old = request.get("oldObject") if isinstance(request.get("oldObject"), dict) else None
    workload, old_workload = {**before, "kind": kind}, {**(old or {}), "kind": kind}
    if operation == "UPDATE" and asks_in_halves(workload):
        return _allow(request, "waiting", warning=HALF)
    # A Job's template cannot change any more: adding to it would fail the whole update.
    fixed = kind == "Job" and operation == "UPDATE"
    after = workload if fixed else spread_request(workload, old_workload)
    pod = pod_of(after)
    if pod is not None and pod != pod_of(old_workload):
        try:
            _inject(pod, defaults, where)
        except InjectError as error:
            return _refuse(request, error)
    changes = patch.diff(workload, after)
    return _allow(request, "spread" if changes else "unchanged", changes)


def _allow(
    request: Mapping[str, Any],
    outcome: str,
    changes: list[patch.Operation] | None = None,
    warning: str | None = None,
) -> Answer:
    response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
    if changes:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(json.dumps(changes).encode()).decode()
    if warning is not None:
        response["warnings"] = [
            (MESSAGE + line)[:MAX_WARNING] for line in warning.splitlines() if line
        ]
    return Answer(_review(response), outcome, _about(request, warning or ""))


def _about(request: Mapping[str, Any], reason: str) -> dict[str, str]:
    """Kind, namespace, name (what its owner calls it, as it has none yet) and reason."""
    kind, found = request.get("kind"), request.get("object")
    metadata = found.get("metadata") if isinstance(found, dict) else None
    metadata = metadata if isinstance(metadata, dict) else {}
    name = request.get("name") or metadata.get("name") or metadata.get("generateName")
    return {
        "kind": str(kind.get("kind")) if isinstance(kind, dict) else "",
        "namespace": str(request.get("namespace", "")),
        "name": str(name or ""),
        "reason": "; ".join(reason.splitlines()),
    }


def _refuse(request: Mapping[str, Any], error: InjectError) -> Answer:
    status = {"code": 422, "reason": "Invalid", "message": MESSAGE + "; ".join(error.errors)}
    review = _review({"uid": request["uid"], "allowed": False, "status": status})
    return Answer(review, "refused", _about(request, "; ".join(error.errors)))


def _review(response: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}
