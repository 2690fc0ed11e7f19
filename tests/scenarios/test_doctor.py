"""`shadow-sidecar doctor` over real processes."""

from __future__ import annotations

import json

from tests.scenarios.stack import servers, sidecar
from tests.scenarios.verdicts import MODEL, UNASKED, command, infer

DEAD = "127.0.0.1:1"


def test_what_works_and_what_does_not_is_said_in_order() -> None:
    with servers(MODEL, MODEL) as (production, candidate):
        with sidecar(production, candidate) as it:
            infer(it, 20)
            good = command("doctor", "--http", it.http)
            listed = command("doctor", "--http", f"http://{it.http}/", "--json")
        with sidecar(production, DEAD) as it:
            infer(it, 20)
            bad = command("doctor", "--http", it.http)
            gone_to = it.http
    gone = command("doctor", "--http", gone_to)
    assert good.returncode == 0, good.stdout
    assert "20 calls seen, 20 compared" in good.stdout
    assert {row["finding"] for row in json.loads(listed.stdout)} <= {"ok", "look"}
    assert bad.returncode == 1
    assert f"WRONG  shadow shadow at {DEAD}: UNAVAILABLE" in bad.stdout
    assert (gone.returncode, gone.stdout) == (UNASKED, "")
    assert f"{gone_to} could not be asked" in gone.stderr
