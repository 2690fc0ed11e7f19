"""Predictions to be judged, and the ways a verdict is asked for. Counterpart: `stack`."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any

import grpc

from sidecar.pb.inference import open_inference_pb2 as oip
from tests.processes import is_ready
from tests.scenarios.stack import Sidecar

INFER = "/inference.GRPCInferenceService/ModelInfer"
CLASSES = 25
AT_ONCE = 8
PASS, FAIL, WATCHING, INCONCLUSIVE, UNASKED = 0, 1, 3, 4, 5
MODEL = ("model",)

# Channels of one process share connections unless they are told not to.
OWN = (("grpc.use_local_subchannel_pool", 1),)

SAME = {"name": "same", "kind": "disagreement", "margin": 0.06, "required": True}
UP = {"name": "up", "kind": "shadow_error_rate", "margin": 0.06, "required": True}


async def predict(address: str, numbers: Iterable[int], padding: int = 0) -> None:
    """Ask for predictions over a connection of its own."""
    async with grpc.aio.insecure_channel(address, OWN) as channel:
        await ask(channel, numbers, padding)


async def ask(channel: grpc.aio.Channel, numbers: Iterable[int], padding: int = 0) -> None:
    """Ask for predictions, each of a class and so many bytes that do not matter."""
    stub: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = channel.unary_unary(
        INFER,
        request_serializer=oip.ModelInferRequest.SerializeToString,
        response_deserializer=oip.ModelInferResponse.FromString,
    )
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        request = oip.ModelInferRequest(model_name="m", id=f"call-{number}")
        tensor = request.inputs.add(name="class", datatype="INT64", shape=[1])
        tensor.contents.int64_contents.append(number % CLASSES)
        request.parameters["padding"].string_param = "." * padding
        async with room:
            await stub(request, timeout=30)

    await asyncio.gather(*map(one, numbers))


def infer(it: Sidecar, calls: int) -> None:
    """So many predictions, each class in turn, and their pairs settled."""
    asyncio.run(predict(it.address, range(calls)))
    it.settled(calls)


def judge(*criteria: dict[str, Any], **given: Any) -> dict[str, str]:
    """The settings that a test declares; enough calls decide, not time."""
    section = {
        "criteria": criteria,
        "independent_calls": True,
        "min_duration_seconds": 0,
        "min_calls": 300,
        **given,
    }
    return {f"judge.{name}": json.dumps(value) for name, value in section.items()}


def shadow(address: str, **given: Any) -> dict[str, Any]:
    return {"name": "candidate", "address": address, **given}


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sidecar", *words], capture_output=True, text=True, timeout=60
    )


def admin(it: Sidecar) -> str:
    address: str = it.process.wait_ready()["admin"]
    return address


def report(*words: str) -> tuple[int, dict[str, Any]]:
    """`shadow-sidecar report --json`: its exit code and what it says."""
    done = command("report", "--json", *words)
    assert done.stderr == ""
    told: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, told


def states(told: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: row["state"] for row in told["verdict"]["criteria"]}


def status_of(it: Sidecar, path: str, method: str = "GET") -> int:
    request = urllib.request.Request(f"http://{it.http}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def answers(it: Sidecar) -> bool:
    """Whether an observer is there that sees calls."""
    try:
        return is_ready(it.http)()
    except OSError:
        return False
