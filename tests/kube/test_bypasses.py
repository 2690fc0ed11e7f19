"""What leads past the wire, stops it, or keeps the pod from starting: said, and only then."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from sidecar.kube.admission import decide, read_request
from sidecar.kube.manifests import inject_text
from sidecar.kube.namespaces import Defaults
from tests.kube.manifests_of import TEMPLATED
from tests.kube.pods import pod
from tests.kube.reviews import review

REDIRECT = ("annotations:", 'annotations:\n        shadow-sidecar/intercept: "redirect"')


def thing(kind: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "it", **metadata}, "spec": spec}


def service(**spec: Any) -> dict[str, Any]:
    return thing("Service", {"selector": {"app": "digits"}, **spec})


def policy(**spec: Any) -> dict[str, Any]:
    return thing("NetworkPolicy", {"podSelector": {"matchLabels": {"app": "digits"}}, **spec})


def limits(**limit: Any) -> dict[str, Any]:
    return thing("LimitRange", {"limits": [{"type": "Container", **limit}]})


def authorization(*ports: str) -> dict[str, Any]:
    rules = [{"to": [{"operation": {"ports": list(ports)}}]}]
    selector = {"matchLabels": {"app": "digits"}}
    return thing("AuthorizationPolicy", {"selector": selector, "rules": rules})


def out(port: Any) -> dict[str, Any]:
    peer = {"podSelector": {"matchLabels": {"app": "digits"}}}
    spec = {"podSelector": {}, "egress": [{"to": [peer], "ports": [{"port": port}]}]}
    return thing("NetworkPolicy", spec)


def warnings(*objects: dict[str, Any], redirect: bool = False) -> list[str]:
    text = TEMPLATED["Deployment"].replace(
        "  name: digits\n", "  name: digits\n  namespace: m\n", 1
    )
    if redirect:
        head, tail = text.split("annotations:", 1)
        text = f'{head}annotations:\n        shadow-sidecar/intercept: "redirect"{tail}'
    return list(inject_text("---\n".join([*map(yaml.safe_dump, objects), text]), {}).warnings)


@pytest.mark.parametrize(
    ("object_", "says"),
    [
        (service(ports=[{"port": 80, "targetPort": 9000}]), "targetPort 9000 goes to the model"),
        (service(ports=[{"port": 9000}]), "targetPort 9000 goes to the model"),
        (
            service(clusterIP="None", ports=[{"port": 9000, "targetPort": "grpc"}]),
            "headless, so clients dial 9000 at the pod",
        ),
        (policy(ingress=[{"ports": [{"port": 9000}]}]), "they come to 9094 now: they are cut off"),
        (policy(ingress=[{"ports": [{"port": 8999, "endPort": 9001}]}]), "cut off"),
        (out(9000), "they go to 9094 now: they are cut off"),
        (authorization("9000"), "calls come to 9094 now"),
    ],
)
def test_what_knows_the_models_port_by_number_is_named(object_: Any, says: str) -> None:
    (line,) = warnings(object_)
    assert line.startswith(f"{object_['kind']} it: ")
    assert says in line
    assert not warnings(object_, redirect=True), "the redirect leaves the number as it is"


@pytest.mark.parametrize(
    "object_",
    [
        service(ports=[{"port": 80, "targetPort": "grpc"}]),
        service(selector={"app": "other"}, ports=[{"port": 9000}]),
        service(selector=None, ports=[{"port": 9000}]),
        thing("Service", {"selector": {"app": "digits"}, "ports": [{"port": 9000}]}, namespace="n"),
        policy(ingress=[{"ports": [{"port": "grpc"}]}]),
        policy(ingress=[{"ports": [{"port": 9000}, {"port": 9094}]}]),
        policy(ingress=[{}]),
        out("grpc"),
        authorization("9000", "9094"),
        thing("ConfigMap", {}),
    ],
)
def test_what_is_well_or_about_others_is_not(object_: Any) -> None:
    assert not warnings(object_)


def test_a_model_that_moves_leaves_its_number_to_the_wire() -> None:
    text = TEMPLATED["Deployment"].replace(
        "annotations:",
        'annotations:\n        shadow-sidecar/listen-port: "9000"\n'
        '        shadow-sidecar/upstream-port: "9001"',
    )
    numeric = yaml.safe_dump(service(clusterIP="None", ports=[{"port": 9000}]))
    assert not inject_text(f"{numeric}---\n{text}", {}).warnings


@pytest.mark.parametrize("level", ["restricted", "baseline"])
def test_a_namespace_that_refuses_the_redirect_is_named(level: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": level}
    namespace = {"kind": "Namespace", "metadata": {"name": "m", "labels": labels}}
    (line,) = warnings(namespace, redirect=True)
    assert "NET_ADMIN" in line
    assert not warnings(namespace)
    labels["pod-security.kubernetes.io/enforce"] = "privileged"
    assert not warnings(namespace, redirect=True)


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ({"max": {"memory": "512Mi"}}, "may use 768Mi of memory, 512Mi is the most"),
        ({"min": {"cpu": "80m"}}, "requests 50m of cpu, 80m is the least"),
        ({"maxLimitRequestRatio": {"memory": "3.5"}}, "4 times its request, at most 3.5"),
    ],
)
def test_a_limit_range_that_refuses_a_container_of_ours_is_named(
    limit: dict[str, Any], says: str
) -> None:
    (line,) = warnings(limits(**limit))
    assert line.startswith("LimitRange it: container shadow-")
    assert says in line
    assert not warnings(limits(max={"memory": "4Gi", "cpu": "4"}, min={"cpu": "10m"}))


def test_the_webhook_does_not_inject_a_redirect_that_no_pod_could_start_with() -> None:
    asked = pod({"intercept": "redirect"})
    request = read_request(review("Pod", asked))
    assert decide(request, {}).outcome == "injected"
    refused = decide(request, {}, Defaults({}, enforced="restricted"))
    assert (refused.outcome, refused.review["response"]["allowed"]) == ("refused", False)
    asked["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet"}]
    held = Defaults({}, enforced="restricted")
    warned = decide(read_request(review("Pod", asked)), {}, held)
    assert (warned.outcome, warned.review["response"]["allowed"]) == ("warned", True)
    assert "NET_ADMIN" in warned.about["reason"]


def test_a_limit_range_that_refuses_a_container_of_ours_keeps_no_model_from_starting() -> None:
    small = Defaults({}, limits=(limits(max={"memory": "512Mi"}),))
    asked = pod()
    refused = decide(read_request(review("Pod", asked)), {}, small)
    assert (refused.outcome, refused.review["response"]["allowed"]) == ("refused", False)
    asked["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet"}]
    warned = decide(read_request(review("Pod", asked)), {}, small)
    assert (warned.outcome, warned.review["response"]["allowed"]) == ("warned", True)
    assert "768Mi of memory, 512Mi is the most" in warned.about["reason"]
    asked["metadata"]["annotations"]["shadow-sidecar/observer-memory"] = "256Mi/512Mi"
    assert decide(read_request(review("Pod", asked)), {}, small).outcome == "injected"


def test_the_webhook_says_that_kserves_service_goes_past_the_wire() -> None:
    asked = pod()
    asked["metadata"]["labels"]["serving.kserve.io/inferenceservice"] = "digits"
    found = decide(read_request(review("Pod", asked)), {})
    assert found.outcome == "passed"
    assert "patch" in found.review["response"], "it is injected all the same"
    assert "intercept: redirect" in json.dumps(found.review["response"]["warnings"])
    asked["metadata"]["annotations"]["shadow-sidecar/intercept"] = "redirect"
    assert decide(read_request(review("Pod", asked)), {}).outcome == "injected"
