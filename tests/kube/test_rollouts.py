"""What the rollout controllers ask, asked of real sidecars: templates, webhooks, Jobs."""

from __future__ import annotations

import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from sidecar.serve.gate import CONFLICT, HOOKS
from tests.kube.argo import filled, measured
from tests.kube.manifests_in import K8S, need
from tests.processes import Process
from tests.scenarios.stack import Sidecar, servers, sidecar
from tests.scenarios.verdicts import MODEL, SAME, infer, judge

WRONG = ("model", "--bias", "9")
TEMPLATES = {
    document["metadata"]["name"]: document["spec"]
    for document in yaml.safe_load_all((K8S / "rollouts" / "argo" / "analysis.yaml").read_text())
}
ROLLOUT = yaml.safe_load((K8S / "rollouts" / "argo" / "rollout.yaml").read_text())["spec"]
CANARY = next(
    document["spec"]
    for document in yaml.safe_load_all((K8S / "rollouts" / "flagger" / "canary.yaml").read_text())
    if document["kind"] == "Canary"
)
WEBHOOKS = {hook["name"]: hook for hook in CANARY["analysis"]["webhooks"]}


def analyses() -> Iterator[dict[str, Any]]:
    """Every analysis of the rollout: beside its steps, and in them."""
    canary = ROLLOUT["strategy"]["canary"]
    yield canary["analysis"]
    yield from (step["analysis"] for step in canary["steps"] if "analysis" in step)


def test_every_analysis_gives_its_templates_what_they_ask_for() -> None:
    for analysis in analyses():
        given = {argument["name"] for argument in analysis["args"]}
        for template in analysis["templates"]:
            asked = {argument["name"] for argument in TEMPLATES[template["templateName"]]["args"]}
            assert asked == given


def test_each_gate_asks_pods_for_the_shadow_that_they_have() -> None:
    canary = ROLLOUT["strategy"]["canary"]
    has = {
        f"digits-{role}-gate": canary[f"{role}Metadata"]["annotations"]["shadow-sidecar/shadow"]
        for role in ("stable", "canary")
    }
    for analysis in analyses():
        given = {argument["name"]: argument["value"] for argument in analysis["args"]}
        assert has[given["gate"]].startswith(f"{given['shadow']}=")


def job_of(template: str) -> dict[str, Any]:
    job: dict[str, Any] = TEMPLATES[template]["metrics"][0]["provider"]["job"]["spec"]
    return job


@pytest.mark.parametrize("template", ["shadow-gate", "shadow-guard"])
def test_a_job_is_a_job_to_kubernetes_and_ends_at_once_on_fail_only(template: str) -> None:
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "gate"}}
    job["spec"] = job_of(template)
    for version in ("1.30", "1.37"):
        kubernetes_validate.validate(job, version, strict=True)
    (rule,) = job_of(template)["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["values"] == [1]
    pod = job_of(template)["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def run_job(template: str, service: str, hosts: Path) -> Process:
    """The Job's container, its name for the pods' addresses being what `hosts` says."""
    need("unshare")
    (container,) = job_of(template)["template"]["spec"]["containers"]
    arguments = {"gate": "gate", "shadow": "shadow"}
    env = {entry["name"]: filled(entry["value"], arguments) for entry in container["env"]}
    env |= {"GATE": re.sub(r":9095$", f":{service}", env["GATE"]), "EVERY": "0"}
    env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    mounted = ["unshare", "--mount", "sh", "-ec", f'mount --bind {hosts} /etc/hosts; exec "$@"']
    return Process([*mounted, "sh", *container["command"], *container["args"]], env=env)


@contextmanager
def two_pods(candidate: tuple[str, ...], hosts: Path) -> Iterator[tuple[list[Sidecar], str]]:
    """Two sidecars behind one name, as pods are: other addresses, one port."""
    strict = judge({**SAME, "margin": 0.01}, min_calls=1)
    with servers(MODEL, candidate) as (production, shadow):
        with sidecar(production, shadow, settings=strict) as one:
            port = one.http.rpartition(":")[2]
            with sidecar(
                production, shadow, settings=strict | {"http.listen": f"127.0.0.2:{port}"}
            ) as other:
                hosts.write_text("127.0.0.1 gate\n127.0.0.2 gate\n")
                yield [one, other], port


@pytest.mark.interop
def test_the_gates_job_waits_and_passes_on_what_the_pods_have_seen_together(
    tmp_path: Path,
) -> None:
    with two_pods(MODEL, tmp_path / "hosts") as (pods, port):
        with run_job("shadow-gate", port, tmp_path / "hosts") as job:
            job.wait_line(lambda line: line.startswith("WATCHING") and "2 sidecars" in line)
            for pod in pods:
                infer(pod, 400)  # neither is enough alone: see the scenarios of verdicts
            assert job.wait(60) == 0
            last = job.tail(1)
    assert last.startswith("PASS")
    assert "2 sidecars" in last
    seen = re.search(r"\((\d+) calls", last)
    assert seen, last
    assert int(seen[1]) > 400, "one pod alone cannot have seen so many"


@pytest.mark.interop
def test_the_guards_job_outlives_a_pass_and_ends_on_fail(tmp_path: Path) -> None:
    with two_pods(MODEL, tmp_path / "hosts") as (pods, port):
        with run_job("shadow-guard", port, tmp_path / "hosts") as job:
            for pod in pods:
                infer(pod, 400)
            for _ in range(2):
                job.wait_line(lambda line: line.startswith("PASS"))
            assert job.returncode is None
    with two_pods(WRONG, tmp_path / "hosts") as (pods, port):
        with run_job("shadow-guard", port, tmp_path / "hosts") as job:
            infer(pods[0], 100)
            assert job.wait(60) == 1
            assert job.tail(1).startswith("FAIL")


def web(it: Sidecar) -> str:
    """What Argo Rollouts makes of the template without Jobs, asking a sidecar."""
    (metric,) = TEMPLATES["shadow-gate-of-one-pod"]["metrics"]
    url = filled(metric["provider"]["web"]["url"], {"gate": "gate", "shadow": "shadow"})
    assert url.startswith("http://gate.models:9095/")
    return measured(metric, url.replace("gate.models:9095", it.http))


def test_the_template_for_one_pod_waits_then_passes_fails_or_pauses() -> None:
    with servers(MODEL, MODEL, WRONG) as (production, same, wrong):
        with sidecar(production, same, settings=judge(SAME)) as it:
            waiting = web(it)
            infer(it, 400)
            passed = web(it)
        with sidecar(production, wrong, settings=judge(SAME)) as it:
            infer(it, 400)
            failed = web(it)
        ended = judge(SAME, min_calls=1, max_calls=1)
        with sidecar(production, same, settings=ended) as it:
            infer(it, 2)
            paused = web(it)
    assert (waiting, passed, failed, paused) == ("Error", "Successful", "Failed", "Inconclusive")


def posted(url: str, it: Sidecar) -> bool:
    """Whether a webhook's answer counts as success to Flagger: 2xx."""
    parts = urllib.parse.urlsplit(url)
    request = urllib.request.Request(
        f"http://{it.http}{parts.path}?{parts.query}",
        data=b'{"name": "digits", "namespace": "models", "phase": "Progressing"}',
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bool(200 <= answer.status < 300)
    except urllib.error.HTTPError as error:
        if error.code != CONFLICT:
            raise
        return False


def test_flaggers_webhooks_wait_advance_and_roll_back() -> None:
    with servers(MODEL, MODEL, WRONG) as (production, same, wrong):
        said = []
        for candidate in (same, wrong):
            shadows = (f"canary={candidate}", f"previous={candidate}")
            with sidecar(production, *shadows, settings=judge(SAME)) as it:
                for calls in (0, 400):
                    if calls:
                        infer(it, calls)
                    said.append({n for n, hook in WEBHOOKS.items() if posted(hook["url"], it)})
    before, passed, _, failed = said
    # Before the first step the canary's own pods have seen nothing: they must not hold it up.
    assert before == {"canary-says"}
    assert passed == {"production-says", "canary-says", "promote"}
    assert failed == {"production-objects", "canary-objects"}


def test_each_of_flaggers_webhooks_asks_as_a_hook_that_the_gate_knows() -> None:
    for hook in WEBHOOKS.values():
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(hook["url"]).query)["hook"][0]
        assert asked in HOOKS
        assert hook["type"] in HOOKS
        assert (asked == "rollback") == (hook["type"] == "rollback")
