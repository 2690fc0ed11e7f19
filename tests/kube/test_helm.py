"""The chart, rendered by Helm's own code, says what kustomize makes of the manifests."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.interop.environments import make
from tests.kube.manifests_in import K8S, is_core, kustomize

NAMESPACE = "shadow-sidecar"
RENDER = """
import json, sys
import helm_python as helm
with helm.Chart.load(sys.argv[1]) as chart:
    print(json.dumps(chart.render(json.loads(sys.argv[2]), name="any", namespace=sys.argv[3])))
"""
LINT = """
import json, sys
import helm_python as helm
print(json.dumps(helm.lint(sys.argv[1]), default=str))
"""


def helm(code: str, *arguments: str) -> Any:
    command = [str(make("helm").python), "-c", code, str(K8S / "helm"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rendered(namespace: str = NAMESPACE, **values: Any) -> list[dict[str, Any]]:
    texts = helm(RENDER, json.dumps(values), namespace).values()
    return [d for text in texts for d in yaml.safe_load_all(text) if d]


def named(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By kind and name; a chart leaves its namespace to `helm install --create-namespace`."""
    return {
        f"{d['kind']} {d['metadata']['name']}": d for d in documents if d["kind"] != "Namespace"
    }


@pytest.mark.interop
@pytest.mark.parametrize(
    ("kustomization", "values"), [("base", {}), ("self-signed", {"certManager": False})]
)
def test_the_chart_is_what_kustomize_makes(kustomization: str, values: dict[str, Any]) -> None:
    assert named(rendered(**values)) == named(kustomize(K8S / kustomization))


@pytest.mark.interop
def test_the_collector_of_the_chart_is_what_kustomize_makes() -> None:
    both = named(rendered(collect={"enabled": True}))
    wanted = named(kustomize(K8S / "collect"))
    assert {key: both[key] for key in wanted} == wanted
    assert set(both) == set(wanted) | set(named(kustomize(K8S / "base")))
    other = rendered(collect={"enabled": True, "name": "scores", "namespace": "shop"})
    told = yaml.safe_dump_all(other)
    assert "digits" not in told
    assert "--service=http://scores-observers.shop:9095" in told


@pytest.mark.interop
def test_every_value_has_its_effect_and_what_comes_out_is_valid() -> None:
    values = {
        "image": "registry.example/shadow-sidecar:9",
        "replicas": 5,
        "defaults": {"otlp": "http://otel:4317", "run-as-user": "auto"},
        "openshift": True,
    }
    found = rendered("elsewhere", **values)
    for document in found:
        if is_core(document):
            kubernetes_validate.validate(document, "1.37", strict=True)
    deployment = named(found)["Deployment webhook"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert deployment["spec"]["replicas"] == 5
    assert deployment["metadata"]["namespace"] == "elsewhere"
    assert container["image"] == values["image"]
    assert container["args"][3:] == [
        f"--set=image={values['image']}",
        "--set=otlp=http://otel:4317",
        "--set=run-as-user=auto",
        "--api",
    ]
    assert "runAsUser" not in container["securityContext"]
    hooks = named(found)["MutatingWebhookConfiguration shadow-sidecar"]["webhooks"]
    assert {h["clientConfig"]["service"]["namespace"] for h in hooks} == {"elsewhere"}
    assert NAMESPACE not in json.dumps([h["namespaceSelector"] for h in hooks])


@pytest.mark.interop
def test_helm_lint_finds_no_mistake() -> None:
    assert not helm(LINT)["errors"]
