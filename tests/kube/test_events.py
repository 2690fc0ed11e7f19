"""Events and namespaces' defaults: the webhook beside an API server's answers."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import kubernetes_validate
import yaml
from aiohttp import web

from sidecar.collect.api_server import ApiServer
from sidecar.kube.events import AGAIN_SECONDS, REASON, Events, Subject, event_of, subject_of
from sidecar.kube.inject import inject
from sidecar.kube.namespaces import FRESH_SECONDS, Namespaces, defaults_of
from sidecar.kube.webhook import Webhook
from sidecar.log import Log
from tests.kube.manifests_in import K8S
from tests.kube.pods import pod
from tests.kube.reviews import patched, review

OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "digits-5d", "uid": "u-1"}
SUBJECT = Subject("apps/v1", "ReplicaSet", "models", "digits-5d", "u-1")


class Cluster:
    """Answers as the API server does, and remembers what it was given."""

    def __init__(self, annotations: dict[str, str] | None = None) -> None:
        self.annotations = annotations or {}
        self.events: list[dict[str, Any]] = []
        self.asked = 0
        self.status = 200
        self.now = 0.0
        self.webhook = ""
        self.limit_ranges: list[dict[str, Any]] = []
        self.events_written = asyncio.Event()

    async def namespace(self, request: web.Request) -> web.Response:
        self.asked += 1
        metadata = {"name": request.match_info["name"], "annotations": self.annotations}
        return web.json_response({"kind": "Namespace", "metadata": metadata}, status=self.status)

    async def limits(self, request: web.Request) -> web.Response:
        return web.json_response({"kind": "LimitRangeList", "items": self.limit_ranges})

    async def event(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer secret"
        self.events.append(await request.json())
        self.events_written.set()
        return web.json_response({}, status=201 if self.status == 200 else self.status)

    async def ask(self, body: bytes) -> dict[str, Any]:
        async with aiohttp.ClientSession() as client:
            async with client.post(f"{self.webhook}/mutate", data=body) as answer:
                found: dict[str, Any] = (await answer.json())["response"]
                return found

    async def metrics(self) -> str:
        async with aiohttp.ClientSession() as client:
            async with client.get(f"{self.webhook}/metrics") as answer:
                return await answer.text()


async def listening(application: web.Application) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@asynccontextmanager
async def running(cluster: Cluster, folder: Path) -> AsyncIterator[Cluster]:
    """The webhook, with that cluster behind it."""
    (folder / "token").write_text("secret")
    application = web.Application()
    application.router.add_get("/api/v1/namespaces/{name}", cluster.namespace)
    application.router.add_get("/api/v1/namespaces/{name}/limitranges", cluster.limits)
    application.router.add_post("/api/v1/namespaces/{name}/events", cluster.event)
    api, url = await listening(application)
    server = ApiServer(url, folder)
    log = Log("test", io.StringIO())
    events = Events(server, lambda: cluster.now, log)
    namespaces = Namespaces(server, lambda: cluster.now)
    webhook = Webhook({"image": "s:1"}, namespaces, events)
    own, cluster.webhook = await listening(webhook.application())
    task = asyncio.create_task(events.run())
    try:
        yield cluster
    finally:
        task.cancel()
        await own.cleanup()
        await api.cleanup()


def wrong(owned: bool = True, **request: Any) -> bytes:
    """A controller's pod that asks for the impossible."""
    asked = pod({"sample": "lots"})
    if owned:
        asked["metadata"]["ownerReferences"] = [{**OWNER, "controller": True}]
    body = json.loads(review("Pod", asked))
    body["request"] |= request
    return json.dumps(body).encode()


def test_a_pod_that_starts_without_it_has_an_event_at_its_owner_with_the_reason(
    tmp_path: Path,
) -> None:
    async def check() -> None:
        async with running(Cluster(), tmp_path) as it:
            answer = await it.ask(wrong())
            assert answer["allowed"]
            await it.events_written.wait()
            (event,) = it.events
            assert event["reason"] == REASON
            assert event["involvedObject"] == {**OWNER, "namespace": "models"}
            assert "shadow-sidecar/sample: 'lots' is not allowed" in event["message"]
            assert 'events_total{result="written"} 1.0' in await it.metrics()

    asyncio.run(check())


def test_many_pods_of_one_owner_are_one_event_until_some_time_has_passed(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(Cluster(), tmp_path) as it:
            for _ in range(5):
                await it.ask(wrong())
            await it.events_written.wait()
            it.events_written.clear()
            it.now += AGAIN_SECONDS
            await it.ask(wrong())
            await it.events_written.wait()
            assert len(it.events) == 2

    asyncio.run(check())


def test_a_trial_a_refusal_and_what_is_well_write_none(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(Cluster(), tmp_path) as it:
            await it.ask(wrong(dryRun=True))
            assert not (await it.ask(wrong(owned=False)))["allowed"]
            await it.ask(review("Pod", pod()))
            await it.ask(wrong())
            await it.events_written.wait()
            assert len(it.events) == 1

    asyncio.run(check())


def test_an_api_server_that_refuses_costs_the_event_only(tmp_path: Path) -> None:
    async def check() -> None:
        cluster = Cluster()
        cluster.status = 403
        async with running(cluster, tmp_path) as it:
            answer = await it.ask(wrong())
            assert answer["allowed"]
            assert any("could not be read: HTTP status 403" in w for w in answer["warnings"])
            await it.events_written.wait()
            while (  # noqa: ASYNC110
                'events_total{result="failed"} 1.0' not in await it.metrics()
            ):
                await asyncio.sleep(0)

    asyncio.run(check())


def test_what_is_written_is_an_event_as_kubernetes_has_it() -> None:
    event = event_of(SUBJECT, "x" * 5000, datetime(2026, 11, 28, tzinfo=UTC))
    named = {**event, "metadata": {"name": "a", "namespace": "models"}}
    kubernetes_validate.validate(named, "1.30", strict=True)
    assert len(event["message"]) == 1024


def test_a_pod_without_owner_or_name_is_nobodys_event() -> None:
    assert subject_of({"object": {"metadata": {"generateName": "x-"}}, "namespace": "n"}) is None
    found = subject_of(
        {
            "object": {"metadata": {"name": "alone"}},
            "namespace": "n",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
        }
    )
    assert found == Subject("v1", "Pod", "n", "alone")


def test_a_namespaces_annotations_are_its_pods_defaults_and_their_own_overrule_them(
    tmp_path: Path,
) -> None:
    own = {"shadow-sidecar/otlp": "http://otel:4317", "shadow-sidecar/sample": "0.5", "team": "ml"}

    async def check() -> None:
        async with running(Cluster(own), tmp_path) as it:
            before = pod({"sample": "0.1"})
            made = patched(before, await it.ask(review("Pod", before)))
            expected = {"image": "s:1", "otlp": "http://otel:4317", "sample": "0.5"}
            assert made == inject(before, expected)
            assert made["metadata"]["annotations"]["shadow-sidecar/sample"] == "0.1"
            await it.ask(review("Pod", before))
            assert it.asked == 1
            it.now += FRESH_SECONDS
            it.annotations = {}
            after = patched(before, await it.ask(review("Pod", before)))
            assert after == inject(before, {"image": "s:1"})

    asyncio.run(check())


def test_a_namespace_that_cannot_be_asked_keeps_its_last_defaults(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(Cluster({"shadow-sidecar/sample": "0.5"}), tmp_path) as it:
            await it.ask(review("Pod", pod()))
            it.status = 500
            it.now += FRESH_SECONDS
            answer = await it.ask(review("Pod", pod()))
            made = patched(pod(), answer)
            assert made["metadata"]["annotations"]["shadow-sidecar/sample"] == "0.5"
            assert "HTTP status 500" in answer["warnings"][0]

    asyncio.run(check())


def test_a_pod_that_a_limit_range_would_keep_from_starting_comes_up_without_the_sidecar(
    tmp_path: Path,
) -> None:
    async def check() -> None:
        async with running(Cluster(), tmp_path) as it:
            most = {"type": "Container", "max": {"memory": "512Mi"}}
            it.limit_ranges = [{"metadata": {"name": "small"}, "spec": {"limits": [most]}}]
            asked = pod()
            asked["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "digits-1"}]
            made = patched(asked, await it.ask(review("Pod", asked)))
            assert made["spec"] == asked["spec"]
            why = made["metadata"]["annotations"]["shadow-sidecar/not-injected"]
            assert why.startswith("LimitRange small: container shadow-observer: may use 768Mi")

    asyncio.run(check())


def test_a_wrong_default_of_a_namespace_is_left_out_and_said() -> None:
    annotations = {"shadow-sidecar/sample": "2", "shadow-sidecar/rate": "5"}
    found = defaults_of({"metadata": {"name": "n", "annotations": annotations}})
    assert found.values == {"rate": "5"}
    (line,) = found.wrong
    assert line.startswith("namespace n: shadow-sidecar/sample: '2' is not allowed")


def test_the_manifests_allow_what_is_asked_and_nothing_else() -> None:
    documents = list(yaml.safe_load_all((K8S / "base" / "webhook.yaml").read_text()))
    role = next(d for d in documents if d["kind"] == "ClusterRole")
    allowed = {(rule["resources"][0], *rule["verbs"]) for rule in role["rules"]}
    assert allowed == {("namespaces", "get"), ("limitranges", "list"), ("events", "create")}
    configuration = yaml.safe_load((K8S / "base" / "admission.yaml").read_text())
    assert {w["sideEffects"] for w in configuration["webhooks"]} == {"NoneOnDryRun"}
