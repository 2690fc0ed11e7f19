"""What the API server's list of pods says about who takes part."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sidecar.collect import cluster
from sidecar.collect.cluster import Cluster, ClusterError, pods_of
from sidecar.collect.collector import Collector
from sidecar.collect.ledger import Ledger
from sidecar.collect.poll import Poller
from sidecar.kube import options
from sidecar.log import Log
from sidecar.serve.client import Reach
from tests.house import House, told
from tests.serve.test_grpc import serving

ASKED = {"shadow-sidecar/inject": "true"}


def row(name: str, ip: str, phase: str = "Running", **metadata: Any) -> dict[str, Any]:
    metadata = {"name": name, "labels": ASKED, **metadata}
    return {"metadata": metadata, "status": {"podIP": ip, "phase": phase}}


ITEMS = [
    row("good", "10.0.0.1", annotations={"shadow-sidecar/status": "{}"}),
    row("refused", "10.0.0.2", annotations={"shadow-sidecar/not-injected": "no port"}),
    row("missed", "10.0.0.3"),
    row("starting", "", phase="Pending"),
    row("over", "10.0.0.4", phase="Succeeded"),
    row("leaving", "10.0.0.5", deletionTimestamp="2026-11-28T00:00:00Z"),
    row("never asked", "10.0.0.6", labels={"app": "x"}),
    {"metadata": {"name": "bare"}},
]


def test_pods_that_asked_and_have_none_are_told_apart_from_those_that_have() -> None:
    found = pods_of(ITEMS)
    assert found.injected == {"10.0.0.1": "good"}
    assert found.not_injected == {"refused": "no port", "missed": ""}
    assert found.bare == {"10.0.0.2", "10.0.0.3"}


def test_the_names_are_those_that_are_injected() -> None:
    assert (cluster.ASKED, cluster.INJECTED, cluster.REASON) == (
        options.INJECT_LABEL,
        options.STATUS_ANNOTATION,
        options.REASON_ANNOTATION,
    )


@asynccontextmanager
async def api(*pages: Any, status: int = 200) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """An API server's answers, in the shape that it gives lists in pages."""
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        number = int(request.query.get("continue", "0"))
        more = {"continue": str(number + 1)} if number + 1 < len(pages) else {}
        return web.json_response({"items": pages[number], "metadata": more}, status=status)

    application = web.Application()
    application.router.add_get("/api/v1/namespaces/{namespace}/pods", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}", asked
    finally:
        await runner.cleanup()


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "namespace").write_text("models")
    return tmp_path


def test_all_pages_are_read_with_the_accounts_token(account: Path) -> None:
    async def scenario() -> None:
        async with api(ITEMS[:2], ITEMS[2:]) as (url, asked):
            found = await Cluster("app=x", url=url, account=account).pods()
        assert found == pods_of(ITEMS)
        assert asked[0].headers["Authorization"] == "Bearer secret"
        assert asked[0].match_info["namespace"] == "models"
        assert asked[0].query["labelSelector"] == "app=x"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("page", "status", "says"),
    [([], 403, "may not list pods"), ([], 500, "500"), (7, 200, "Error"), ([7], 200, "Error")],
)
def test_an_api_server_that_refuses_or_talks_nonsense_is_said(
    page: Any, status: int, says: str, account: Path
) -> None:
    async def scenario() -> None:
        async with api(page, status=status) as (url, _):
            with pytest.raises(ClusterError, match=says):
                await Cluster("app=x", url=url, account=account).pods()

    asyncio.run(scenario())


def test_a_pod_without_its_accounts_token_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="automountServiceAccountToken"):
        Cluster("app=x", url="http://127.0.0.1:1", account=tmp_path)


def test_a_service_whose_pods_are_not_all_injected_does_not_pass(account: Path) -> None:
    house = House({})
    for _ in range(200):
        house.call(told(1.0))

    async def scenario() -> None:
        async with serving(house) as address, api(ITEMS[1:]) as (url, _):
            poller = Poller([address], Reach(timeout=5), Cluster("a=b", url=url, account=account))
            with closing(Ledger(account / "l")) as ledger:
                it = Collector([address], poller, ledger, Log("test", io.StringIO()))
                await it.turn()
                report = it.reports["candidate"]
                assert report.state == "INCONCLUSIVE"
                assert set(report.missing) == {"refused", "missed"}
                await poller.close()

    asyncio.run(scenario())
    unreachable = Cluster("a=b", url="http://127.0.0.1:1", account=account)

    async def without() -> None:
        async with serving(house) as address:
            poller = Poller([address], Reach(timeout=5), unreachable)
            heard = await poller.round()
            await poller.close()
            assert list(heard.missing) == ["API server"]

    asyncio.run(without())
