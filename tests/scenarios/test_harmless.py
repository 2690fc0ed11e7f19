"""The sidecar proves its own harmlessness, live; and its harm, where it does any."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc

from tests.scenarios.stack import Sidecar, accounted_for, servers, sidecar

SETTINGS = {
    "production.rest": 0.5,  # every other second, so that a pair takes two
    "production.rest_after_seconds": 0,
    "production.max_added_ms": 4,
    "observer.priority": "normal",  # others are at work on this machine, too
}


@contextmanager
def asked(address: str) -> Iterator[None]:
    """A client that calls production, one call after the other."""
    ended = threading.Event()

    def ask() -> None:
        with grpc.insecure_channel(address) as channel:
            unary: Any = channel.unary_unary("/test.Bytes/Unary")
            while not ended.is_set():
                unary(b"question")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def added(it: Sidecar) -> dict[str, Any]:
    found: dict[str, Any] = it.status()["production_added_latency"]
    return found


def test_a_shadow_that_slows_production_is_found_out_and_paused_and_one_that_does_not_goes_on(
    tmp_path: Path,
) -> None:
    # One accelerator for both: while the shadow has it, production waits.
    shared = ("bytes", "--delay-ms", "12", "--exclusive", str(tmp_path / "accelerator"))
    apart = ("bytes", "--delay-ms", "12")
    with servers(shared, shared, apart, apart) as (a, its_shadow, b, another), ExitStack() as stack:
        harmed = stack.enter_context(sidecar(a, its_shadow, settings=SETTINGS))
        well = stack.enter_context(sidecar(b, another, settings=SETTINGS))
        with asked(harmed.address), asked(well.address):
            harmed.process.wait_until(lambda: added(harmed)["state"] == "harmed", 120)
            before = harmed.status()["calls"]
            harmed.process.wait_until(
                lambda: harmed.status()["calls"]["skipped"]["paused"] > 20, 30
            )
            pairs = added(harmed)["pairs"]
            well.process.wait_until(lambda: added(well)["pairs"] >= pairs - 2, 60)
        now = harmed.status()
        assert now["paused"]
        assert before["skipped"]["resting"] > 20
        assert before["compared"] > 20
        assert now["production_added_latency"]["low_ms"] is None or (
            now["production_added_latency"]["median_ms"] > 4
        )
        told = well.status()
        assert (added(well)["state"], added(well)["harmed"]) == ("measuring", 0)
        assert not told["paused"]
        assert told["calls"]["skipped"]["resting"] > 20
        assert told["calls"]["compared"] > 20
        for each in (now, told):
            accounted_for(each)
            # Left out by a draw, so it says nothing about what was compared.
            assert each["calls"]["skipped"]["shed"] == 0
