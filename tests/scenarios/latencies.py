"""Steady traffic, and what a sidecar makes of its latencies. Counterpart: `stack`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import grpc

from sidecar.pb.inference import open_inference_pb2 as oip
from tests.processes import http_json
from tests.scenarios.stack import Sidecar
from tests.scenarios.verdicts import CLASSES, INFER, OWN, judge, shadow

AT_ONCE = 64
CRITERIA: tuple[dict[str, Any], ...] = (
    {"name": "p50", "kind": "latency_ratio", "quantile": 0.5, "margin": 0.1},
    {"name": "p95", "kind": "latency_ratio", "quantile": 0.95, "margin": 0.2},
    {"name": "p99", "kind": "latency_ratio", "quantile": 0.99, "margin": 0.2},
    {"name": "per-call", "kind": "latency_per_call", "margin": 0.1},
    {"name": "mean", "kind": "latency_difference", "margin": 0.002, "range_seconds": 0.1},
)


def latencies(
    candidate: str,
    control: str | None,
    required: str = "p50",
    *,
    deadline_seconds: float = 5.0,
    **given: Any,
) -> dict[str, Any]:
    """Settings that judge latency in blocks of a second, against a control where there is one."""
    criteria = [{**c, "required": c["name"] == required} for c in CRITERIA]
    shadows = [shadow(candidate, deadline_seconds=deadline_seconds)]
    if control is not None:
        shadows.append(shadow(control, deadline_seconds=deadline_seconds))
        shadows[1] |= {"name": "control", "role": "control"}
    section = judge(
        *criteria,
        independent_calls=False,
        block_seconds=[1],
        min_blocks=0,
        latency={"trust": "direct" if control is None else "control"},
        **given,
    )
    return {**section, "shadows": json.dumps(shadows)}


async def steady(address: str, seconds: float, per_second: float) -> int:
    """Ask at a steady pace, whatever becomes of the calls before; how many were asked."""
    loop = asyncio.get_running_loop()
    room = asyncio.Semaphore(AT_ONCE)
    running: set[asyncio.Task[None]] = set()
    async with grpc.aio.insecure_channel(address, OWN) as channel:
        stub: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = channel.unary_unary(
            INFER,
            request_serializer=oip.ModelInferRequest.SerializeToString,
            response_deserializer=oip.ModelInferResponse.FromString,
        )

        async def one(number: int) -> None:
            request = oip.ModelInferRequest(model_name="m", id=f"call-{number}")
            tensor = request.inputs.add(name="class", datatype="INT64", shape=[1])
            tensor.contents.int64_contents.append(number % CLASSES)
            try:
                await stub(request, timeout=30)
            finally:
                room.release()

        began, calls = loop.time(), 0
        while (late := loop.time() - began) < seconds:
            due = calls / per_second
            if due > late:
                await asyncio.sleep(due - late)
            await room.acquire()
            task = asyncio.create_task(one(calls))
            running.add(task)
            task.add_done_callback(running.discard)
            calls += 1
        await asyncio.gather(*running)
    return calls


@dataclass(frozen=True, slots=True)
class Told:
    """What one run said."""

    verdict: dict[str, Any]
    p50_ms: dict[str, float | None]  # shown: of production, the shadow, and the control
    compared: int

    @property
    def states(self) -> dict[str, str]:
        """By criterion."""
        return {row["name"]: row["state"] for row in self.verdict["criteria"]}

    @property
    def estimates(self) -> dict[str, float | None]:
        """By criterion."""
        return {row["name"]: row["estimate"] for row in self.verdict["criteria"]}


def run(it: Sidecar, seconds: float, per_second: float) -> Told:
    """Steady traffic for so long, and what is said afterwards."""
    calls = asyncio.run(steady(it.address, seconds, per_second))
    status = it.settled(calls)
    counts = status["shadows"]["candidate"]
    shown = counts["latency_ms"]
    p50 = {side: shown[side]["p50"] for side in ("production", "shadow")}
    if "control" in status["shadows"]:
        p50["control"] = status["shadows"]["control"]["latency_ms"]["shadow"]["p50"]
    verdict = http_json(it.http, "/report.json?shadow=candidate")["verdict"]
    return Told(verdict, p50, counts["compared"])
