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
    made = patched(owned, response)
    reason = made["metadata"]["annotations"].pop("shadow-sidecar/not-injected")
    assert "shadow-sidecar/sample: 'much' is not allowed" in reason
    assert made == owned, "why is said on the pod, and nothing else is changed"
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


def bare() -> dict[str, Any]:
    """A Deployment as it was before anybody thought of us."""
    made = deployment()
    made["spec"]["template"]["metadata"] = {"labels": {"app": "digits"}}
    return made


def labelled(value: str = "true", **annotations: str) -> dict[str, Any]:
    """The same, asked for on the Deployment itself."""
    made = bare()
    made["metadata"]["labels"] = {"shadow-sidecar/inject": value}
    named = {f"shadow-sidecar/{key}": text for key, text in annotations.items()}
    made["metadata"]["annotations"] = named
    return made


def written(after: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    """What the API server keeps of an update; it must be allowed."""
    response = respond(review("Deployment", after, "UPDATE" if before else "CREATE", before))
    assert response["allowed"] is True, response
    return dict(patched(after, response)) if "patch" in response else after


def asked(document: dict[str, Any]) -> tuple[str | None, str | None]:
    """Label and shadow of the pod template."""
    metadata = document["spec"]["template"]["metadata"]
    label = metadata.get("labels", {}).get("shadow-sidecar/inject")
    return label, metadata.get("annotations", {}).get("shadow-sidecar/shadow")


def changed(document: dict[str, Any], half: str, key: str, value: str | None) -> dict[str, Any]:
    """The document with one label or annotation of its own other than it was."""
    made = copy.deepcopy(document)
    made["metadata"].setdefault(half, {}).pop(f"shadow-sidecar/{key}", None)
    if value is not None:
        made["metadata"][half][f"shadow-sidecar/{key}"] = value
    return made


def test_label_and_annotation_come_in_any_order() -> None:
    half = labelled()
    response = respond(review("Deployment", half, "UPDATE", bare()))
    assert response["allowed"] is True
    assert "patch" not in response, "a rollout for nothing"
    assert "nothing is injected before" in response["warnings"][0]
    whole = labelled(shadow="candidate=v2:9000")
    assert asked(written(whole, half)) == ("true", "candidate=v2:9000")
    annotated = changed(whole, "labels", "inject", None)
    assert asked(written(annotated, bare())) == (None, "candidate=v2:9000")
    assert asked(written(whole, annotated)) == ("true", "candidate=v2:9000")


def test_half_a_request_is_refused_where_no_other_half_is_to_come() -> None:
    assert respond(review("Deployment", labelled()))["allowed"] is False
    alone = deployment()
    del alone["spec"]["template"]["metadata"]["annotations"]
    assert respond(review("Deployment", alone, "UPDATE", bare()))["allowed"] is False


def test_a_copy_follows_its_source() -> None:
    first = written(labelled(shadow="candidate=v2:9000", sample="0.5"), bare())
    second = written(changed(first, "annotations", "shadow", "candidate=v3:9000"), first)
    assert asked(second) == ("true", "candidate=v3:9000")
    fewer = written(changed(second, "annotations", "sample", None), second)
    assert "shadow-sidecar/sample" not in fewer["spec"]["template"]["metadata"]["annotations"]
    off = written(changed(fewer, "labels", "inject", "false"), fewer)
    assert asked(off) == ("false", "candidate=v3:9000")
    assert inject(off["spec"]["template"]) == off["spec"]["template"]
    gone = changed(changed(off, "labels", "inject", None), "annotations", "shadow", None)
    assert written(gone, off)["spec"]["template"]["metadata"] == {
        "labels": {"app": "digits"},
        "annotations": {},
    }


def test_a_copy_that_an_older_version_made_follows_as_well() -> None:
    first = written(labelled(shadow="candidate=v2:9000"), bare())
    del first["spec"]["template"]["metadata"]["annotations"]["shadow-sidecar/copied"]
    second = written(changed(first, "annotations", "shadow", "candidate=v3:9000"), first)
    assert asked(second) == ("true", "candidate=v3:9000")


def test_what_was_changed_while_the_webhook_was_down_is_made_good() -> None:
    first = written(labelled(shadow="candidate=v2:9000"), bare())
    unseen = changed(first, "annotations", "shadow", "candidate=v3:9000")
    later = copy.deepcopy(unseen)
    later["spec"]["replicas"] = 3
    assert asked(written(later, unseen)) == ("true", "candidate=v3:9000")


def test_a_value_that_a_person_writes_on_the_template_stays() -> None:
    first = written(labelled(shadow="candidate=v2:9000"), bare())
    own = copy.deepcopy(first)
    own["spec"]["template"]["metadata"]["annotations"]["shadow-sidecar/shadow"] = "mine=x:9000"
    second = written(own, first)
    assert asked(second) == ("true", "mine=x:9000")
    third = written(changed(second, "annotations", "shadow", "candidate=v4:9000"), second)
    assert asked(third) == ("true", "mine=x:9000")


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


def test_what_was_asked_for_and_not_done_is_told_with_its_name_and_why() -> None:
    owned = wrong_pod()
    owned["metadata"] |= {"ownerReferences": OWNER, "generateName": "digits-5d4f-"}
    del owned["metadata"]["name"]
    found = answer(review("Pod", owned), {})
    assert found.outcome == "warned"
    assert found.about["kind"] == "Pod"
    assert found.about["namespace"] == "models"
    assert found.about["name"] == "digits-5d4f-"
    assert "shadow-sidecar/sample: 'much' is not allowed" in found.about["reason"]
