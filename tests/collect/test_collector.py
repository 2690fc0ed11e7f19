"""The command, over real sidecars that come and go, and over real TLS."""

from __future__ import annotations

import asyncio
import io
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar.collect.collector import Collector
from sidecar.collect.ledger import Ledger, LedgerError
from sidecar.log import Log
from sidecar.serve.client import Reach
from tests.house import House, told
from tests.processes import Process, free_port, http_json, http_text, python
from tests.scenarios.stack import Sidecar, servers, sidecar
from tests.scenarios.verdicts import MODEL, SAME, infer, judge
from tests.serve.test_grpc import serving
from tests.tee.certificates import Authority


@contextmanager
def collecting(data: Path, services: list[str], port: int) -> Iterator[Process]:
    flags = [word for name in services for word in ("--service", name)]
    where = ["--data", str(data), "--listen", f"127.0.0.1:{port}", "--every", "0.2"]
    with python("sidecar", "collect", *flags, *where) as process:
        yield process


def said(port: int) -> dict[str, Any]:
    try:
        found: dict[str, Any] = http_json(f"127.0.0.1:{port}", "/verdict")
    except OSError:  # not there yet, or nothing told yet
        return {"state": "", "calls": 0, "missing": {}, "service": {"gone": 0}}
    return found


def gate(port: int, query: str, method: str = "GET") -> int:
    url = f"http://127.0.0.1:{port}/gate?{query}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as it:
            return int(it.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_pods_and_the_collector_come_and_go_and_the_sum_stays(tmp_path: Path) -> None:
    settings = judge(SAME, min_calls=700)
    with servers(MODEL, MODEL) as (production, shadow), ExitStack() as stack:
        pods: list[Sidecar] = [
            stack.enter_context(sidecar(production, shadow, settings=settings)) for _ in range(2)
        ]
        names = [f"http://{pod.http}" for pod in pods]
        for pod in pods:
            infer(pod, 250)
        port = free_port()
        with collecting(tmp_path / "l", names, port) as it:
            it.wait_until(lambda: said(port)["calls"] == 500)
            assert said(port)["state"] == "WATCHING"
            assert gate(port, "wait=true") == 503
            pods[1].process.stop()
            it.wait_until(lambda: len(said(port)["missing"]) == 1)
            now = said(port)
            assert now["calls"] == 500, "what the dead one told is still counted"
            assert list(now["missing"]) == [names[1]]
            infer_more(pods[0])
            it.wait_until(lambda: said(port)["calls"] == 750)
            assert said(port)["state"] == "INCONCLUSIVE", "one does not answer"
            assert gate(port, "hook=confirm-promotion", "POST") == 409
            it.send(signal.SIGKILL)
            it.wait(30)
        with collecting(tmp_path / "l", names[:1], port) as it:
            it.wait_until(lambda: said(port)["state"] == "PASS")
            now = said(port)
            assert (now["calls"], now["service"]["gone"]) == (750, 1)
            assert gate(port, "wait=true") == 200
            assert gate(port, "hook=confirm-promotion", "POST") == 200
            page = http_text(f"127.0.0.1:{port}", "/")
            assert "PASS" in page
            metrics = http_text(f"127.0.0.1:{port}", "/metrics")
            assert 'shadow_sidecar_service_verdict{shadow="shadow",state="PASS"} 1.0' in metrics
            assert 'shadow_sidecar_service_sidecars{how="gone",shadow="shadow"} 1.0' in metrics
            history = [row["state"] for row in http_json(f"127.0.0.1:{port}", "/history")]
            assert history[:2] == ["PASS", "INCONCLUSIVE"]
            it.send(signal.SIGTERM)
            assert it.wait(30) == 0


def infer_more(pod: Sidecar) -> None:
    from tests.scenarios.verdicts import predict

    asyncio.run(predict(pod.address, range(250)))
    pod.settled(500)


def collector(tmp_path: Path, services: list[str], reach: Reach | None = None) -> Collector:
    log = Log("test", io.StringIO())
    reach = reach or Reach(timeout=5)
    return Collector(services, reach, Ledger(tmp_path / "l"), log)


def test_pods_are_asked_over_mutual_tls_and_only_with_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    cert, key = authority.sign("sidecar.test")
    mine, my_key = authority.sign("collector.test")
    house = House({})
    house.call(told(1.0))
    tls = {"cert": str(cert), "key": str(key), "ca": str(authority.ca)}

    async def scenario() -> None:
        async with serving(house, tls=tls) as address:
            port = address.rpartition(":")[2]
            good = Reach(10, authority.ca, mine, my_key, "sidecar.test")
            bare = Reach(10, authority.ca, server_name="sidecar.test")
            for reach, calls, missing in ((good, 1, 0), (bare, 0, 1)):
                it = collector(tmp_path / str(calls), [f"127.0.0.1:{port}"], reach)
                await it.turn()
                assert sum(r["verdict"]["calls"] for r in it.reports.values()) == calls
                assert it.service.last is not None
                assert any(str(port) in a for a in it.service.last.missing) is bool(missing)

    asyncio.run(scenario())


def test_a_name_that_is_not_known_and_a_pod_that_talks_nonsense_are_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\xff\xff\xff not p")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        house = House({})
        house.call(told(1.0))
        async with server, serving(house) as address:
            names = ["nobody.invalid:9096", f"http://127.0.0.1:{port}", address]
            it = collector(tmp_path, names)
            await it.turn()
            assert set(it.reports["candidate"]["missing"]) == set(names[:2])
            assert it.reports["candidate"]["verdict"]["calls"] == 1
            assert it.rounds == {"good": 0, "short": 1, "failed": 0}

    asyncio.run(scenario())


def test_a_disk_that_takes_nothing_is_said_and_made_good(tmp_path: Path) -> None:
    class Full(Ledger):
        full = True

        def _write(self, statement: str, rows: Any) -> None:
            if self.full:
                raise LedgerError("disk full")
            super()._write(statement, rows)

    house = House({})
    for _ in range(200):
        house.call(told(1.0))

    async def scenario() -> None:
        async with serving(house) as address:
            ledger = Full(tmp_path / "l")
            it = Collector([address], Reach(timeout=5), ledger, Log("test", io.StringIO()))
            await it.turn()
            await it.turn()
            assert it.reports["candidate"]["verdict"]["state"] == "PASS"
            assert "not kept on disk: disk full" in it.reports["candidate"]["notices"]
            assert ledger.parts() == []
            Full.full = False
            await it.turn()
            await it.turn()
            assert it.reports["candidate"]["notices"] == []
            assert len(ledger.parts()) == 1
            assert [change.state for change in ledger.history()] == ["PASS"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--service", "a:b"], "port"),
        (["--service", "127.0.0.1:1", "--data", "/proc/nowhere/l"], "/proc/nowhere/l"),
        (["--service", "127.0.0.1:1", "--listen", "9097"], "an address is"),
    ],
)
def test_what_is_wrong_is_said_before_anybody_is_asked(
    flags: list[str], says: str, tmp_path: Path
) -> None:
    data = [] if "--data" in flags else ["--data", str(tmp_path / "l")]
    with python("sidecar", "collect", *flags, *data) as process:
        assert process.wait(60) == 2
        assert says in process.tail(1)
