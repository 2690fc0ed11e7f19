"""What capturing every call costs production and the observer, and how fast calls are asked again.

Production's path and the observer are measured with capturing and without, in shuffled turns. Rows
are also written with nobody at work, and the files' size is set against the bytes of the messages.
Replay `max` and h2load ask the same grpcio server, one after the other; replay reads, compares and
judges besides.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import paths
from benchmarks.account import Quiet, cpu_ns, settle
from benchmarks.ends import echoes
from benchmarks.load import METHOD, Shape, closed_loop, prediction
from benchmarks.measure import Figure
from sidecar.call import Observation
from sidecar.capture.columns import Columns
from sidecar.capture.open_file import OpenFile
from sidecar.capture.settings import CaptureSettings
from sidecar.capture.target import Target
from sidecar.capture.writer import BATCH_BYTES, BATCH_ROWS
from sidecar.pb.inference import open_inference_pb2 as v2
from tests.arithmetic import answer as answer_of
from tests.capture.rows import START_NS, row
from tests.processes import python

PAYLOADS = (200, 16 << 10)
WITH, WITHOUT = "all captured", "nothing captured"
BATCH = 1024
PACE = 50  # calls a second on each connection: what the observer has time for


@dataclass(slots=True)
class Cost:
    """Microseconds of CPU per call; rates in calls a second."""

    wire: Figure = field(default_factory=Figure)  # at full speed
    rate: Figure = field(default_factory=Figure)  # likewise
    observer: Figure = field(default_factory=Figure)  # per compared call, at a pace


@dataclass(frozen=True, slots=True)
class Captured:
    """What was measured; sizes in bytes."""

    costs: Mapping[int, Mapping[str, Cost]]  # by payload, with capturing and without
    offline: Mapping[int, Figure]  # rows for each CPU second
    size: Mapping[int, float]  # of a file, over that of the messages in it
    replay: Figure  # calls a second
    load: Figure  # h2load's, of the same server
    growth: float  # of a replay's peak memory, from a fifth of the rows to all
    rows: int  # that the last was measured over


def run(
    step: Callable[[str], None], env: Mapping[str, str], quiet: Quiet, *, quick: bool
) -> Captured:
    """Measure; `env` says where spans go."""
    repeats, seconds = (1, 1.0) if quick else (4, 1.5)
    costs: dict[int, dict[str, Cost]] = defaultdict(lambda: defaultdict(Cost))
    order = random.Random(5)
    with echoes() as (production, shadow):
        for repeat in range(repeats):
            for payload in PAYLOADS:
                for name in order.sample([WITH, WITHOUT], 2):
                    step(f"{repeat + 1}/{repeats} {name}, {payload} B")
                    _cost(
                        costs[payload][name], name, payload, production, shadow, seconds, env, quiet
                    )
    step("offline")
    offline, sizes = {}, {}
    for payload in PAYLOADS:
        offline[payload], sizes[payload] = _offline(payload, repeats, 4000 if quick else 20_000)
    replay, load = Figure(), Figure()
    calls = 2000 if quick else 20_000
    with tempfile.TemporaryDirectory(prefix="bench-replay-") as directory:
        folder = Path(directory) / "calls"
        request, answer = _asked()
        _write(folder, calls, [request], answer=answer)
        with model_server() as server:
            for repeat in range(repeats):
                step(f"{repeat + 1}/{repeats} replay and h2load of the same server")
                quiet()
                load.values.append(_asking(server, request, seconds * 2))
                quiet()
                found, _ = _replay(folder, server, calls, Path(directory))
                replay.values.append(found["calls"] / found["seconds"])
        few, many = (20_000, 100_000) if not quick else (2000, 10_000)
        step(f"memory of a replay of {many:,} calls")
        folder = Path(directory) / "more"
        _write(folder, many, [prediction(200)])
        with echoes(1) as (server,):
            peaks = [_replay(folder, server, count, Path(directory))[1] for count in (few, many)]
    return Captured(costs, offline, sizes, replay, load, peaks[1] / peaks[0] - 1, many)


def _cost(
    cost: Cost,
    name: str,
    payload: int,
    production: str,
    shadow: str,
    seconds: float,
    env: Mapping[str, str],
    quiet: Quiet,
) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-capture-") as folder:
        settings: dict[str, object] = {"observer.priority": "normal", "judge.repeat_seconds": 0}
        if name == WITH:
            chosen = {"dir": folder, "what": "all", "payloads": "true", "file_seconds": 1}
            settings |= {f"capture.{key}": value for key, value in chosen.items()}
        with paths.sidecar(1.0, env=env, settings=settings).open(production, shadow) as it:
            closed_loop(it.address, Shape(8, 1, payload), 0.5)
            settle(it.behind)
            quiet()
            done, behind = it.shadowed(), cpu_ns(it.behind)
            closed_loop(it.address, Shape(8, 1, payload), seconds * 2, rate=PACE)
            settle(it.behind)
            done, behind = it.shadowed() - done, cpu_ns(it.behind) - behind
            cost.observer.values.append(behind / 1e3 / max(1, done))
            quiet()
            path = cpu_ns(it.in_path)
            result = closed_loop(it.address, Shape(8, 1, payload), seconds)
            cost.wire.values.append((cpu_ns(it.in_path) - path) / 1e3 / max(1, result.calls))
            cost.rate.values.append(result.rate)


def _offline(payload: int, repeats: int, rows: int) -> tuple[Figure, float]:
    """Rows for each CPU second of writing alone, and the file's size over the messages'."""
    found, ratio = Figure(), 0.0
    rows = rows if payload < 1024 else rows // 4
    messages = [prediction(payload - 64) + os.urandom(64) for _ in range(BATCH)]
    for _ in range(repeats):
        with tempfile.TemporaryDirectory(prefix="bench-offline-") as folder:
            found.values.append(rows / _write(Path(folder), rows, messages))
            size = sum(file.stat().st_size for file in Path(folder).iterdir())
            ratio = size / (3 * rows * len(messages[0]))
    return found, ratio


@contextmanager
def model_server() -> Iterator[str]:
    """A model's server by grpcio, which reads what it is asked and answers with tensors."""
    with python("tests.servers", "--kind", "model") as process:
        address: str = process.wait_ready()["address"]
        yield address


def _asked() -> tuple[bytes, bytes]:
    """A request, and what that server answers."""
    request = v2.ModelInferRequest(model_name="m")
    request.inputs.add(name="amount", datatype="INT64", shape=[1]).contents.int64_contents.append(7)
    return request.SerializeToString(), answer_of(request, bias=0, version="1").SerializeToString()


def _asking(server: str, request: bytes, seconds: float) -> float:
    """Calls a second that h2load gets out of it, with as many under way as a replay has."""
    return closed_loop(server, Shape(1, 32, len(request)), seconds, message=request).rate


def _write(folder: Path, rows: int, messages: list[bytes], *, answer: bytes | None = None) -> float:
    """Captured calls, a thousand a second; both sides answered with `answer`, or their request.

    Returns:
        Seconds of CPU that it took, from the pairs on: what a pair is made from is there anyway.
    """
    settings = CaptureSettings(dir=str(folder), payloads=True)
    target = Target(settings.dir)
    target.prepare()
    size = min(BATCH_ROWS, BATCH_BYTES // (2048 + 3 * len(messages[0])))  # as `Capture` does
    file: OpenFile | None = None
    took = 0
    for at in range(0, rows, size):
        batch = []
        for number in range(at, min(at + size, rows)):
            message = (messages[number % len(messages)],)
            said = Observation(0, "", message if answer is None else (answer,), 0, 3_000_000)
            sides: dict[str, Any] = {"production": said, "answer": said}
            sides |= {"inputs": {}, "outputs": {}}
            made = row(number, request=message, method=METHOD, **sides)
            batch.append(made._replace(started_ns=START_NS + number * 1_000_000))
        began = time.process_time_ns()
        if file is None:
            file = OpenFile(target, "shadow-bench.parquet", Columns(settings, batch), 0.0)
        file.write(file.columns.batch(batch))
        took += time.process_time_ns() - began
    assert file is not None
    began = time.process_time_ns()
    file.finish()
    return (took + time.process_time_ns() - began) / 1e9


def _replay(folder: Path, server: str, limit: int, place: Path) -> tuple[dict[str, float], int]:
    """A replay's result, and its peak memory in bytes."""
    out = place / "result.json"
    command = [sys.executable, "-m", "sidecar", "replay", str(folder), "--shadow", server]
    command += ["--limit", str(limit), "--out", str(out), "--set", "judge.repeat_seconds=0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    result: dict[str, float] = json.loads(out.read_text())
    return result, used.ru_maxrss << 10
