"""What the rollout controllers ask, asked of real sidecars: templates, webhooks, Jobs."""

from __future__ import annotations

import asyncio
import re
import tempfile
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from sidecar.serve.gate import HOOKS
from tests.collect.command import Collecting, collecting, enough
from tests.kube.argo import filled, measured, patience
from tests.kube.flagger import posted
from tests.kube.manifests_in import K8S
from tests.kube.replay import canary, elsewhere, rollout
from tests.processes import free_port, http_json
from tests.scenarios.stack import Sidecar, servers, sidecar
from tests.scenarios.verdicts import MODEL, SAME, infer, judge, predict

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
            gate.wait_all_heard()
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
                    ask = elsewhere(gate.address, {})
                    said.append({n for n, hook in hooks if posted(hook, ask(hook["url"]))})
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


Ran: TypeAlias = tuple[tuple[str, list[str]], tuple[str, list[str]]]
"""Argo's and Flagger's last phase, and what they did until then."""


def decided(it: Sidecar, gate: Collecting, *shadows: str) -> None:
    """Predictions until each of them is decided about: a busy machine leaves some out."""
    asked = 0
    for name in shadows:
        for _ in range(20):
            if gate.verdict(name)["state"] in {"PASS", "FAIL"}:
                break
            asyncio.run(predict(it.address, range(asked, asked + 150)))
            asked += 150
            it.settled(asked)
            judged = int(http_json(it.http, f"/verdict?shadow={name}")["calls"])
            gate.wait_calls(judged, name)


def ran(gate: Collecting, **names: str) -> Ran:
    """What either controller makes of the verdict as it stands, from its first step to its last."""
    ask = elsewhere(gate.address, names)
    argo, flagger = rollout(ask), canary(ask)
    now = 0.0
    for _ in range(12):  # more than either has steps
        now = argo.reconcile(now)
        flagger.advance()
    return (argo.phase, argo.events), (flagger.phase, flagger.events)


PROMOTED: Ran = (
    ("Healthy", ["weight 0", "weight 1", "weight 20", "weight 50", "promoted"]),
    ("Succeeded", ["weight 1", "weight 20", "weight 50", "promoted"]),
)
ABORTED: Ran = (
    ("Degraded", ["weight 0", "aborted: step 2: Failed"]),
    ("Failed", ["rolled back: production-objects"]),
)
WAITING: Ran = (("Progressing", ["weight 0"]), ("Progressing", []))
PAUSED: Ran = (("Paused", ["weight 0", "paused: step 2: Inconclusive"]), ("Progressing", []))


def test_a_rollout_waits_for_a_verdict_and_pass_promotes_it() -> None:
    with servers(MODEL, MODEL) as (production, same):
        shadows = [f"{name}={same}" for name in ("candidate", "canary", "previous")]
        with sidecar(production, *shadows, settings=judge(SAME)) as it, collected(it) as gate:
            nothing = ran(gate)
            decided(it, gate, "candidate", "canary", "previous")
            passed = ran(gate)
    assert nothing == WAITING
    assert passed == PROMOTED


def test_fail_aborts_a_rollout_before_a_user_meets_the_new_version() -> None:
    with servers(MODEL, WRONG) as (production, wrong):
        shadows = [f"{name}={wrong}" for name in ("candidate", "canary", "previous")]
        with sidecar(production, *shadows, settings=judge(SAME)) as it, collected(it) as gate:
            decided(it, gate, "candidate", "canary")
            assert ran(gate) == ABORTED


def test_a_budget_that_is_used_up_pauses_argo_and_holds_flagger() -> None:
    ended = judge(SAME, min_calls=1, max_calls=1)
    with servers(MODEL, MODEL) as (production, same):
        shadows = [f"{name}={same}" for name in ("candidate", "canary", "previous")]
        with sidecar(production, *shadows, settings=ended) as it, collected(it) as gate:
            infer(it, 2)
            for shadow in ("candidate", "canary", "previous"):
                gate.wait_calls(2, shadow)
            assert ran(gate) == PAUSED


def test_harm_that_is_seen_at_one_percent_takes_the_users_back() -> None:
    """The canary passed as a shadow; with users its own pods see what it does wrong."""
    with servers(MODEL, MODEL, WRONG) as (production, same, wrong):
        good = [f"{name}={same}" for name in ("candidate", "canary")]
        given = judge(SAME)
        with sidecar(production, *good, f"previous={wrong}", settings=given) as it:
            with collected(it) as gate:
                decided(it, gate, "candidate", "canary", "previous")
                argo, flagger = ran(gate)
    assert argo == ("Degraded", ["weight 0", "weight 1", "aborted: beside the steps: Failed"])
    assert flagger == ("Failed", ["rolled back: canary-objects"])


def test_a_collector_that_is_gone_ends_argos_gate_after_the_hours_that_are_said() -> None:
    argo, now, looks = rollout(elsewhere(f"127.0.0.1:{free_port()}", {})), 0.0, 0
    while argo.phase == "Progressing":
        last, looks = now, looks + 1
        now = argo.reconcile(now)
    assert (argo.phase, argo.weight, looks) == ("Degraded", 0, 1441)
    assert last == 4 * 3600
