"""The laws of the design, each by name, over real sockets and real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import accepts, drained, free_port, http_json, is_ready, python
from tests.scenarios.stack import Sidecar, accounted_for, servers, sidecar
from tests.scenarios.traffic import Mix, run

MIX = Mix(unary=400, streams=15, cancelled=10, failing=10)
BYTES = ("bytes",)


def _stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _observer(it: Sidecar) -> int:
    """The observer that runs now; `ready` names the first one."""
    children = f"/proc/{it.process.pid}/task/{it.process.pid}/children"
    with open(children, encoding="ascii") as file:
        pids = {int(pid) for pid in file.read().split()} - {it.pids["wire"]}
    return max(pids, default=0)


@pytest.mark.parametrize("blow", [_stop, _kill], ids=["stopped", "killed"])
def test_law_1_production_goes_on_when_the_observer_is(blow: Callable[[int], None]) -> None:
    with servers(BYTES, BYTES) as (production, shadow):
        expected = asyncio.run(run(production, MIX))
        with sidecar(production, shadow) as it:
            assert asyncio.run(run(it.address, MIX)) == expected
            blow(it.pids["observer"])
            assert asyncio.run(run(it.address, MIX)) == expected


def test_law_1_production_goes_on_while_the_observer_is_killed_again_and_again() -> None:
    async def under_fire(it: Sidecar) -> list[object]:
        traffic = asyncio.create_task(run(it.address, Mix(unary=4000)))
        killed: set[int] = set()
        while not traffic.done():
            pid = _observer(it)
            if pid and pid not in killed:
                _kill(pid)
                killed.add(pid)
            await asyncio.wait([traffic], timeout=0.05)
        assert killed
        return list(await traffic)

    with servers(BYTES, BYTES) as (production, shadow):
        expected = asyncio.run(run(production, Mix(unary=4000)))
        with sidecar(production, shadow) as it:
            assert asyncio.run(under_fire(it)) == expected


def test_law_1_a_restarted_observer_sees_new_connections_and_counts_what_it_missed() -> None:
    with servers(BYTES, BYTES) as (production, shadow), sidecar(production, shadow) as it:
        asyncio.run(run(it.address, MIX))
        it.settled(MIX.calls)
        first = it.pids["observer"]
        _kill(first)
        it.process.wait_until(lambda: _observer(it) not in {0, first})
        it.process.wait_until(lambda: _attached(it))
        asyncio.run(run(it.address, MIX))
        # It began anew: what the first one knew is gone, and its counts start at zero.
        calls = it.settled(MIX.calls)["calls"]
        assert calls["seen"] == MIX.calls


def test_law_1_a_shadow_that_floods_delays_and_changes_nothing() -> None:
    with servers(BYTES, ("bytes", "--flood", str(8 << 20))) as (production, shadow):
        expected = asyncio.run(run(production, MIX))
        with sidecar(production, shadow) as it:
            assert asyncio.run(run(it.address, MIX)) == expected
            it.settled(MIX.calls, timeout=120)


def test_law_1_a_shadow_that_floods_gets_no_more_bytes_a_second_than_its_budget() -> None:
    answer, budget = 256 << 10, 512 << 10  # without one it would be twenty MiB a second
    with servers(BYTES, ("bytes", "--flood", str(answer))) as (production, shadow):
        receiver = {
            "address": shadow,
            "answer_bytes_per_second": budget,
            "deadline_seconds": 60,
        }
        settings = {"shadows": json.dumps([receiver]), "observer.priority": "normal"}
        expected = asyncio.run(run(production, MIX))
        with sidecar(production, settings=settings) as it:
            began = time.monotonic()
            while time.monotonic() - began < 4:
                assert asyncio.run(run(it.address, MIX)) == expected
            told = it.status()
            answered = told["shadows"]["shadow"]["compared"] * answer
            assert 0 < answered <= budget * (time.monotonic() - began) + answer
            # What there is no time for is not begun: the share of calls that are copied has fallen.
            assert told["pace"]["share"] < 1


def test_law_2_nothing_of_the_shadow_is_in_any_answer() -> None:
    with servers(BYTES, ("bytes", "--name", "the-shadow", "--salt", "SALT")) as (
        production,
        shadow,
    ):
        with sidecar(production, shadow) as it:
            answers = asyncio.run(run(it.address, MIX))
            assert it.settled(MIX.calls)["shadows"]["shadow"]["outcomes"]["value"] > 0
    assert "theshadow" not in repr(answers)
    assert "SALT" not in repr(answers)


def test_law_3_every_call_is_accounted_for_also_while_calls_are_in_flight() -> None:
    async def watch(it: Sidecar) -> int:
        traffic = asyncio.create_task(run(it.address, MIX))
        looks = 0
        while not traffic.done():
            accounted_for(await asyncio.to_thread(it.status))
            looks += 1
        await traffic
        return looks

    with servers(BYTES, ("bytes", "--delay-ms", "20")) as (production, shadow):
        with sidecar(production, shadow) as it:
            assert asyncio.run(watch(it)) > 1
            it.settled(MIX.calls)


def test_law_4_memory_held_stays_within_its_bound_and_what_did_not_fit_is_counted() -> None:
    bound = 256 << 10
    settings = {
        "pairs.bytes": bound,
        "shadows": '[{"name": "shadow", "address": "%s", "concurrency": 2}]',
    }
    with servers(BYTES, ("bytes", "--delay-ms", "50")) as (production, shadow):
        settings["shadows"] = str(settings["shadows"]) % shadow
        with sidecar(production, settings=settings) as it:
            asyncio.run(run(it.address, MIX))
            status = it.settled(MIX.calls)
    assert status["held_bytes"] == 0
    assert status["calls"]["skipped"]["pairs_full"] > 0


def _attached(it: Sidecar) -> bool:
    try:
        return bool(http_json(it.http, "/status")["attached"])
    except OSError:
        return False


def test_an_observer_outlives_its_wire_and_sees_the_next_one() -> None:
    """As in a pod, where the two are containers of their own."""
    directory = Path(tempfile.mkdtemp(prefix="shadow-tap-"))
    tap = str(directory / "tap.sock")
    with servers(BYTES, ("bytes", "--delay-ms", "100")) as (production, shadow):
        flags = ["--tap", tap, "--shadow", shadow, "--admin", "127.0.0.1:0"]
        flags += ["--http", f"127.0.0.1:{free_port()}"]
        route = ["--tap", tap, "--route", f"127.0.0.1:{free_port()}={production}"]
        with python("sidecar", "observe", *flags) as observer:
            http = flags[-1]
            observer.wait_until(accepts(http))
            for life in (1, 2, 3):
                with python("sidecar", "wire", *route) as wire:
                    observer.wait_until(is_ready(http))
                    # Numbered from 1 again, while calls of the last life still wait.
                    address = route[-1].partition("=")[0]
                    asyncio.run(run(address, Mix(unary=40)))
                    observer.wait_until(drained(http, seen=40 * life))
                    os.kill(wire.pid, signal.SIGKILL)
                observer.wait_until(lambda: not is_ready(http)())
            status = http_json(http, "/status")
    accounted_for(status)
    assert status["calls"]["compared"] == 120
