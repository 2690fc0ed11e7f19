"""Verdicts when the observer dies and another takes its place."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.processes import http_json
from tests.scenarios.stack import Sidecar, servers, sidecar
from tests.scenarios.verdicts import (
    FAIL,
    INCONCLUSIVE,
    MODEL,
    OWN,
    SAME,
    UP,
    WATCHING,
    admin,
    answers,
    ask,
    command,
    infer,
    judge,
    predict,
    report,
    states,
    status_of,
)

KILLS = 20
WRONG = ("model", "--bias", "1000", "--bias-only", "3")  # in one call of 25


@pytest.fixture
def state() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="shadow-state-"))
    yield folder / "state"
    shutil.rmtree(folder)


def killed(it: Sidecar) -> None:
    """End the observer as nothing can be held against, and wait for the next."""
    observer = _observer(it)
    os.kill(observer, signal.SIGKILL)
    it.process.wait_until(lambda: answers(it) and _observer(it) != observer, 60)


def _observer(it: Sidecar) -> int:
    children = Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children").read_text()
    for pid in map(int, children.split()):
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"sidecar.wire" not in words:
                return pid
    return 0


def written(it: Sidecar, calls: int) -> bool:
    """Whether so many calls are on disk."""
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", "experiment", "list", "--json", "--state", _folder(it)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode == 0 and sum(r["calls"] for r in json.loads(done.stdout)) >= calls


def _folder(it: Sidecar) -> str:
    return str(Path(it.status()["store"]["file"]).parent)


def test_an_observer_that_died_is_found_where_it_was_and_goes_on() -> None:
    with servers(MODEL, MODEL) as (production, candidate):
        with sidecar(production, candidate, settings=judge(SAME)) as it:
            infer(it, 20)
            it.process.wait_until(lambda: written(it, 20), 30)
            _, before = report(admin(it))
            killed(it)
            code, after = report(admin(it))
    (dead,), (alive,) = before["sidecars"], after["sidecars"]
    assert dead["instance"] == alive["instance"]
    assert (dead["calls"], alive["calls"], code) == (20, 20, WATCHING)
    assert any(n.startswith("the observer was away once, ") for n in after["notices"])


def test_a_client_whose_connection_outlives_the_observer_forbids_a_pass() -> None:
    async def live(it: Sidecar) -> tuple[int, dict[str, Any]]:
        async with grpc.aio.insecure_channel(it.address, OWN) as kept_open:
            await ask(kept_open, range(10))
            it.process.wait_until(lambda: written(it, 10), 30)
            killed(it)
            await ask(kept_open, range(100, 200))
            it.process.wait_until(lambda: http_json(it.http, "/verdict")["blind"] == 100, 30)
            await predict(it.address, range(1000, 1400))
            it.settled(400)
            return report(admin(it))

    with servers(MODEL, MODEL) as (production, candidate):
        with sidecar(production, candidate, settings=judge(SAME, UP)) as it:
            code, told = asyncio.run(live(it))
            promoted = status_of(it, "/gate", "POST")
    assert (code, promoted) == (INCONCLUSIVE, 409)
    assert told["verdict"]["calls"] == 410
    assert told["verdict"]["coverage"] == pytest.approx(410 / 510)
    # What nobody saw may have been worst.
    assert states(told) == {"same": "WATCHING", "up": "WATCHING"}
    assert told["verdict"]["reason"].startswith("410 of 510 calls were compared (100 were not ")


def test_a_reset_begins_anew_in_a_running_sidecar_and_spends_alpha(state: Path) -> None:
    settings = judge({**SAME, "margin": 0.002}, min_calls=100) | {"state.dir": str(state)}
    with servers(MODEL, WRONG) as (production, candidate):
        with sidecar(production, candidate, settings=settings) as it:
            infer(it, 500)
            it.process.wait_until(lambda: report(admin(it))[0] == FAIL, 30)
            it.process.wait_until(lambda: written(it, 1), 30)
            done = command("experiment", "reset", "--yes", "--state", str(state))
            assert done.returncode == 0, done.stderr
            assert "the next one is a further attempt" in done.stdout
            it.process.wait_until(lambda: http_json(it.http, "/verdict")["calls"] == 0, 30)
            _, told = report(admin(it))
            shown = command("experiment", "show", "--json", "--state", str(state))
    assert (told["verdict"]["state"], told["attempt"]) == ("WATCHING", 2)
    assert json.loads(shown.stdout)["state"] in {"WATCHING", "FAIL"}


def test_what_cannot_be_kept_there_is_refused_with_what_to_do(state: Path) -> None:
    state.mkdir(mode=0o755)
    state.chmod(0o755)
    words = ("run", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--state", str(state))
    done = command(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"chmod 700 {state}" in done.stderr
    state.chmod(0o700)
    (state / "evidence-0.db").write_bytes(b"")
    with sqlite3.connect(state / "evidence-0.db") as sql:
        sql.execute("PRAGMA application_id=0x53484457")
        sql.execute("PRAGMA user_version=99")
    sql.close()
    done = command(*words)
    assert done.returncode == 2
    assert "another version of shadow-sidecar (schema 99; this one reads 1)" in done.stderr
    assert "move the file away to begin anew" in done.stderr


def test_a_damaged_file_is_set_aside_told_everywhere_and_stops_nothing(state: Path) -> None:
    state.mkdir(mode=0o700)
    (state / "evidence-0.db").write_bytes(b"no database at all" * 999)
    settings = judge(SAME) | {"state.dir": str(state)}
    with servers(MODEL, MODEL) as (production, candidate):
        with sidecar(production, candidate, settings=settings) as it:
            infer(it, 20)
            it.process.wait_until(lambda: written(it, 20), 30)
            _, told = report(admin(it))
            status = it.status()["store"]
    assert "damaged-" in status["damaged"]
    assert any("kept evidence was damaged" in notice for notice in told["notices"])
    assert len(list(state.glob("evidence-0.db.damaged-*"))) == 1
