from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from sidecar.call import CallKey, SkipReason, Started
from sidecar.experiment.skipped import Step
from sidecar.fields import ConfigError
from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.serve.http import Pages, serve
from sidecar.serve.polled import Polled
from sidecar.settings.settings import AdminSettings
from sidecar.settings.sources import load
from tests.house import MS, House, told


def polled(house: House) -> Polled:
    return Polled(house.experiment, lambda _: (b"", "text/plain"), house.clock)


def visit(house: House, look: Callable[[Callable[..., Awaitable[Any]]], Awaitable[None]]) -> None:
    """Serve the pages; `look` gets a function that asks for a path and returns status and body."""

    async def scenario() -> None:
        pages = Pages(house.experiment, polled(house), house.clock)
        runner, address = await serve(pages, "127.0.0.1:0")
        async with aiohttp.ClientSession(f"http://{address}") as session:

            async def ask(path: str, method: str = "GET") -> tuple[int, bytes]:
                async with session.request(method, path) as answer:
                    return answer.status, await answer.read()

            try:
                await look(ask)
            finally:
                await runner.cleanup()

    asyncio.run(scenario())


def test_the_front_page_is_the_report_with_its_policy() -> None:
    house = House({})
    for _ in range(200):
        house.call(told(1.0))

    async def look(ask: Callable[..., Awaitable[Any]]) -> None:
        status, body = await ask("/")
        assert status == 200
        assert b"PASS" in body
        assert b"candidate" in body

    visit(house, look)


def test_the_first_call_does_not_end_the_page_though_nothing_bounds_its_latency_yet() -> None:
    latency = {"name": "p95", "kind": "latency_ratio", "quantile": 0.95, "margin": 0.2}
    house = House({"criteria": [latency]})
    house.call(told(1.0))

    async def look(ask: Callable[..., Awaitable[Any]]) -> None:
        assert (await ask("/"))[0] == 200

    visit(house, look)


def test_the_page_is_compressed_for_those_who_take_that() -> None:
    async def scenario() -> None:
        house = House({})
        pages = Pages(house.experiment, polled(house), lambda: 0)
        runner, address = await serve(pages, "127.0.0.1:0")
        bodies = []
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            for taken in ("gzip", "identity"):
                headers = {"Accept-Encoding": taken}
                async with session.get(f"http://{address}/", headers=headers) as answer:
                    bodies.append(await answer.read())
                    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        await runner.cleanup()
        packed, plain = bodies
        assert len(packed) < len(plain) / 2
        assert gzip.decompress(packed).startswith(b"<!doctype html>")
        assert plain.startswith(b"<!doctype html>")

    asyncio.run(scenario())


def test_a_page_that_was_just_made_is_given_again() -> None:
    house = House({})
    house.tick_ns = MS

    async def look(ask: Callable[..., Awaitable[Any]]) -> None:
        for path in ("/", "/report.json", "/counts"):
            (_, first), (_, again) = await ask(path), await ask(path)
            assert first == again  # though each says when it was made
            house.now_ns += 2_000 * MS
            assert (await ask(path))[1] != first

    visit(house, look)


def test_counts_are_given_as_bytes_too() -> None:
    house = House({})
    house.call(told(1.0))

    async def look(ask: Callable[..., Awaitable[Any]]) -> None:
        status, body = await ask("/counts")
        counts = pb.GetCountsResponse.FromString(body)
        assert (status, [s.snapshot.calls for s in counts.shadows]) == (200, [1])

    visit(house, look)


def test_what_cannot_be_asked_is_said() -> None:
    async def look(ask: Callable[..., Awaitable[Any]]) -> None:
        assert await ask("/verdict?shadow=x") == (404, b"shadow: 'x': candidate\n")
        assert await ask("/gate?hook=x", "POST") == (
            400,
            b"hook: 'x': one of confirm-rollout, pre-rollout, rollout, confirm-traffic-increase, "
            b"confirm-promotion, rollback, post-rollout, event\n",
        )
        assert await ask("/gate?wait=yes") == (400, b"wait: 'yes': true or false\n")
        for limit, shown in (("0", "0"), ("1001", "1001"), ("x", "x"), ("1" * 5000, "1" * 20)):
            assert await ask(f"/pairs?limit={limit}") == (
                400,
                f"limit: '{shown}': a number from 1 to 1000\n".encode(),
            )
        assert (await ask("/ended")) == (200, b'{"ended": false, "shadows": {"candidate": false}}')

    visit(House({}), look)


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/a"]
)
def test_loopback_needs_no_tls(listen: str) -> None:
    assert AdminSettings(listen=listen).tls is None


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "pod:1"])
def test_any_other_address_does(listen: str) -> None:
    with pytest.raises(ConfigError, match="without tls"):
        load(environ={}, flags={"admin": {"listen": listen}})


def test_why_calls_were_skipped_is_told_newest_first() -> None:
    house = House({})
    skips = house.experiment.state().skips
    traced = (("traceparent", f"00-{7:032x}-{9:016x}-01"),)
    for number, reason in enumerate((SkipReason.METHOD, SkipReason.SHED, SkipReason.METHOD)):
        started = Started(CallKey(1, number), f"/p.S/M{number}", "", traced, "", 0)
        skips.add(started, "", reason, Step.ADMITTED, 10**9)

    async def look(ask: Callable[..., Awaitable[Any]]) -> None:
        status, body = await ask("/skipped")
        rows = json.loads(body)
        assert (status, [row["number"] for row in rows]) == (200, [3, 2, 1])
        assert rows[0] == {
            "number": 3,
            "time": 1.000000005,
            "reason": "method",
            "step": "admitted",
            "receiver": "",
            "method": "/p.S/M2",
            "trace_id": f"{7:032x}",
            "correlation_id": "",
        }
        assert [r["number"] for r in json.loads((await ask("/skipped?reason=shed"))[1])] == [2]
        assert [r["number"] for r in json.loads((await ask("/skipped?after=2"))[1])] == [3]
        assert len(json.loads((await ask("/skipped?limit=1"))[1])) == 1
        for wrong in ("reason=bad", "limit=0", "limit=x", "limit=9999999", "after=-1"):
            assert (await ask(f"/skipped?{wrong}"))[0] == 400

    visit(house, look)


def test_a_strangers_name_is_told_nothing() -> None:
    async def scenario() -> list[int]:
        house = House({})
        pages = Pages(house.experiment, polled(house), lambda: 0)
        runner, address = await serve(pages, "127.0.0.1:0", ("page.example",))
        statuses = []
        async with aiohttp.ClientSession(f"http://{address}") as session:
            for host in ("evil.example", "evil.example:80", "localhost:1", "page.example", address):
                for path in ("/status", "/nothing"):
                    async with session.get(path, headers={"Host": host}) as answer:
                        statuses.append(answer.status)
                        assert (answer.status == 421) == (b"http.hosts" in await answer.read())
        await runner.cleanup()
        return statuses

    assert asyncio.run(scenario()) == [421] * 4 + [200, 404] * 3
