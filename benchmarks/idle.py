"""What the sidecar takes while no call comes, and how long it takes to be ready.

    python -m benchmarks.idle [--seconds 600] [--starts 5] [--priority idle]

Starts `shadow-sidecar run` with one shadow that is not there, several times, and tells how long it
took until production's port took a connection and until all was ready, in seconds, and the CPU time
of the three processes by then. Then leaves one alone for a while, and beside it a wire and an
observer as a pod has them, each by itself, asked for `/livez` every ten seconds as by a guard. It
tells of each which share of a core it used and what it holds: RSS, its part of what is shared (PSS;
here that is shared with the other ones, too), what is its own.
Targets: ready in 1 s; observer 0.2 % of a core and 64 MiB, wire 0.1 % and 20 MiB.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.account import cpu_ns

SETTLE_SECONDS = 15.0  # before rest is measured: what is loaded after "ready" is loaded
LOOK_SECONDS = 0.002
PROBE_SECONDS = 10.0
NOBODY = "127.0.0.1:1"


@dataclass(frozen=True, slots=True)
class Started:
    """One start."""

    pids: dict[str, int]  # by name
    accepting: float  # seconds until production's port takes a connection
    ready: float  # seconds until all is ready
    cpu: dict[str, float]  # seconds of CPU by then


@contextlib.contextmanager
def started(priority: str) -> Iterator[Started]:
    """Start, wait until it is ready, and end it."""
    port = _free_port()
    flags = {"listen": f"127.0.0.1:{port}", "upstream": NOBODY, "shadow": NOBODY}
    flags |= {"http": "127.0.0.1:0", "admin": "127.0.0.1:0"}
    command = [sys.executable, "-m", "sidecar", "run", "--print-ready"]
    command += [part for name, value in flags.items() for part in (f"--{name}", value)]
    command += ["--set", f"observer.priority={priority}", "--state", "none"]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(LOOK_SECONDS)
            accepting = time.monotonic() - began
            assert process.stdout is not None
            line = process.stdout.readline()
            ready = time.monotonic() - began
            if not line:
                raise SystemExit(f"it did not start: {' '.join(command)}")
            pids = {**json.loads(line)["pids"], "run": process.pid}
            cpu = {name: cpu_ns([pid]) / 1e9 for name, pid in pids.items()}
            yield Started(pids, accepting, ready, cpu)
        finally:
            process.terminate()


@contextlib.contextmanager
def pod(priority: str) -> Iterator[tuple[dict[str, int], str]]:
    """A wire and an observer by themselves; their pids, and the observer's HTTP address."""
    addresses = [f"127.0.0.1:{_free_port()}" for _ in range(2)]
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="idle-"))
        tap = ["--tap", f"{folder}/tap.sock"]
        wire = [*tap, "--route", f"{addresses[0]}={NOBODY}"]
        observer = [*tap, "--shadow", NOBODY, "--http", addresses[1], "--admin", "127.0.0.1:0"]
        observer += ["--set", f"observer.priority={priority}", "--state", "none"]
        pids = {}
        for name, module, arguments in (
            ("wire", ["sidecar.wire"], wire),
            ("observer", ["sidecar", "observe"], observer),
        ):
            command = [sys.executable, "-m", *module, *arguments]
            process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            stack.callback(process.terminate)
            pids[name] = process.pid
        yield pids, addresses[1]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _probed(address: str, seconds: float) -> None:
    """Let time pass, and ask as a pod's guard does."""
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}/livez"):
            pass
        time.sleep(min(PROBE_SECONDS, left))


def memory(pid: int) -> dict[str, float]:
    """MiB by kind."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    own = kib["Private_Clean"] + kib["Private_Dirty"]
    return {"RSS": kib["Rss"] / 1024, "PSS": kib["Pss"] / 1024, "own": own / 1024}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="at rest")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--priority", default="idle", help="the observer's")
    flags = parser.parse_args()
    load = Path("/proc/loadavg").read_text().split()[0]
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    print(f"{now} UTC, Python {platform.python_version()}, Linux {platform.release()}, load {load}")
    starts: list[Started] = []
    for _ in range(flags.starts):
        with started(flags.priority) as it:
            starts.append(it)
    print(f"{flags.starts} starts, medians:")
    print(f"  production's port open after {median(s.accepting for s in starts):.2f} s")
    print(f"  ready after                  {median(s.ready for s in starts):.2f} s")
    for name in starts[0].cpu:
        print(f"  CPU until then, {name:<12} {median(s.cpu[name] for s in starts):.2f} s")
    if not flags.seconds:
        return
    with started(flags.priority) as it, pod(flags.priority) as (pids, http):
        _probed(http, SETTLE_SECONDS)
        all_pids = it.pids | {f"pod's {name}": pid for name, pid in pids.items()}
        before, began = {name: cpu_ns([pid]) for name, pid in all_pids.items()}, time.monotonic()
        _probed(http, flags.seconds)
        seconds = time.monotonic() - began
        print(f"at rest for {seconds:.0f} s:")
        for name, pid in all_pids.items():
            share = (cpu_ns([pid]) - before[name]) / 1e9 / seconds
            held = ", ".join(f"{kind} {mib:.0f}" for kind, mib in memory(pid).items())
            print(f"  {name:<15}{share:8.3%} of a core; MiB: {held}")


if __name__ == "__main__":
    main()
