"""The observer is killed again and again, as in a pod, where the wire is another container."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
import threading
import urllib.error
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Process, free_port, http_json, is_ready, python
from tests.scenarios.stack import servers
from tests.scenarios.verdicts import MODEL, SAME, command, judge, predict

KILLS = 20
WRONG = ("model", "--bias", "1000", "--bias-only", "3")  # in one call of 25


@dataclass(slots=True)
class Pod:
    """A wire, and an observer that comes and goes."""

    folder: Path
    production: str
    shadow: str
    settings: Mapping[str, Any]
    http: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")
    admin: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")
    listen: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")
    observer: Process | None = None

    @property
    def tap(self) -> str:
        return str(self.folder / "tap.sock")

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def wire(self) -> Process:
        return python(
            "sidecar", "wire", "--tap", self.tap, "--route", f"{self.listen}={self.production}"
        )

    def start(self) -> None:
        flags = ["--tap", self.tap, "--shadow", f"candidate={self.shadow}", "--http", self.http]
        flags += ["--admin", self.admin, "--state", str(self.state)]
        flags += [word for k, v in self.settings.items() for word in ("--set", f"{k}={v}")]
        self.observer = python(
            "sidecar", "observe", *flags, env={"OTEL_TRACES_EXPORTER": "none"}
        ).__enter__()
        self.observer.wait_until(self.is_there, 60)

    def is_there(self) -> bool:
        with suppress(OSError):
            return is_ready(self.http)()
        return False

    def kill(self) -> None:
        assert self.observer is not None
        os.kill(self.observer.pid, signal.SIGKILL)
        self.observer.__exit__(None, None, None)

    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = http_json(self.http, "/report.json")
        return told


@contextmanager
def pod(production: str, shadow: str, settings: Mapping[str, Any]) -> Iterator[Pod]:
    folder = Path(tempfile.mkdtemp(prefix="shadow-kills-"))
    made = Pod(folder, production, shadow, settings)
    try:
        with made.wire():
            made.start()
            yield made
            made.kill()
    finally:
        shutil.rmtree(folder)


@contextmanager
def asked_throughout(it: Pod) -> Iterator[list[str]]:
    """The gate's state, as often as there is somebody to ask."""
    found: list[str] = []
    over = threading.Event()

    def go() -> None:
        while not over.wait(0.05):
            with suppress(OSError, urllib.error.URLError, ValueError, KeyError):
                found.append(http_json(it.http, "/verdict")["state"])

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


async def storm(it: Pod, kills: int) -> int:
    """Kill the observer again and again under load; how many calls production answered."""
    over = asyncio.Event()
    done = 0

    async def load() -> None:
        nonlocal done
        while not over.is_set():
            await predict(it.listen, range(done, done + 20))
            done += 20
            await asyncio.sleep(0.1)

    calls = asyncio.create_task(load())
    for i in range(kills):
        await asyncio.sleep(0.1 * (i % 12))
        await asyncio.to_thread(it.kill)
        await asyncio.to_thread(it.start)
    over.set()
    await calls
    return done


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("candidate_is", "decided"), [(MODEL, "PASS"), (WRONG, "FAIL")])
def test_twenty_kills_flip_nothing_and_whatever_was_not_seen_is_told(
    candidate_is: tuple[str, ...], decided: str
) -> None:
    margin = {"PASS": 0.1, "FAIL": 0.002}[decided]
    # Every call that was lost counts at its worst: what is tested is what is kept.
    declared = judge({**SAME, "margin": margin}, min_calls=100, coverage_floor=0.01)
    with servers(MODEL, candidate_is) as (production, candidate):
        with pod(production, candidate, declared) as it, asked_throughout(it) as seen:
            before = 0
            while http_json(it.http, "/verdict")["state"] != decided and before < 4000:
                asyncio.run(predict(it.listen, range(before, before + 200)))
                before += 200
            after = asyncio.run(storm(it, KILLS))
            counts = it.told
            it.observer.wait_until(  # type: ignore[union-attr]  # it was started
                lambda: http_json(it.http, "/status")["calls"]["in_flight"] == 0, 60
            )
            told = counts()
            listed = command("experiment", "list", "--json", "--state", str(it.state))
    verdict = told["verdict"]
    first = seen.index(decided)
    assert set(seen[first:]) == {decided}  # the gate was never told anything else
    assert verdict["state"] == decided
    # By production's own count: what was not compared is told as lost or left out, to the call.
    left_out = sum(told["skipped"].get(r, 0) for r in ("shed", "not_sampled"))
    told_of = verdict["calls"] + sum(verdict["lost"].values()) + left_out
    told_of += verdict["events"]["repeats"]
    assert told_of == pytest.approx(before + after, abs=KILLS)
    # One that was killed before it had written that it is back is part of the absence before.
    (away,) = (n for n in told["notices"] if n.startswith("the observer was away "))
    assert KILLS // 2 < int(away.split()[4]) <= KILLS
    (row,) = json.loads(listed.stdout)
    assert (row["state"], row["attempt"], row["ended"]) == (decided, 1, "")
