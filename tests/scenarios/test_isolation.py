"""Whatever goes wrong behind the tap, no call of production fails and no answer is altered.

What it costs in time is measured by `benchmarks.isolation`, over the same troubles.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest

from tests.processes import server
from tests.scenarios.stack import Sidecar, servers, sidecar
from tests.scenarios.traffic import Answer, Mix, run

MIX = Mix(unary=300, streams=10, cancelled=5, failing=10)
SMALLEST_TAP: Mapping[str, Any] = {"wire.tap_bytes": 64 << 10}

Shadow: TypeAlias = Callable[[ExitStack], str]


@dataclass(frozen=True, slots=True)
class Harm:
    """What production's callers had of a trouble."""

    failed: int
    altered: int


def harm(expected: list[Answer], got: list[Answer]) -> Harm:
    """Count calls that ended otherwise than without the sidecar, and answers that differ."""
    pairs = list(zip(expected, got, strict=True))
    return Harm(
        failed=sum(a.status != b.status for a, b in pairs),
        altered=sum(a != b for a, b in pairs if a.status == b.status),
    )


def running(*flags: str) -> Shadow:
    """A shadow with these flags of `tests.servers`."""

    def start(stack: ExitStack) -> str:
        process = stack.enter_context(server("bytes", *flags))
        return str(process.wait_ready()["address"])

    return start


def absent(stack: ExitStack) -> str:
    """An address where nobody is any more."""
    del stack
    with server("bytes") as gone:
        return str(gone.wait_ready()["address"])


@pytest.mark.parametrize(
    "shadow",
    [
        pytest.param(running("--delay-ms", "300"), id="slow"),
        pytest.param(running("--hang"), id="hangs"),
        pytest.param(absent, id="absent"),
        pytest.param(running("--flood", str(1 << 20)), id="floods"),
    ],
)
def test_no_call_fails_or_is_altered_when_the_shadow_is(shadow: Shadow) -> None:
    with servers(("bytes",)) as (production,), ExitStack() as stack:
        expected = asyncio.run(run(production, MIX))
        with sidecar(production, shadow(stack)) as it:
            assert harm(expected, asyncio.run(run(it.address, MIX))) == Harm(0, 0)
            assert it.settled(MIX.calls)["calls"]["seen"] == MIX.calls


def test_no_call_fails_or_is_altered_when_the_observer_is_saturated() -> None:
    tight = {"pairs.calls": 2, "pairs.bytes": 64 << 10, **SMALLEST_TAP}
    with servers(("bytes",), ("bytes", "--delay-ms", "50")) as (production, shadow):
        expected = asyncio.run(run(production, MIX))
        with sidecar(production, shadow, settings=tight) as it:
            assert harm(expected, asyncio.run(run(it.address, MIX))) == Harm(0, 0)
            it.process.wait_until(lambda: it.status()["calls"]["in_flight"] == 0)
            calls = it.status()["calls"]
    # It really had more than it could do: of what it saw, calls found no place.
    assert calls["skipped"]["pairs_full"] > 0


def test_no_call_fails_or_is_altered_when_the_observer_is_stopped_and_the_tap_is_full() -> None:
    with servers(("bytes",), ("bytes",)) as (production, shadow):
        expected = asyncio.run(run(production, MIX))
        with sidecar(production, shadow, settings=SMALLEST_TAP) as it:
            os.kill(it.pids["observer"], signal.SIGSTOP)
            harms = [harm(expected, asyncio.run(run(it.address, MIX))) for _ in range(3)]
            os.kill(it.pids["observer"], signal.SIGCONT)
            assert harms == [Harm(0, 0)] * 3
            it.process.wait_until(lambda: it.status()["wire"].get("tap_gap_frames_total", 0) > 0)


def test_no_call_fails_or_is_altered_when_the_observer_is_killed() -> None:
    with servers(("bytes",), ("bytes",)) as (production, shadow):
        expected = asyncio.run(run(production, MIX))
        with sidecar(production, shadow) as it:
            for _ in range(3):
                os.kill(an_observer(it), signal.SIGKILL)
                assert harm(expected, asyncio.run(run(it.address, MIX))) == Harm(0, 0)


def observers(it: Sidecar) -> list[int]:
    """The observers that run now."""
    children = f"/proc/{it.process.pid}/task/{it.process.pid}/children"
    with open(children, encoding="ascii") as file:
        return [int(pid) for pid in file.read().split() if int(pid) != it.pids["wire"]]


def an_observer(it: Sidecar) -> int:
    """One of them."""
    it.process.wait_until(lambda: bool(observers(it)))
    return observers(it)[0]
