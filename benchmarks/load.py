"""Load: h2load for a closed loop, k6 for a fixed arrival rate.

h2load is the cheapest client there is, so that two cores can hold client, proxy and server; k6
keeps its rate whatever the server does, so that its latencies hide no queue (no coordinated
omission).
"""

from __future__ import annotations

import json
import re
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sidecar.pb.inference import open_inference_pb2 as v2

METHOD = "/inference.GRPCInferenceService/ModelInfer"
SCRIPT = Path(__file__).with_name("rate.js")


@dataclass(frozen=True, slots=True)
class Shape:
    """A closed loop: so many connections, so many streams on each, so many bytes a message."""

    connections: int
    streams: int
    payload: int

    def __str__(self) -> str:
        return f"{self.connections} x {self.streams}, {size(self.payload)}"


@dataclass(frozen=True, slots=True)
class Closed:
    """What a closed loop measured."""

    calls: int
    failed: int
    seconds: float

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.seconds


@dataclass(frozen=True, slots=True)
class Open:
    """What a fixed rate measured; latencies in milliseconds."""

    calls: int
    failed: int
    dropped: int  # arrivals that no virtual user was free for
    p50: float
    p99: float
    p999: float


class LoadError(Exception):
    """The load generator did not do its work; the message carries what it said."""


def size(payload: int) -> str:
    """Bytes as people write them."""
    return f"{payload >> 10} KiB" if payload >= 1024 else f"{payload} B"


def closed_loop(
    address: str, shape: Shape, seconds: float, *, rate: int = 0, message: bytes | None = None
) -> Closed:
    """Run h2load for `seconds`, at most `rate` calls a second on each connection if not 0.

    What is sent is `message`, or else a prediction of the shape's size.

    Raises:
        LoadError: when it could not run.
    """
    with tempfile.NamedTemporaryFile(prefix="body-") as body:
        message = prediction(shape.payload) if message is None else message
        body.write(b"\0" + struct.pack("!I", len(message)) + message)
        body.flush()
        command = ["h2load", "-D", f"{round(seconds * 1000)}ms"]
        command += ["-c", str(shape.connections), "-m", str(shape.streams), "-t", "1"]
        command += ["-d", body.name, "-H", "content-type: application/grpc", "-H", "te: trailers"]
        command += ["--rps", str(rate)] if rate else []
        # Windows of 1 MiB, as gRPC's clients come to have, so that 600 KiB fit.
        command += ["-w", "20", "-W", "20", f"http://{address}{METHOD}"]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=seconds + 60
        )
    counts = re.search(
        r"requests: .*?(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", done.stdout
    )
    if done.returncode or counts is None:
        raise LoadError(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return Closed(calls=int(counts[2]), failed=int(counts[3]) + int(counts[4]), seconds=seconds)


def open_loop(
    address: str, rate: int, seconds: float, payload: int, *, k6: Path, users: int = 32
) -> Open:
    """Run k6's constant-arrival-rate executor over gRPC.

    Raises:
        LoadError: when it could not run.
    """
    with tempfile.TemporaryDirectory(prefix="k6-") as directory:
        summary = Path(directory) / "summary.json"
        environment = {
            "ADDRESS": address,
            "RATE": str(rate),
            "SECONDS": str(seconds),
            "USERS": str(users),
            "PAYLOAD": str(payload),
            "SUMMARY": str(summary),
            "HOME": directory,
            "PATH": "/usr/bin:/bin",
            "GOMAXPROCS": "1",
        }
        command = [str(k6), "run", "--quiet", "--no-usage-report", str(SCRIPT)]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            timeout=seconds + 60,
        )
        if done.returncode or not summary.exists():
            raise LoadError(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
        figures = json.loads(summary.read_text())
    return Open(**figures)


def prediction(size: int) -> bytes:
    """An answer of the Open Inference Protocol with a tensor of `size` bytes.

    It is sent as the request: what an echoing server says to it can then be read and compared.
    """
    numbers = size // 4
    answer = v2.ModelInferResponse(model_name="model", model_version="1")
    answer.outputs.add(name="output", datatype="FP32", shape=[numbers])
    answer.raw_output_contents.append(struct.pack("<f", 0.5) * numbers)
    message: bytes = answer.SerializeToString()
    return message
