"""Churn, faults and load for `SOAK_SECONDS` (an hour), with the books checked every ten seconds.

Run by `make soak`. Clients come and go, strangers speak other protocols, and the observer is
stopped for a while now and then. Rule: whatever happened, the books agree to the call at every
look, no place is held, and neither memory nor file descriptors grow.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.processes import accepts
from tests.scenarios.books import Books
from tests.scenarios.stack import Sidecar, servers, sidecar
from tests.scenarios.test_bad_input import STRANGERS, converse
from tests.scenarios.traffic import Mix, run

LOOK_SECONDS = 10.0
MIX = Mix(unary=100, streams=5, cancelled=5, failing=5)
GROWTH = 0.1  # of the median of the first quarter, in the last one
SLACK = 8 << 20
FEW = 8  # file descriptors that may come and go


@dataclass(frozen=True, slots=True)
class Look:
    """What was found at one moment."""

    wire_bytes: int
    observer_bytes: int
    wire_files: int
    observer_files: int


def _look(it: Sidecar) -> Look:
    wire, observer = it.pids["wire"], it.pids["observer"]
    return Look(_resident(wire), _resident(observer), _files(wire), _files(observer))


def _resident(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(x.split()[1]) << 10 for x in text.splitlines() if x.startswith("VmRSS"))


def _files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _round(it: Sidecar, number: int) -> None:
    """Some calls on new connections, with one thing going wrong meanwhile."""
    stopped = it.pids["observer"] if number % 5 == 4 else 0
    if stopped:
        os.kill(stopped, signal.SIGSTOP)
    try:
        converse(it.address, list(STRANGERS.values())[number % 3])
        asyncio.run(run(it.address, MIX))
    finally:
        if stopped:
            os.kill(stopped, signal.SIGCONT)


def flat(name: str, values: list[int], slack: int) -> list[str]:
    """What is wrong with a quantity that must not grow: nothing, or a sentence."""
    quarter = max(1, len(values) // 4)
    early, late = statistics.median(values[:quarter]), statistics.median(values[-quarter:])
    grew = f"{name} grew from {early:,.0f} to {late:,.0f}"
    return [grew] if late > early * (1 + GROWTH) + slack else []


def soak(seconds: float) -> list[str]:
    """Run for so long; what was wrong."""
    looks: list[Look] = []
    rounds = 0
    with servers(("bytes",), ("bytes",)) as (production, shadow), sidecar(production, shadow) as it:
        it.process.wait_until(accepts(it.http))
        ready = {"pids": it.pids, "observers": list(it.observers)}
        books = Books.opened(it.process, production, ready)
        assert books is not None
        ends = time.monotonic() + seconds
        due = 0.0
        while time.monotonic() < ends:
            _round(it, rounds)
            rounds += 1
            if time.monotonic() >= due:
                books.agree()
                it.process.wait_until(lambda: it.status()["wire"]["connections_open"] == 0)
                looks.append(_look(it))
                due = time.monotonic() + LOOK_SECONDS
                print(f"{rounds} rounds, {rounds * MIX.calls:,} calls: {looks[-1]}", flush=True)
    seen = looks[1:] or looks  # the first is before all is warm
    wrong = flat("the wire's memory", [look.wire_bytes for look in seen], SLACK)
    wrong += flat("the observer's memory", [look.observer_bytes for look in seen], SLACK)
    wrong += flat("the wire's files", [look.wire_files for look in seen], FEW)
    wrong += flat("the observer's files", [look.observer_files for look in seen], FEW)
    print(f"{len(looks)} looks, {rounds * MIX.calls:,} calls: {'; '.join(wrong) or 'flat'}")
    return wrong


if __name__ == "__main__":
    sys.exit(bool(soak(float(os.environ.get("SOAK_SECONDS", "3600")))))
