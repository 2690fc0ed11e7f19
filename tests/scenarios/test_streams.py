"""Streamed answers: in other pieces they are the same, and how fast they come is judged."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc

from tests.processes import http_json
from tests.scenarios.stack import servers, sidecar
from tests.scenarios.verdicts import OWN, judge, shadow

STREAM = "/test.Bytes/ServerStream"
TEXT = b"another chunking of the same text is not a disagreement"
JOIN = {"compare.rules": '[{"rule": "exact", "join": true}]', "observer.priority": "normal"}
SAME = {"name": "same", "kind": "disagreement", "margin": 0.05, "required": True}
FIRST = {"name": "first", "kind": "time_to_first_message", "margin": 0.5, "quantile": 0.5}
BETWEEN = {"name": "between", "kind": "time_between_messages", "margin": 0.5, "quantile": 0.5}
CALLS, AT_ONCE = 150, 4


async def ask(address: str, calls: int) -> None:
    """So many streams, each to its end."""
    room = asyncio.Semaphore(AT_ONCE)
    async with grpc.aio.insecure_channel(address, OWN) as channel:
        stub: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(STREAM)

        async def one() -> None:
            async with room:
                got = [piece async for piece in stub(TEXT, timeout=60)]
            assert b"".join(got) == TEXT

        await asyncio.gather(*(one() for _ in range(calls)))


def pieces(size: int, gap_ms: int) -> tuple[str, ...]:
    return ("bytes", "--piece", str(size), "--gap-ms", str(gap_ms))


def test_a_stream_in_other_pieces_agrees_and_a_slower_one_fails_for_what_is_slower() -> None:
    quick, slow = pieces(14, 8), pieces(10, 40)
    with servers(quick, slow, quick) as (production, candidate, control):
        shadows = [shadow(candidate, queue={"max_wait_seconds": 60.0})]
        shadows.append({**shadow(control), "name": "control", "role": "control"})
        settings: dict[str, Any] = judge(SAME, FIRST, {**BETWEEN, "required": True}, min_calls=100)
        settings |= {"judge.repeat_seconds": 0, "judge.coverage_floor": 0.0} | JOIN
        settings["shadows"] = json.dumps(shadows)
        with sidecar(production, settings=settings) as it:
            asyncio.run(ask(it.address, CALLS))
            status = it.settled(CALLS)
            told = http_json(it.http, "/report.json?shadow=candidate")["verdict"]
    counts = status["shadows"]["candidate"]
    assert counts["outcomes"]["equal"] == counts["compared"] > CALLS // 2
    rows = {row["name"]: row for row in told["criteria"]}
    assert rows["same"]["estimate"] == 0
    assert rows["between"]["state"] == "FAIL", rows["between"]
    assert rows["between"]["estimate"] > 1
    assert rows["first"]["state"] != "FAIL", rows["first"]
    assert told["reason"].startswith("between: p50 time between messages is +")
    assert counts["latency_ms"]["wait"]["p50"] > 0
