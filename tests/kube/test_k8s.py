"""The committed manifests: against Kubernetes' schemas, and against each other."""

from __future__ import annotations

import re
import runpy
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from sidecar.kube.inject import inject
from sidecar.kube.webhook import Webhook
from sidecar.settings.sources import load
from tests.interop.environments import make
from tests.kube.manifests_in import K8S, KUSTOMIZATIONS, ROOT, committed, is_core, kustomize
from tests.kube.manifests_of import TEMPLATED

VERSIONS = ("1.30", "1.37")
OURS = committed()
DOCUMENTS = dict(OURS)


@pytest.mark.parametrize("where", [where for where, document in OURS if is_core(document)])
def test_a_manifest_is_valid_for_the_oldest_and_the_newest_kubernetes(where: str) -> None:
    for version in VERSIONS:
        kubernetes_validate.validate(DOCUMENTS[where], version, strict=True)


def pods() -> list[tuple[str, dict[str, Any]]]:
    return [(w, d) for w, d in OURS if d["kind"] in {"Deployment", "Rollout"}]


@pytest.mark.parametrize("where", [where for where, _ in pods()])
def test_every_container_of_ours_is_confined_and_bounded(where: str) -> None:
    spec = DOCUMENTS[where]["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"].keys() == {"requests", "limits"}
        assert ":" in container["image"]


def test_services_lead_to_pods_that_are_there() -> None:
    """Each selector's labels are on some template, or are put there by the rollout controller."""
    given = [{"role": "stable", "app": "digits"}, {"role": "canary", "app": "digits"}]
    given += [{"app": "digits-primary"}]  # Flagger's
    given += [{"app.kubernetes.io/part-of": "digits"}]  # asked for where Flagger's Canary stands
    given += [d["spec"]["template"]["metadata"]["labels"] for _, d in pods()]
    for where, document in OURS:
        if document["kind"] == "Service":
            selector = document["spec"]["selector"].items()
            assert any(selector <= labels.items() for labels in given), where


def test_the_examples_pods_are_injected_and_its_settings_are_settings(tmp_path: Path) -> None:
    for where, document in pods():
        if where.startswith(("example/models", "rollouts/argo")):
            template = document["spec"]["template"]
            if "shadow-sidecar/inject" not in template["metadata"]["labels"]:
                continue
            made = inject(template, {"shadow": "x=y:1"})
            assert made is not template
            assert made["spec"]["containers"][0]["ports"][0]["containerPort"] == 9094
    config = next(d for _, d in OURS if d["metadata"]["name"] == "digits-shadow")
    file = tmp_path / "config.yaml"
    file.write_text(config["data"]["config.yaml"])
    settings = load(file, environ={})
    assert any(criterion.required for criterion in settings.judge.criteria), "nothing can pass"


def test_the_copies_of_a_rollout_lead_past_the_wire_to_a_name_that_can_be_without_pods() -> None:
    copies = [d["spec"] for _, d in OURS if d["metadata"]["name"].endswith("-copies")]
    assert len(copies) == 4
    for spec in copies:
        assert spec["clusterIP"] == "None"
        assert "publishNotReadyAddresses" not in spec
        assert [port["targetPort"] for port in spec["ports"]] == [9000]


def test_the_webhook_is_where_the_configuration_looks_for_it() -> None:
    configuration = DOCUMENTS["base/admission.yaml#0"]
    paths = {w["clientConfig"]["service"]["path"] for w in configuration["webhooks"]}
    routes = {r.resource.canonical for r in Webhook({}).application().router.routes() if r.resource}
    assert paths <= routes
    assert {w["failurePolicy"] for w in configuration["webhooks"]} == {"Ignore"}


def test_what_is_generated_is_committed() -> None:
    generated: dict[Path, str] = runpy.run_path(str(K8S / "generate.py"))["files"]()
    for path, text in generated.items():
        assert path.read_text() == text, f"run python k8s/generate.py: {path.name} differs"


@pytest.mark.interop
@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_kustomize_puts_it_together(name: str) -> None:
    for document in kustomize(K8S / name):
        if is_core(document):
            kubernetes_validate.validate(document, VERSIONS[1], strict=True)


@pytest.mark.interop
def test_the_injected_image_follows_the_webhooks_own() -> None:
    deployment = next(d for d in kustomize(K8S / "base") if d["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert f"--set=image={container['image']}" in container["args"]


@pytest.mark.interop
@pytest.mark.parametrize("kind", ["port", "redirect"])
def test_a_component_adds_what_inject_adds(kind: str, tmp_path: Path) -> None:
    deployment = yaml.safe_load(TEMPLATED["Deployment"])
    deployment["metadata"]["labels"] = {"shadow-sidecar/inject": "true"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "digits", "labels": {"shadow-sidecar/inject": "true"}},
        "spec": {"selector": {"app": "digits"}, "ports": [{"name": "grpc", "port": 9000}]},
    }
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all([deployment, service]))
    relative = Path("../" * len(tmp_path.parts[1:])) / str(K8S).lstrip("/")
    (tmp_path / "kustomization.yaml").write_text(
        yaml.safe_dump({"resources": ["all.yaml"], "components": [f"{relative}/components/{kind}"]})
    )
    made = {d["kind"]: d for d in kustomize(tmp_path)}
    spec = made["Deployment"]["spec"]["template"]["spec"]
    pod = deployment["spec"]["template"]
    pod["metadata"]["annotations"] = {}
    options = {"upstream-port": "9000", "config-map": "shadow-sidecar", "intercept": kind}
    expected = inject(pod, options | {"service-name": "model"})["spec"]
    names = [c["name"] for c in spec["initContainers"]]
    assert names == [c["name"] for c in expected["initContainers"]]
    for got, wanted in zip(spec["initContainers"], expected["initContainers"], strict=True):
        assert got["command"] == wanted["command"]
        assert got.get("args") == wanted.get("args")
        assert got["securityContext"] == wanted["securityContext"]
        assert got["resources"] == wanted["resources"]
    assert {v["name"] for v in spec["volumes"]} == {v["name"] for v in expected["volumes"]}
    target = made["Service"]["spec"]["ports"][0].get("targetPort")
    assert target == (9094 if kind == "port" else None)
    kubernetes_validate.validate(made["Deployment"], VERSIONS[1], strict=True)


@pytest.mark.interop
@pytest.mark.parametrize("kind", ["port", "redirect"])
def test_the_components_keep_a_workloads_grace_time_and_leave_adds_what_inject_adds(
    kind: str, tmp_path: Path
) -> None:
    deployment = yaml.safe_load(TEMPLATED["Deployment"])
    deployment["metadata"]["labels"] = {"shadow-sidecar/inject": "true"}
    spec = deployment["spec"]["template"]["spec"]
    spec["terminationGracePeriodSeconds"] = 120
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(deployment))
    relative = Path("../" * len(tmp_path.parts[1:])) / str(K8S).lstrip("/")

    def put_together(*components: str) -> dict[str, Any]:
        where = [f"{relative}/components/{name}" for name in components]
        text = yaml.safe_dump({"resources": ["all.yaml"], "components": where})
        (tmp_path / "kustomization.yaml").write_text(text)
        (made,) = kustomize(tmp_path)
        found: dict[str, Any] = made["spec"]["template"]["spec"]
        return found

    assert put_together(kind)["terminationGracePeriodSeconds"] == 120
    del spec["terminationGracePeriodSeconds"]
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(deployment))
    made = put_together(kind, "leave")
    options = {"upstream-port": "9000", "config-map": "shadow-sidecar", "intercept": kind}
    wanted = inject(deployment["spec"]["template"], options)["spec"]
    for key in ("terminationGracePeriodSeconds",):
        assert made[key] == wanted[key] == 45
    assert made["containers"][0]["lifecycle"] == wanted["containers"][0]["lifecycle"]


@pytest.mark.interop
def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = make("hadolint").path / "bin" / "hadolint"
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_image_has_every_command_that_is_injected() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"apt-get install .*\biptables\b", text), "for the redirect"
    assert text.rstrip().splitlines()[-2] == 'ENTRYPOINT ["shadow-sidecar"]'


def test_the_images_packages_are_locked_by_hash_and_are_those_that_are_asked_for() -> None:
    from importlib.metadata import distribution

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    text = (ROOT / "requirements.lock").read_text()
    locked = {}
    for entry in re.split(r"\n(?=\S)", text.strip()):
        found = re.match(r"([\w.-]+)==([^\s;]+)", entry)
        assert found is not None, entry
        name, version = found.groups()
        assert "--hash=sha256:" in entry, name
        locked[canonicalize_name(name)] = version
    asked = [Requirement(line) for line in distribution("shadow-sidecar").requires or ()]
    for requirement in asked:
        if requirement.marker is None:  # not an extra's
            version = locked[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement}: make lock"
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes -r requirements.lock" in dockerfile
