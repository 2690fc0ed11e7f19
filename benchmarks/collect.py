"""One collector and many simulated pods: CPU, memory and staleness.

    python -m benchmarks.collect [--pods 500] [--seconds 120] [--every 10]

One process answers for all pods, each at an address of its own in 127.0.0.0/8, with the counts of a
real judge that has watched three criteria for eleven hours (so that every window of blocks is full)
and a sequence that grows with every answer. The collector is the real command, held to one core;
what it takes is read from /proc, and how old its verdict is from its own metrics.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from sidecar.pb.shadow.v1 import admin_pb2 as pb

HOURS = 11
CALLS = "shadow_sidecar_service_calls"
STEP_SECONDS = 10
CRITERIA = [
    {"name": "same", "kind": "disagreement", "margin": 0.05, "required": True},
    {"name": "errors", "kind": "shadow_error_rate", "margin": 0.01, "required": True},
    {"name": "p95", "kind": "latency_ratio", "quantile": 0.95, "margin": 0.2},
]
RESULTS = Path(__file__).parent / "collect.md"


def full_part() -> pb.ShadowCounts:
    """What a pod tells after half a day, a call every ten seconds."""
    from sidecar.report.live import part_of
    from sidecar.serve.convert import counts_message
    from tests.house import House, told

    house = House({"criteria": CRITERIA, "independent_calls": False})
    for number in range(HOURS * 3600 // STEP_SECONDS):
        house.now_ns += STEP_SECONDS * 10**9
        house.call(told(9.0 if number % 97 == 0 else 1.0))
    return counts_message(part_of(house.experiment.state(), house.judged))


def address(number: int) -> str:
    """Of a pod."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


async def pods(count: int, port: int) -> web.AppRunner:
    """Answer for all of them."""
    part = full_part()
    asked = [0]

    async def counts(request: web.Request) -> web.Response:
        assert request.transport is not None
        asked[0] += 1
        part.snapshot.instance = f"pod-{request.transport.get_extra_info('sockname')[0]}"
        part.snapshot.sequence = asked[0]
        answer = pb.GetCountsResponse(shadows=[part])
        return web.Response(body=answer.SerializeToString())

    application = web.Application()
    application.router.add_get("/counts", counts)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    for number in range(count):
        await web.TCPSite(runner, address(number), port).start()
    print(f"{count} pods, each answer {part.ByteSize():,} bytes", flush=True)
    return runner


def cpu_seconds(pid: int) -> float:
    """User and system, so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """The most that it has ever held."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


async def metric(session: aiohttp.ClientSession, where: str, name: str) -> float | None:
    """One figure of the collector's own."""
    try:
        async with session.get(f"http://{where}/metrics") as answer:
            found = re.search(rf"^{name}(?:{{[^}}]*}})? (\S+)", await answer.text(), re.MULTILINE)
    except aiohttp.ClientError:
        return None
    return float(found[1]) if found else None


async def measure(count: int, seconds: float, every: float, folder: Path) -> dict[str, Any]:
    """Run it; figures."""
    port, listen = 19095, "127.0.0.1:19097"
    runner = await pods(count, port)
    flags = [f"--service=http://{address(n)}:{port}" for n in range(count)]
    command = [sys.executable, "-m", "sidecar", "collect", f"--data={folder}/l", *flags]
    command += [f"--listen={listen}", f"--every={every}"]
    core = min(os.sched_getaffinity(0))
    process = subprocess.Popen(  # noqa: ASYNC220 - it starts in a moment
        ["taskset", "-c", str(core), *command], stderr=subprocess.DEVNULL
    )
    ages: list[float] = []
    try:
        async with aiohttp.ClientSession() as session:
            while await metric(session, listen, CALLS) is None:  # noqa: ASYNC110
                await asyncio.sleep(1)
            began, used = time.monotonic(), cpu_seconds(process.pid)
            rounds = await metric(session, listen, "shadow_sidecar_service_rounds_total") or 0.0
            while time.monotonic() - began < seconds:
                await asyncio.sleep(1)
                age = await metric(session, listen, "shadow_sidecar_service_staleness_seconds")
                ages.append(age if age is not None else float("nan"))
            took = time.monotonic() - began
            used = cpu_seconds(process.pid) - used
            more = await metric(session, listen, "shadow_sidecar_service_rounds_total") or 0.0
            answering = await metric(session, listen, "shadow_sidecar_service_sidecars")
            return {
                "pods": count,
                "rounds": more - rounds,
                "cpu_a_round": used / max(1.0, more - rounds),
                "core": used / took,
                "resident_mib": resident_mib(process.pid),
                "staleness_median": sorted(ages)[len(ages) // 2],
                "staleness_most": max(ages),
                "answering": answering,
                "file_mib": (folder / "l").stat().st_size / 2**20,
            }
    finally:
        process.terminate()
        process.wait(60)
        await runner.cleanup()


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pods", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--every", type=float, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(given.pods, given.seconds, given.every, Path(folder)))
    lines = [f"| {name} | {value:,.2f} |" for name, value in found.items()]
    text = f"# Collector\n\n`python -m benchmarks.collect --pods {given.pods}`, {__doc__ or ''}"
    table = "\n".join(["", "| figure | value |", "|---|---:|", *lines, ""])
    RESULTS.write_text(text.rstrip() + "\n" + table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
