"""The sidecar out again: the pod as it was, and the same again when it is put back."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from sidecar.kube.inject import inject
from sidecar.kube.manifests import inject_text, uninject_text
from sidecar.kube.options import UNDO_ANNOTATION
from sidecar.kube.uninject import injected_by, uninject
from sidecar.kube.workloads import inject_object, uninject_object
from sidecar.run.commands import app
from tests.kube.manifests_in import ROOT
from tests.kube.manifests_of import KSERVE, SELDON, TEMPLATED
from tests.kube.pods import pod

EXAMPLES = sorted((ROOT / "examples").glob("*/*.yaml")) + sorted(
    path for path in (ROOT / "k8s").rglob("*.yaml") if {"components", "helm"}.isdisjoint(path.parts)
)


def full(**annotations: str) -> dict[str, Any]:
    """A pod with everything that injection touches."""
    made = pod(annotations, terminationGracePeriodSeconds=77, volumes=[{"name": "keys"}])
    server = made["spec"]["containers"][0]
    server["livenessProbe"] = {"httpGet": {"port": "grpc"}}
    server["startupProbe"] = {"tcpSocket": {"port": 9000}}
    server["lifecycle"] = {"postStart": {"httpGet": {"port": "grpc", "path": "/"}}}
    made["spec"]["initContainers"] = [{"name": "istio-init"}, {"name": "own"}]
    return made


PODS = {
    "plain": pod(),
    "full": full(),
    "redirect": full(intercept="redirect"),
    "moved": pod({"listen-port": "9000", "upstream-port": "9001"}),
    "host network": pod({}, hostNetwork=True),
    "own preStop": pod({"pre-stop-seconds": "0"}),
}


@pytest.mark.parametrize("name", PODS)
def test_a_pod_is_as_it_was(name: str) -> None:
    before = copy.deepcopy(PODS[name])
    made = inject(PODS[name], {"sample": "0.5", "image": "s:1"})
    assert made is not PODS[name]
    assert uninject(made) == before
    assert inject(uninject(made), {"sample": "0.5", "image": "s:1"}) == made
    assert uninject(before) is before


@pytest.mark.parametrize("name", [n for n in PODS if n != "host network"])
def test_what_an_older_version_injected_and_noted_less_of_is_as_it_was_in_effect(
    name: str,
) -> None:
    """Without the note a probe that named its port has its number: the same probe."""
    before = PODS[name]
    made = inject(before)
    del made["metadata"]["annotations"][UNDO_ANNOTATION]
    found = uninject(made)
    text = json.dumps(before["spec"]).replace('"port": "grpc"', '"port": 9000')
    assert json.loads(json.dumps(found["spec"]).replace('"port": "grpc"', '"port": 9000')) == (
        json.loads(text)
    )
    assert found["metadata"] == before["metadata"]


def test_a_container_that_was_changed_since_keeps_the_change() -> None:
    made = inject(pod())
    made["spec"]["containers"].insert(0, {"name": "istio-proxy", "image": "proxy"})
    made["spec"]["containers"][1]["image"] = "model:2"
    found = uninject(made)
    assert [c["name"] for c in found["spec"]["containers"]] == ["istio-proxy", "server"]
    wanted = {**pod()["spec"]["containers"][0], "image": "model:2"}
    assert found["spec"]["containers"][1] == wanted


@pytest.mark.parametrize("text", [*TEMPLATED.values(), KSERVE, SELDON])
def test_manifests_of_every_kind_come_and_go(text: str) -> None:
    document = yaml.safe_load(text)
    made = inject_object(document, {"image": "s:1"})
    assert made != document
    assert uninject_object(made) == document
    assert inject_object(uninject_object(made), {"image": "s:1"}) == made
    injected = inject_text(text, {"image": "s:1"}).text
    back = uninject_text(injected)
    assert yaml.safe_load(back.text) == document
    assert inject_text(back.text, {"image": "s:1"}).text == injected


def asking(document: Any) -> Any:
    """The manifest, asking: examples leave that to their reader or their kustomization."""
    if not isinstance(document, dict) or "metadata" not in document:
        return document
    metadata = document["metadata"]
    named = {"shadow-sidecar/shadow": "candidate=candidate:9000"}
    labels = (metadata.get("labels") or {}) | {"shadow-sidecar/inject": "true"}
    return document | {
        "metadata": metadata
        | {"labels": labels, "annotations": named | (metadata.get("annotations") or {})}
    }


def test_every_example_comes_and_goes() -> None:
    tried = []
    for path in EXAMPLES:
        for document in yaml.safe_load_all(path.read_text()):
            if not isinstance(document, dict) or document.get("kind") not in {
                "Deployment",
                "Rollout",
                "Job",
                "InferenceService",
            }:
                continue
            asked = asking(document)
            try:
                made = inject_object(asked, {})
            except Exception as error:
                if "upstream-port" in str(error):  # no port of a model: the webhook, a Job
                    continue
                raise
            if made == asked:
                continue
            tried.append(str(path.relative_to(ROOT)))
            assert inject_object(uninject_object(made), {}) == made, path
            assert uninject_object(uninject_object(made)) == uninject_object(made), path
    folders = {name.split("/")[1] for name in tried if name.startswith("examples/")}
    assert folders >= {path.parent.name for path in EXAMPLES if path.name in {"deployment.yaml"}}
    assert {"k8s/example/models.yaml", "k8s/rollouts/argo/rollout.yaml"} <= set(tried)


def test_what_another_version_injected_is_injected_anew_by_text_and_left_by_the_webhook() -> None:
    old = inject_text(TEMPLATED["Deployment"], {"image": "s:0"}).text
    old = old.replace("0.1.0", "0.0.9").replace("--resync=off", "--old")
    assert "--old" in old
    made = inject_text(old, {"image": "s:1"})
    assert made.injected == ("Deployment digits",)
    assert made.text == inject_text(TEMPLATED["Deployment"], {"image": "s:1"}).text
    template = yaml.safe_load(old)["spec"]["template"]
    assert injected_by(template) == "0.0.9"
    assert inject(template, {}) is template


def test_a_namespace_in_the_same_text_gives_its_defaults() -> None:
    namespace = "kind: Namespace\nmetadata:\n  name: m\n  annotations:\n"
    text = TEMPLATED["Deployment"].replace(
        "  name: digits\n", "  name: digits\n  namespace: m\n", 1
    )
    named = f'{namespace}    shadow-sidecar/otlp: "http://otel:4317"\n---\n{text}'
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in inject_text(named, {}).text
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in inject_text(text, {}).text
    other = named.replace("namespace: m", "namespace: n")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in inject_text(other, {}).text


def test_the_command_prints_what_it_did(tmp_path: Path) -> None:
    file = tmp_path / "deployment.yaml"
    file.write_text(inject_text(TEMPLATED["Deployment"], {}).text)
    done = CliRunner().invoke(app, ["uninject", "-f", str(file)])
    assert done.exit_code == 0
    assert "sidecar taken out: Deployment digits" in done.stderr
    assert yaml.safe_load(done.stdout) == yaml.safe_load(TEMPLATED["Deployment"])
    file.write_text(TEMPLATED["Deployment"])
    done = CliRunner().invoke(app, ["uninject", "-f", str(file)])
    assert "nothing here has the sidecar" in done.stderr
    assert done.stdout == TEMPLATED["Deployment"]
