"""Where an observer's CPU time goes, by stage: py-spy's samples, and the kernel's books by thread.

A sample belongs to the innermost function of ours on the stack; compiled ones are known by the
names that mypyc gives them in C. grpcio's own threads hold no Python; their share is what the
kernel accounts to them.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.account import cpu_ns_by_thread, settle
from benchmarks.builds import COMPILED, Build
from benchmarks.load import Shape, closed_loop
from benchmarks.machine import tool
from benchmarks.paths import Way

RATE: Mapping[Build, int] = {"python": 250, "compiled": 20}
"""Looks a second. Each one at compiled code stops the process for some milliseconds."""

STAGES: tuple[tuple[str, str], ...] = (
    ("HPACK", r"http2/(headers|heads|huffman|timeout|request_block)\.py"),
    ("tap records", r"(experiment/session|observe/tap)\.py"),
    ("shadow call", r"(tee/(client|channel)|http2/conversation|grpc/)"),
    ("frames and messages", r"(observe|http2)/"),
    ("admission and queue", r"tee/"),
    ("decode", r"compare/(readers/|payload\.py)"),
    ("compare", r"compare/"),
    ("judge", r"judge/"),
    ("spans", r"(telemetry/(?!histogram)|opentelemetry/)"),
    ("counting and pairing", r"(experiment|serve|report)/"),
)
OUTSIDE = "event loop"
_IN_C = re.compile(r"CPy(?:Def|Py|Gen)_(\w+)")


@dataclass(frozen=True, slots=True)
class Profile:
    """Microseconds of CPU for each compared call, by stage; empty if profiling is forbidden."""

    stages: Mapping[str, float]
    calls: int
    why_not: str = ""


def take(way: Way, build: Build, production: str, shadow: str, seconds: float) -> Profile:
    """Profile the observer under a closed loop of 8 connections.

    Args:
        build: which of the two `way` runs.
    """
    spy = tool("py-spy")
    assert spy is not None, "main() has looked"
    with way.open(production, shadow) as it, tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "stacks"
        pid = it.behind[0]
        closed_loop(it.address, Shape(8, 1, 200), 0.5)
        settle(it.behind)
        done, before = it.shadowed(), cpu_ns_by_thread(pid)
        command: list[str | Path] = [
            spy,
            "record",
            "--pid",
            str(pid),
            "--format",
            "raw",
            "--output",
            out,
        ]
        command += [
            "--rate",
            str(RATE[build]),
            "--duration",
            str(round(seconds)),
            "--full-filenames",
        ]
        with subprocess.Popen(
            [*command, "--threads", "--native" if build == "compiled" else "--nonblocking"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as spying:
            closed_loop(it.address, Shape(8, 1, 200), seconds)
            said, _ = spying.communicate(timeout=seconds + 30)
        after = cpu_ns_by_thread(pid)
        done = it.shadowed() - done
        if not out.exists():
            return Profile({}, 0, said.strip().splitlines()[-1] if said.strip() else "no output")
        samples = by_stage(out.read_text())
    used = {name: after[name] - before.get(name, 0) for name in after}
    # The event loop's thread has the process's name; the exporter's thread is Python too.
    python = sum(ns for name, ns in used.items() if name.startswith(("python", "span-export")))
    native = sum(used.values()) - python
    total = max(1, sum(samples.values()))
    calls = max(1, done)
    stages = {stage: count / total * python / 1e3 / calls for stage, count in samples.items()}
    stages["grpcio's own threads"] = native / 1e3 / calls
    return Profile(dict(sorted(stages.items(), key=lambda item: -item[1])), calls)


def by_stage(stacks: str) -> Counter[str]:
    """Samples by stage, from py-spy's raw format: `frame;frame;... count`."""
    samples: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        samples[_stage(stack)] += int(count)
    return samples


def _stage(stack: str) -> str:
    for frame in reversed(stack.split(";")):
        compiled = _IN_C.match(frame)
        where = _source(compiled[1]) if compiled else frame
        for stage, pattern in STAGES:
            if re.search(rf"/(?:sidecar/)?{pattern}", where):
                return stage
    return OUTSIDE


@cache
def _source(symbol: str) -> str:
    """The file of a compiled function, which mypyc names by module and class.

    Of the module's name it takes as much, from the end, as tells it from all others.
    """
    parts = symbol.split("___")
    for length in range(len(parts), 0, -1):
        end = f"/{'/'.join(parts[:length])}.py"
        for source in _sources():
            if source.endswith(end):
                return source
    return ""


@cache
def _sources() -> tuple[str, ...]:
    """The files of which there are compiled ones."""
    built = (path.relative_to(COMPILED) for path in COMPILED.glob("sidecar/**/*.so"))
    return tuple(f"/{path.parent}/{path.name.split('.')[0]}.py" for path in built)
