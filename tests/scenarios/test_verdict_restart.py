"""Verdicts when the observer dies and another takes its place."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import grpc

from tests.processes import http_json
from tests.scenarios.stack import Sidecar, servers, sidecar
from tests.scenarios.verdicts import (
    INCONCLUSIVE,
    MODEL,
    OWN,
    SAME,
    UP,
    WATCHING,
    admin,
    answers,
    ask,
    infer,
    judge,
    predict,
    report,
    states,
    status_of,
)


def test_an_observer_that_died_is_found_where_it_was_and_begins_anew() -> None:
    with servers(MODEL, MODEL) as (production, candidate):
        with sidecar(production, candidate, settings=judge(SAME)) as it:
            infer(it, 20)
            _, before = report(admin(it))
            os.kill(it.pids["observer"], signal.SIGKILL)
            it.process.wait_until(lambda: answers(it), 30)
            code, after = report(admin(it))
    (dead,), (alive,) = before["sidecars"], after["sidecars"]
    assert dead["instance"] != alive["instance"]
    assert (dead["calls"], alive["calls"], code) == (20, 0, WATCHING)


def test_a_client_whose_connection_outlives_the_observer_forbids_a_pass() -> None:
    async def live(it: Sidecar) -> tuple[int, dict[str, Any]]:
        async with grpc.aio.insecure_channel(it.address, OWN) as kept:
            await ask(kept, range(10))
            os.kill(it.pids["observer"], signal.SIGKILL)
            it.process.wait_until(lambda: answers(it), 30)
            await ask(kept, range(100, 200))
            it.process.wait_until(lambda: http_json(it.http, "/verdict")["blind"] == 100, 30)
            await predict(it.address, range(1000, 1400))
            it.settled(400)
            return report(admin(it))

    with servers(MODEL, MODEL) as (production, candidate):
        with sidecar(production, candidate, settings=judge(SAME, UP)) as it:
            code, told = asyncio.run(live(it))
            promoted = status_of(it, "/gate", "POST")
    assert (code, promoted) == (INCONCLUSIVE, 409)
    assert (told["verdict"]["calls"], told["verdict"]["coverage"]) == (400, 0.8)
    assert states(told) == {"same": "PASS", "up": "PASS"}
    assert told["verdict"]["reason"].startswith("400 of 500 calls were compared (100 came on ")
