"""Every kind of criterion through real processes, judged in blocks of time, as it is by default.

One run of traffic for each candidate, all criteria at once; only the blocks are short. A new kind
goes into `HARMED` or `UNHARMED`, or into `ELSEWHERE`, which says why.
"""

from __future__ import annotations

import asyncio
import csv
from pathlib import Path
from typing import Any, get_args

import grpc

from sidecar.judge.criteria.base import Criterion
from sidecar.judge.criteria.kinds import AnyCriterion
from tests.scenarios.stack import servers, sidecar
from tests.scenarios.verdicts import (
    CLASSES,
    MODEL,
    OWN,
    PASS,
    WATCHING,
    admin,
    ask,
    command,
    judge,
)
from tests.scenarios.verdicts import report as told_by

KINDS: tuple[type[Criterion], ...] = get_args(get_args(AnyCriterion)[0])
ROUND = 1600  # calls, and their labels
ROUNDS = 12
AT_ONCE, EVERY = 8, 0.02  # calls, evenly: a block weighs as many calls as it has
ENOUGH_TO_PASS, ENOUGH_TO_FAIL = 600, 200  # blocks; a late label reaches 300 back
MIDDLE = 24
SECTION = {
    "independent_calls": False,
    "block_seconds": [0.02],
    "unseen_seconds": 0.02,
    "swing": 1,
    "min_calls": 300,
    "coverage_floor": 0,  # a busy machine sheds calls, by a draw
}
ABOVE = {"outputs": "class", "decision": {"threshold": MIDDLE + 0.5}}
SAMPLE = {**ABOVE, "labels": "sample"}


def _kind(kind: str, margin: float, **given: Any) -> dict[str, Any]:
    named = {"name": kind.replace("_", "-"), "kind": kind, "margin": margin}
    return {**named, "required": True, **given}


HARMED = [
    _kind("disagreement", 0.2, outputs="class"),
    _kind("decision_flips", 0.1, **ABOVE),
    _kind("out_of_range", 0.2, outputs="class", range=[0, 500]),
    _kind("bias", 0.2, outputs="class"),
    _kind("accuracy", 0.1, **ABOVE),
    _kind("precision", 0.1, **SAMPLE),
    _kind("recall", 0.2, **SAMPLE, positive=0),
    _kind("f1", 0.1, **SAMPLE, positive=0),
    _kind("mae", 10, outputs="class", labels="sample", largest_error=50),
    _kind("rmse", 0.2, outputs="class", labels="sample", largest_error=50),
]
UNHARMED = [
    _kind("shadow_error_rate", 0.2),
    _kind("precision_at_k", 0.2, outputs="class", k=1, labels="sample"),
    _kind("recall_at_k", 0.2, outputs="class", k=1, labels="sample"),
    _kind("ndcg_at_k", 0.2, outputs="class", k=1, labels="sample"),
]

NO_PROBABILITIES = "the test's server gives none"
IN_TEST_LATENCY = "how long things take is asked in test_latency and test_streams"
ELSEWHERE = {
    "brier": NO_PROBABILITIES,
    "log_loss": NO_PROBABILITIES,
    **{
        kind.model_fields["kind"].default: IN_TEST_LATENCY
        for kind in KINDS
        if kind.measures_latency
    },
}


def _judged(
    candidate: tuple[str, ...], labels: Path, enough: int
) -> tuple[int, dict[str, Any], int]:
    with servers(MODEL, candidate) as (production, shadow):
        settings = judge(*HARMED, *UNHARMED, **SECTION)
        with sidecar(production, shadow, settings=settings) as it:
            before, told = told_by(admin(it))
            sent = 0
            while sent < ROUNDS * ROUND and _blocks(told) < enough:
                asyncio.run(_evenly(it.address, range(sent, sent + ROUND)))
                truth = _labels(labels, range(sent, sent + ROUND))
                sent += ROUND
                it.settled(sent)
                done = command("labels", "import", str(truth), admin(it))
                assert done.returncode == 0, done.stderr
                code, told = told_by(admin(it))
    return code, told, before


async def _evenly(address: str, numbers: range) -> None:
    async with grpc.aio.insecure_channel(address, OWN) as channel:
        for first in numbers[::AT_ONCE]:
            await asyncio.gather(ask(channel, range(first, first + AT_ONCE)), asyncio.sleep(EVERY))


def _blocks(told: dict[str, Any]) -> int:
    return told["verdict"]["criteria"][0]["blocks"] or 0


def _labels(path: Path, calls: range) -> Path:
    """The truth about each call: whether its class lies above the middle, as production says."""
    with path.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["correlation_id", "value"])
        rows.writerows((f"call-{n}", int(_class(n % CLASSES) > MIDDLE)) for n in calls)
    return path


def _class(number: int) -> int:
    """What the test's model answers."""
    return 2 * number + 1


def test_every_kind_is_here_or_it_is_said_where() -> None:
    here = [row["kind"] for row in (*HARMED, *UNHARMED)]
    assert sorted([*here, *ELSEWHERE]) == sorted(k.model_fields["kind"].default for k in KINDS)


def test_every_kind_passes_a_candidate_that_is_production_and_nothing_is_never_a_pass(
    tmp_path: Path,
) -> None:
    code, told, before = _judged(MODEL, tmp_path / "labels.csv", ENOUGH_TO_PASS)
    assert before == WATCHING
    others = {r["name"]: r["reason"] for r in told["verdict"]["criteria"] if r["state"] != "PASS"}
    assert others == {}
    assert code == PASS, told["verdict"]["reason"]
    assert all("blocks of" in row["basis"] for row in told["verdict"]["criteria"])


def test_every_kind_fails_a_candidate_that_is_three_times_over_its_margin(tmp_path: Path) -> None:
    worse = ("model", "--bias", "1000", "--bias-share", "0.6")
    _, told, _ = _judged(worse, tmp_path / "labels.csv", ENOUGH_TO_FAIL)
    # In blocks a criterion FAILs by its part of alpha; its evidence alone is what is asked here.
    found = {row["name"]: row for row in told["verdict"]["criteria"]}
    over = {row["name"] for row in HARMED}
    assert {n: found[n]["reason"] for n in over if found[n]["log_fail"] < 4} == {}
    assert told["verdict"]["state"] == "FAIL"
    assert all(found[row["name"]]["state"] != "FAIL" for row in UNHARMED)
