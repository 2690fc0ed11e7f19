"""Every kind that carries a pod, and those that carry none."""

from __future__ import annotations

import copy
from typing import Any

import kubernetes_validate
import pytest
import yaml

from sidecar.kube.asking import spread_request
from sidecar.kube.inject import inject
from sidecar.kube.options import InjectError
from sidecar.kube.templates import pod_of
from sidecar.kube.workloads import inject_object
from tests.kube.manifests_of import KSERVE, SELDON, TEMPLATED

OLDEST = "1.30"  # the first with preStop.sleep switched on
NEWEST = "1.37"


def names(spec: dict[str, Any]) -> list[str]:
    return [c["name"] for c in spec["initContainers"]]


@pytest.mark.parametrize("kind", TEMPLATED)
@pytest.mark.parametrize("intercept", ["port", "redirect"])
def test_the_pod_of_each_kind_is_injected_and_the_schemas_accept_it(
    kind: str, intercept: str
) -> None:
    before = yaml.safe_load(TEMPLATED[kind])
    kept = copy.deepcopy(before)
    defaults = {"otlp": "http://c:4317", "config-map": "digits", "intercept": intercept}
    after = inject_object(before, defaults)
    assert before == kept
    injected = pod_of(after)
    assert injected is not None
    expected = ["shadow-redirect"] if intercept == "redirect" else []
    assert names(injected["spec"]) == [*expected, "shadow-wire", "shadow-observer"]
    assert inject_object(after, {}) == after
    for version in (OLDEST, NEWEST):
        kubernetes_validate.validate(after, version, strict=True)


def test_a_workloads_own_label_and_annotations_count_and_the_templates_win() -> None:
    document = yaml.safe_load(TEMPLATED["Deployment"])
    template = document["spec"]["template"]["metadata"]
    document["metadata"]["labels"] = template.pop("labels") | {"team": "vision"}
    document["metadata"]["annotations"] = template.pop("annotations") | {
        "shadow-sidecar/sample": "0.5"
    }
    template["annotations"] = {"shadow-sidecar/sample": "0.25"}
    made = inject_object(document, {})["spec"]["template"]
    assert made["metadata"]["annotations"]["shadow-sidecar/sample"] == "0.25"
    assert made["metadata"]["labels"] == {"shadow-sidecar/inject": "true"}


def test_kserves_shorthand_is_injected_and_its_service_follows_the_port() -> None:
    before = yaml.safe_load(KSERVE)
    after = inject_object(before, {})
    predictor = after["spec"]["predictor"]
    assert names(predictor) == ["shadow-wire", "shadow-observer"]
    assert predictor["model"]["ports"][0]["containerPort"] == 9094
    assert predictor["model"]["modelFormat"] == {"name": "sklearn"}
    assert "name" not in predictor["model"]
    assert "containers" not in predictor
    assert "--route=[::]:9094=127.0.0.1:8033" in predictor["initContainers"][0]["args"]
    assert "shadow-sidecar/status" in after["metadata"]["annotations"]
    assert inject_object(after, {}) == after


def test_kserves_older_shorthand_and_its_plain_containers_are_understood() -> None:
    older = yaml.safe_load(KSERVE)
    older["spec"]["predictor"]["sklearn"] = older["spec"]["predictor"].pop("model")
    assert (
        inject_object(older, {})["spec"]["predictor"]["sklearn"]["ports"][0]["containerPort"]
        == 9094
    )
    custom = yaml.safe_load(KSERVE)
    model = custom["spec"]["predictor"].pop("model")
    custom["spec"]["predictor"]["containers"] = [
        {"name": "kserve-container", "image": "m:1", "ports": model["ports"]}
    ]
    made = inject_object(custom, {})["spec"]["predictor"]
    assert made["containers"][0]["ports"][0]["containerPort"] == 9094


def test_a_port_that_only_the_controller_knows_is_asked_for() -> None:
    document = yaml.safe_load(KSERVE)
    del document["spec"]["predictor"]["model"]["ports"]
    document["metadata"]["annotations"]["shadow-sidecar/upstream-port"] = "8033"
    with pytest.raises(InjectError, match=r"InferenceService digits: .*model\.ports: declare"):
        inject_object(document, {})
    document["metadata"]["annotations"]["shadow-sidecar/intercept"] = "redirect"
    assert names(inject_object(document, {})["spec"]["predictor"])[0] == "shadow-redirect"


def test_seldons_server_gets_it_through_its_pod_spec() -> None:
    after = inject_object(yaml.safe_load(SELDON), {})
    spec = after["spec"]["podSpec"]
    assert names(spec) == ["shadow-redirect", "shadow-wire", "shadow-observer"]
    assert spec["containers"] == [
        {"name": "mlserver", "lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}
    ]
    assert inject_object(after, {}) == after


def test_a_list_is_walked_and_all_its_errors_come_together() -> None:
    good, bad = (yaml.safe_load(TEMPLATED["Deployment"]) for _ in range(2))
    bad["spec"]["template"]["metadata"]["annotations"]["shadow-sidecar/sample"] = "5"
    worse = copy.deepcopy(bad)
    worse["metadata"]["name"] = "letters"
    collection = {"apiVersion": "v1", "kind": "List", "items": [good, {"kind": "Secret"}]}
    after = inject_object(collection, {})
    assert names(after["items"][0]["spec"]["template"]["spec"])
    assert after["items"][1] == {"kind": "Secret"}
    collection["items"] = [bad, worse]
    with pytest.raises(InjectError) as raised:
        inject_object(collection, {})
    assert [e.partition(":")[0] for e in raised.value.errors] == [
        "Deployment digits",
        "Deployment letters",
    ]


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "Service", "apiVersion": "v1"},
        {"kind": "Server", "apiVersion": "other.example/v1", "spec": {}},
        {"kind": "Deployment"},
        {"kind": "Deployment", "spec": {"template": None}},
        {"kind": "InferenceService", "apiVersion": "serving.kserve.io/v1beta1"},
        {"kind": "ConfigMapList", "items": []},
        {},
    ],
)
def test_what_carries_no_pod_comes_back_as_it_was(document: dict[str, Any]) -> None:
    assert inject_object(document, {}) == document


def test_labelling_a_deployment_makes_its_new_pods_ask() -> None:
    document = yaml.safe_load(TEMPLATED["Deployment"])
    template = document["spec"]["template"]["metadata"]
    document["metadata"] |= {"labels": template["labels"], "annotations": template["annotations"]}
    document["spec"]["template"]["metadata"] = {"labels": {"app": "digits"}}
    after = spread_request(document, None)
    pod = after["spec"]["template"]
    assert inject(pod, {}) != pod
    assert spread_request(after, document) == after
    unlabelled = copy.deepcopy(after)
    del unlabelled["metadata"]["labels"], unlabelled["metadata"]["annotations"]
    back = spread_request(unlabelled, after)
    assert back["spec"]["template"]["metadata"] == {"labels": {"app": "digits"}, "annotations": {}}


@pytest.mark.parametrize("mode", ["Serverless", "Knative"])
def test_what_knative_runs_is_refused_by_name(mode: str) -> None:
    document = yaml.safe_load(KSERVE)
    document["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] = mode
    with pytest.raises(InjectError, match=r"InferenceService digits: .*deploymentMode: Knative"):
        inject_object(document, {})
    service = yaml.safe_load(TEMPLATED["Deployment"]) | {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
    }
    with pytest.raises(InjectError, match="Service digits: Knative does not let"):
        inject_object(service, {})
    del service["spec"]["template"]["metadata"]["labels"]
    assert inject_object(service, {}) == service


def test_kserves_model_is_ready_when_the_model_is() -> None:
    plain = yaml.safe_load(KSERVE)
    model = inject_object(plain, {})["spec"]["predictor"]["model"]
    assert model["readinessProbe"]["tcpSocket"] == {"port": 8033}, "not the wire's 9094"
    plain["metadata"]["annotations"]["shadow-sidecar/intercept"] = "redirect"
    model = inject_object(plain, {})["spec"]["predictor"]["model"]
    assert model["readinessProbe"]["tcpSocket"] == {"port": 9093}, "around the redirect"
    own = {"grpc": {"port": 8033}}
    plain["spec"]["predictor"]["model"]["readinessProbe"] = own
    assert inject_object(plain, {})["spec"]["predictor"]["model"]["readinessProbe"] == own


def test_seldon_cores_own_object_is_refused_by_name() -> None:
    document: dict[str, Any] = {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": {"name": "digits"},
        "spec": {"predictors": [{"componentSpecs": [{"metadata": {"labels": {}}}]}]},
    }
    assert inject_object(document, {}) is document
    part = document["spec"]["predictors"][0]["componentSpecs"][0]
    part["metadata"]["labels"]["shadow-sidecar/inject"] = "true"
    with pytest.raises(InjectError, match=r"SeldonDeployment digits: .*label the Deployment"):
        inject_object(document, {})
