"""The command, over real sidecars that come and go, and over real TLS."""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import signal
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from sidecar.collect.collector import Collector
from sidecar.collect.ledger import Ledger, LedgerError
from sidecar.collect.poll import MAX_BYTES, Poller
from sidecar.log import Log
from sidecar.report.as_json import from_json
from sidecar.report.report import VerdictChange
from sidecar.serve.client import Reach
from tests.collect.command import Collecting, collecting, enough
from tests.house import House, told
from tests.processes import free_port, http_json, http_text, python
from tests.report.reader import Page
from tests.scenarios.stack import Sidecar, servers, sidecar
from tests.scenarios.verdicts import MODEL, SAME, command, judge, predict, shadow
from tests.serve.test_grpc import serving
from tests.tee.certificates import Authority


def gate(it: Collecting, query: str, method: str = "GET") -> int:
    url = f"http://{it.address}/gate?{query}"
    try:
        asked = urllib.request.Request(url, method=method)
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_pods_and_the_collector_come_and_go_and_the_sum_stays(tmp_path: Path) -> None:
    settings = judge(SAME, min_calls=700)
    with servers(MODEL, MODEL, MODEL) as (*productions, shadow), ExitStack() as stack:
        pods: list[Sidecar] = [
            stack.enter_context(sidecar(own, shadow, settings=settings)) for own in productions
        ]
        names = [f"http://{pod.http}" for pod in pods]
        seen = [enough(pod, 250) for pod in pods]
        with collecting(tmp_path / "l", names) as it:
            it.process.wait_until(lambda: it.verdict()["calls"] == sum(seen))
            assert it.verdict()["state"] == "WATCHING"
            assert gate(it, "wait=true") == 503
            pods[1].process.stop()
            it.process.wait_until(lambda: len(it.verdict()["missing"]) == 1)
            now = it.verdict()
            assert now["calls"] == sum(seen), "what the dead one told is still counted"
            assert list(now["missing"]) == [names[1]]
            seen[0] = enough(pods[0], 500)
            it.process.wait_until(lambda: it.verdict()["calls"] == sum(seen))
            assert it.verdict()["state"] == "INCONCLUSIVE", "one does not answer"
            assert gate(it, "hook=confirm-promotion", "POST") == 409
            it.process.send(signal.SIGKILL)
            it.process.wait(30)
        admin = free_port()
        listening = ("--admin", f"127.0.0.1:{admin}")
        with collecting(tmp_path / "l", names[:1], *listening) as it:
            it.process.wait_until(lambda: it.verdict()["state"] == "PASS")
            now = it.verdict()
            assert (now["calls"], now["service"]["gone"]) == (sum(seen), 1)
            assert gate(it, "wait=true") == 200
            assert gate(it, "hook=confirm-promotion", "POST") == 200
            page = http_text(it.address, "/")
            assert "PASS" in page
            assert "Gone, and still counted" in page
            metrics = http_text(it.address, "/metrics")
            assert 'shadow_sidecar_service_verdict{shadow="shadow",state="PASS"} 1.0' in metrics
            assert 'shadow_sidecar_service_sidecars{how="gone",shadow="shadow"} 1.0' in metrics
            history = [row["state"] for row in http_json(it.address, "/history")]
            assert history[:2] == ["PASS", "INCONCLUSIVE"]
            the_commands_say_the_same(names[:1], it.address)
            asyncio.run(the_admin_api_says_the_same(f"127.0.0.1:{admin}", now))
            it.process.send(signal.SIGTERM)
            assert it.process.wait(30) == 0


def test_several_candidates_stand_beside_each_other_on_the_collectors_page(tmp_path: Path) -> None:
    with servers(MODEL, MODEL, MODEL) as (production, *candidates):
        shadows = [shadow(a, name=n) for a, n in zip(candidates, ("first", "second"), strict=True)]
        settings = judge(SAME, min_calls=50) | {"shadows": json.dumps(shadows)}
        with (
            sidecar(production, settings=settings) as pod,
            collecting(tmp_path / "l", [f"http://{pod.http}"]) as it,
        ):
            asyncio.run(predict(pod.address, range(60)))
            pod.settled(60)

            def heard() -> bool:
                told = http_json(it.address, "/reports.json")
                return len(told) == 2 and all(r["verdict"]["calls"] for r in told.values())

            it.process.wait_until(heard)
            page = Page(http_text(it.address, "/?shadow=second"))
    told = page.section("candidates")
    assert told.startswith("Candidates")
    assert "first" in told
    assert "second" in told
    assert "second" in page.title


def the_commands_say_the_same(services: list[str], address: str) -> None:
    """With the collector the gone pod counts; without it the other alone is too little."""
    asking = ["--service", services[0]]
    done = command("gate", *asking, "--collector", address)
    assert (done.returncode, done.stdout.split()[0]) == (0, "PASS"), done.stderr
    done = command("gate", *asking, "--collector", "none")
    assert (done.returncode, done.stdout.split()[0]) == (3, "WATCHING"), done.stderr
    done = command("report", "--service", "http://other:9095", "--collector", address)
    assert done.returncode == 2
    assert "not http://other:9095" in done.stderr
    done = command("gate", *asking, "--collector", "127.0.0.1:1")
    assert done.returncode == 5
    assert "127.0.0.1:1 could not be asked" in done.stderr


async def the_admin_api_says_the_same(address: str, said: dict[str, Any]) -> None:
    from google.protobuf.json_format import MessageToDict

    from sidecar.pb.shadow.v1 import admin_pb2 as pb
    from sidecar.serve.client import call, pull

    answer = await call(address, "GetReport", pb.GetReportRequest(), Reach())
    found = from_json(MessageToDict(answer.report))
    assert (found.state, found.verdict.calls) == (said["state"], said["calls"])
    assert found.service is not None
    assert found.service.gone == 1
    counts = await pull([address], Reach())
    assert sum(p.snapshot.calls for p in counts.answers[address]) == said["calls"]


def test_a_collector_that_is_killed_forgets_nothing_of_pods_that_are_gone(tmp_path: Path) -> None:
    """Whatever round it was in, the sum is the same again."""
    settings = judge(SAME, min_calls=10_000)
    draw = random.Random(7)
    with servers(MODEL, MODEL) as (production, shadow):
        with sidecar(production, shadow, settings=settings) as gone:
            seen = enough(gone, 200)
            with collecting(tmp_path / "l", [f"http://{gone.http}"]) as it:
                it.process.wait_until(lambda: it.verdict()["calls"] == seen)
                it.process.send(signal.SIGKILL)
                it.process.wait(30)
        with sidecar(production, shadow, settings=settings) as stays:
            seen += enough(stays, 100)
            for _ in range(2):
                with collecting(tmp_path / "l", [f"http://{stays.http}"]) as it:
                    it.process.wait_until(lambda: it.verdict()["calls"] == seen)
                    for _ in range(draw.randrange(5)):
                        assert it.verdict()["service"]["gone"] == 1
                    it.process.send(signal.SIGKILL)
                    it.process.wait(30)


@asynccontextmanager
async def collector(
    tmp_path: Path, services: list[str], reach: Reach | None = None
) -> AsyncIterator[Collector]:
    log = Log("test", io.StringIO())
    poller = Poller(services, reach or Reach(timeout=5))
    with closing(Ledger(tmp_path / "l")) as ledger:
        try:
            yield Collector(services, poller, ledger, log)
        finally:
            await poller.close()


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
                where = tmp_path / str(calls)
                async with collector(where, [f"127.0.0.1:{port}"], reach) as it:
                    await it.turn()
                    assert sum(r.verdict.calls for r in it.reports.values()) == calls
                    assert it.service.lives.last is not None
                    assert any(str(port) in a for a in it.service.lives.last.missing) is bool(
                        missing
                    )
                    os.utime(my_key)  # renewed: connections are made anew, and the sum stays
                    await it.turn()
                    assert sum(r.verdict.calls for r in it.reports.values()) == calls

    asyncio.run(scenario())


Speak = Callable[[asyncio.StreamWriter], Any]
HEAD = b"HTTP/1.1 200 OK\r\n"


async def nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"Content-Length: 9\r\n\r\n\xff\xff\xff not p")


async def without_end(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    for _ in range(2 * MAX_BYTES >> 20):
        writer.write(chunk)
        await writer.drain()


async def drop_by_drop(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"Content-Length: 1000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def elsewhere(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n")


async def nothing(writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("speak", [nonsense, without_end, drop_by_drop, elsewhere, nothing])
def test_a_pod_that_lies_or_hangs_is_named_and_takes_nothing_from_the_others(
    tmp_path: Path, speak: Speak
) -> None:
    async def scenario() -> None:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await speak(writer)
                await writer.drain()
            except OSError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        house = House({})
        for _ in range(200):
            house.call(told(1.0))
        async with server, serving(house) as address:
            names = ["nobody.invalid:9096", f"http://127.0.0.1:{port}", address]
            async with collector(tmp_path, names, Reach(timeout=1)) as it:
                await it.turn()
                report = it.reports["candidate"]
                assert set(report.missing) == set(names[:2])
                assert (report.state, report.verdict.calls) == ("INCONCLUSIVE", 200)
                assert it.rounds == {"good": 0, "short": 1, "failed": 0}

    asyncio.run(scenario())


def fill(ledger: Ledger, text: str) -> None:
    while True:
        ledger.write([], 1.0, changes=[VerdictChange(1.0, "x", "", "WATCHING", text, 0)])


def test_a_disk_that_takes_nothing_is_said_forbids_pass_and_is_made_good(tmp_path: Path) -> None:
    """A volume that is full: SQLite's own refusal to grow stands for it."""
    house = House({})
    for _ in range(200):
        house.call(told(1.0))

    async def scenario() -> None:
        async with serving(house) as address, collector(tmp_path, [address]) as it:
            base = it._ledger._base.sql
            (pages,) = base.execute("PRAGMA page_count").fetchone()
            base.execute(f"PRAGMA max_page_count = {pages}")
            for text in ("." * 300, ""):
                with pytest.raises(LedgerError, match="full"):
                    fill(it._ledger, text)
            await it.turn()
            await it.turn()
            report = it.reports["candidate"]
            assert report.state == "INCONCLUSIVE"
            assert "full" in report.verdict.reason
            assert "not kept on disk" in report.notices[-1]
            assert it._ledger.parts() == ([], [])
            base.execute("PRAGMA max_page_count = 1000000")
            await it.turn()
            assert it.reports["candidate"].state == "PASS"
            assert it.reports["candidate"].notices == ()
            assert len(it._ledger.parts()[0]) == 1
            assert it._ledger.history()[0].state == "PASS"

    asyncio.run(scenario())


def test_a_verdict_that_nobody_asked_about_for_long_is_no_pass(tmp_path: Path) -> None:
    house = House({})
    for _ in range(200):
        house.call(told(1.0))
    now = [1e9]

    async def scenario() -> None:
        async with serving(house) as address:
            poller = Poller([address], Reach(timeout=5), clock=lambda: now[0])
            with closing(Ledger(tmp_path / "l")) as ledger:
                log = Log("test", io.StringIO())
                it = Collector([address], poller, ledger, log, clock=lambda: now[0])
                await it.turn()
                assert it.now()["candidate"].state == "PASS"
                now[0] += 120
                old = it.now()["candidate"]
                assert (old.state, old.verdict.reason) == (
                    "INCONCLUSIVE",
                    "nobody was asked for 120 s",
                )
                await poller.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--service", "a:b"], "port"),
        (["--service", "127.0.0.1:1", "--data", "/proc/nowhere/l"], "/proc/nowhere"),
        (["--service", "127.0.0.1:1", "--listen", "9097"], "an address is"),
        (["--service", "127.0.0.1:1", "--pods", "app=x"], "KUBERNETES_SERVICE_HOST"),
        (["--service", "127.0.0.1:1", "--admin", "0.0.0.0:9096"], "tls"),
        (["--service", "127.0.0.1:1", "--trace-url", "http://x"], "trace_id"),
    ],
)
def test_what_is_wrong_is_said_before_anybody_is_asked(
    flags: list[str], says: str, tmp_path: Path
) -> None:
    data = [] if "--data" in flags else ["--data", str(tmp_path / "l")]
    with python("sidecar", "collect", *flags, *data) as process:
        assert process.wait(60) == 2
        assert says in process.tail(3)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=str(tmp_path)):
        Ledger(tmp_path)
