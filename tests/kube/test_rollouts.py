"""What the rollout controllers ask, asked of real sidecars: templates, webhooks, Jobs."""

from __future__ import annotations

import re
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from sidecar.serve.gate import CONFLICT, HOOKS
from tests.collect.command import Collecting, collecting, enough
from tests.kube.argo import filled, measured, patience
from tests.kube.manifests_in import K8S
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


def test_each_gate_asks_for_a_shadow_that_pods_have() -> None:
    canary = ROLLOUT["strategy"]["canary"]
    has = {
        canary[f"{role}Metadata"]["annotations"]["shadow-sidecar/shadow"].partition("=")[0]
        for role in ("stable", "canary")
    }
    for analysis in analyses():
        given = {argument["name"]: argument["value"] for argument in analysis["args"]}
        assert given["shadow"] in has


def test_how_long_a_gate_waits_is_what_is_said() -> None:
    """Errors are tried again after 10 s whatever the interval, so it is them that are counted."""
    comments = (K8S / "rollouts" / "argo" / "analysis.yaml").read_text()
    for template, hours, said in (("shadow-gate", 4, "4 h"), ("shadow-guard", 1, "an hour")):
        metric = TEMPLATES[template]["metrics"][0]
        assert patience(metric) == hours * 3600
        assert said in comments
        assert f"{metric['consecutiveErrorLimit']} x 10 s" in comments


@contextmanager
def collected(*pods: Sidecar) -> Iterator[Collecting]:
    """A collector over the pods, as the manifest starts it."""
    (args,) = (
        container["args"]
        for document in yaml.safe_load_all((K8S / "collect" / "collect.yaml").read_text())
        if document["kind"] == "Deployment"
        for container in document["spec"]["template"]["spec"]["containers"]
    )
    left = [arg for arg in args if not re.match("--(service|pods|data|listen)=", arg)]
    assert left == ["collect"], "what is not replaced here is not tested here"
    with tempfile.TemporaryDirectory() as folder:
        with collecting(Path(folder) / "l", [f"http://{pod.http}" for pod in pods]) as it:
            yield it


def web(it: Collecting, template: str = "shadow-gate") -> str:
    """What Argo Rollouts makes of a template, asking a collector."""
    metric = TEMPLATES[template]["metrics"][0]
    url = filled(metric["provider"]["web"]["url"], {"collector": "gate", "shadow": "shadow"})
    assert url.startswith("http://gate:9097/")
    return measured(metric, url.replace("gate:9097", it.address))


def test_the_gate_waits_then_passes_on_what_the_pods_have_seen_together() -> None:
    both = judge(SAME, min_calls=700)
    with servers(MODEL, MODEL, MODEL) as (*productions, same), ExitStack() as stack:
        pods = [stack.enter_context(sidecar(own, same, settings=both)) for own in productions]
        with collected(*pods) as gate:
            waiting = web(gate), web(gate, "shadow-guard")
            seen = [enough(pod, 400) for pod in pods]  # neither is enough alone
            gate.wait_calls(sum(seen))
            passed = web(gate), web(gate, "shadow-guard")
            pods[1].process.stop()
            gate.process.wait_until(lambda: bool(gate.verdict()["missing"]))
            alone = web(gate), web(gate, "shadow-guard")
    assert waiting == ("Error", "Successful")
    assert passed == ("Successful", "Successful")
    assert alone == ("Error", "Successful"), "a pod does not answer: no PASS, and no FAIL"


def test_the_gate_fails_at_once_and_pauses_when_its_budget_is_used_up() -> None:
    ended = judge(SAME, min_calls=1, max_calls=1)
    with servers(MODEL, MODEL, WRONG) as (production, same, wrong):
        with sidecar(production, wrong, settings=judge(SAME)) as it, collected(it) as gate:
            infer(it, 400)
            gate.wait_decided()
            failed = web(gate), web(gate, "shadow-guard")
        with sidecar(production, same, settings=ended) as it, collected(it) as gate:
            infer(it, 2)
            gate.wait_calls(2)
            paused = web(gate)
    assert failed == ("Failed", "Failed")
    assert paused == "Inconclusive"


def posted(url: str, address: str) -> bool:
    """Whether a webhook's answer counts as success to Flagger: 2xx."""
    parts = urllib.parse.urlsplit(url)
    request = urllib.request.Request(
        f"http://{address}{parts.path}?{parts.query}",
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
            with (
                sidecar(production, *shadows, settings=judge(SAME)) as it,
                collected(it) as gate,
            ):
                for calls in (0, 400):
                    if calls:
                        infer(it, calls)
                        for name in ("canary", "previous"):
                            gate.wait_decided(name)
                    hooks = WEBHOOKS.items()
                    said.append({n for n, hook in hooks if posted(hook["url"], gate.address)})
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
