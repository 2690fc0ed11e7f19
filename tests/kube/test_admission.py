"""Question and answer, without the network."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sidecar.kube.admission import MalformedReviewError, answer
from sidecar.kube.inject import inject
from tests.kube.manifests_of import TEMPLATED
from tests.kube.pods import pod
from tests.kube.reviews import patched, review

OWNER = [{"kind": "ReplicaSet", "name": "digits-5d4f", "controller": True}]


def respond(body: bytes) -> dict[str, Any]:
    made = answer(body, {}).review
    assert made["kind"] == "AdmissionReview"
    assert made["apiVersion"] == "admission.k8s.io/v1"
    assert made["response"]["uid"] == "705ab4f5-6393-11e8-b7cc-42010a800002"
    return dict(made["response"])


def wrong_pod() -> dict[str, Any]:
    return pod({"sample": "much"})


def test_a_pod_gets_what_inject_gives() -> None:
    response = respond(review("Pod", pod()))
    assert response["allowed"] is True
    assert patched(pod(), response) == inject(pod())


def test_a_pod_that_does_not_ask_or_has_it_is_admitted_without_a_patch() -> None:
    plain = pod()
    del plain["metadata"]["labels"]
    for unchanged in (plain, inject(pod())):
        response = respond(review("Pod", unchanged))
        assert response["allowed"] is True
        assert "patch" not in response


def test_a_person_is_told_what_is_wrong() -> None:
    response = respond(review("Pod", wrong_pod()))
    assert response["allowed"] is False
    assert response["status"]["code"] == 422
    assert "shadow-sidecar/sample: 'much' is not allowed" in response["status"]["message"]


def test_a_controllers_pod_starts_without_the_sidecar_and_with_a_warning() -> None:
    owned = wrong_pod()
    owned["metadata"]["ownerReferences"] = OWNER
    response = respond(review("Pod", owned))
    assert response["allowed"] is True
    assert "patch" not in response
    assert "sample" in response["warnings"][0]
    assert all(len(warning) <= 256 for warning in response["warnings"])


def test_an_existing_pod_and_its_subresources_are_left_alone() -> None:
    for body in (
        review("Pod", pod(), "UPDATE", pod()),
        review("Pod", None, "DELETE", pod()),
        review("Pod", pod(), "UPDATE", pod(), sub="ephemeralcontainers"),
        review("Widget", {"metadata": {"labels": {"shadow-sidecar/inject": "true"}}}),
        review("Deployment", {"spec": {}}, "UPDATE", sub="scale"),
    ):
        response = respond(body)
        assert response == {"uid": response["uid"], "allowed": True}


def deployment(**annotations: str) -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load(TEMPLATED["Deployment"])
    named = {f"shadow-sidecar/{key}": value for key, value in annotations.items()}
    made["spec"]["template"]["metadata"]["annotations"] |= named
    return made


def test_a_workloads_label_is_carried_to_its_pods() -> None:
    labelled = deployment()
    template = labelled["spec"]["template"]["metadata"]
    labelled["metadata"]["labels"] = {"shadow-sidecar/inject": "true"}
    labelled["metadata"]["annotations"] = template.pop("annotations")
    template["labels"] = {"app": "digits"}
    bare = copy.deepcopy(labelled)
    del bare["metadata"]["labels"]
    made = patched(labelled, respond(review("Deployment", labelled, "UPDATE", bare)))
    assert inject(made["spec"]["template"]) != made["spec"]["template"]


def test_a_wrong_workload_is_refused_when_a_person_writes_it() -> None:
    response = respond(review("Deployment", deployment(rate="-1")))
    assert response["allowed"] is False
    assert "shadow-sidecar/rate" in response["status"]["message"]


def test_a_workload_that_is_wrong_already_can_still_be_changed_elsewhere() -> None:
    before = deployment(rate="-1")
    after = before | {"metadata": {"name": "digits", "annotations": {"revision": "2"}}}
    assert respond(review("Deployment", after, "UPDATE", before))["allowed"] is True


def test_a_workload_with_an_owner_is_its_owners_business() -> None:
    owned = deployment(rate="-1")
    owned["metadata"]["ownerReferences"] = OWNER
    assert respond(review("Deployment", owned))["allowed"] is True


def test_a_jobs_template_is_not_added_to_after_its_creation() -> None:
    job = yaml.safe_load(TEMPLATED["Job"])
    template = job["spec"]["template"]["metadata"]
    job["metadata"] |= {"labels": template.pop("labels"), "annotations": template["annotations"]}
    assert "patch" not in respond(review("Job", job, "UPDATE", job))
    assert "patch" in respond(review("Job", job))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{",
        b"[" * 100_000,
        b'{"kind": "Pod"}',
        b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1"}',
        b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}',
        b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {}}',
        b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": 1}}',
    ],
)
def test_what_is_no_review_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedReviewError):
        answer(body, {})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["metadata", "spec", "labels", "containers", "ports", "name"]), inner
        )
    ),
    max_leaves=10,
)


@given(st.sampled_from(["metadata", "spec"]), anything, st.sampled_from(["Pod", "Deployment"]))
def test_a_pod_of_any_shape_is_never_kept_from_starting(part: str, value: Any, kind: str) -> None:
    strange = pod() | {part: value}
    if part == "spec":
        strange["metadata"]["ownerReferences"] = OWNER
    made = answer(review(kind, strange), {})
    assert made.review["response"]["allowed"] is True
    json.dumps(made.review)


def test_an_unforeseen_shape_is_admitted_with_a_warning() -> None:
    made = answer(review("Pod", pod(volumes="none")), {})
    assert made.outcome == "error"
    assert made.review["response"]["allowed"] is True
    assert "not injected" in made.review["response"]["warnings"][0]
