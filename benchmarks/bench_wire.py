"""What the wire costs production: microseconds of its own CPU a call, and what else it did.

Run with `python -m benchmarks.bench_wire [SECONDS]`. nghttpd behind it, h2load before it, and at
its tap nobody, somebody who reads it all, or somebody who asked for a tenth. CPU time is the wire's
alone, from the kernel's books, so that a busy machine changes it little.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.account import cpu_ns
from benchmarks.ends import echoes
from benchmarks.load import Shape, closed_loop
from sidecar.wire.records import Kind, record

SHAPES = (Shape(1, 1, 1 << 10), Shape(8, 1, 1 << 10), Shape(4, 16, 1 << 10), Shape(1, 1, 600 << 10))
SHARES = (None, 0.1, 1.0)  # of the streams that an observer asks for; None: nobody is there
ROUNDS = 3


@contextmanager
def wire(upstream: str, tap: Path) -> Iterator[tuple[int, str]]:
    """A wire's pid and address."""
    ready, told = os.pipe()
    command = [sys.executable, "-m", "sidecar.wire", "--route", f"127.0.0.1:0={upstream}"]
    command += ["--tap", str(tap), "--ready-fd", str(told)]
    process = subprocess.Popen(command, pass_fds=[told], stderr=subprocess.DEVNULL)
    os.close(told)
    try:
        with os.fdopen(ready) as lines:
            yield process.pid, json.loads(lines.readline())["listen"][0]
    finally:
        process.kill()
        process.wait()


@contextmanager
def reader(tap: Path, share: float | None) -> Iterator[None]:
    """An observer that only reads."""
    if share is None:
        yield
        return
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(tap))
        sock.sendall(record(Kind.SAMPLE, 0, 0, 0, struct.pack("!d", share)))
        buffer = bytearray(1 << 20)

        def read() -> None:
            while sock.recv_into(buffer):
                pass

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield
        finally:
            sock.shutdown(socket.SHUT_RDWR)
            thread.join()


def main() -> None:
    """Print a table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    for shape in SHAPES:
        for share in SHARES:
            costs, rates = [], []
            for _ in range(ROUNDS):
                with (
                    tempfile.TemporaryDirectory() as directory,
                    echoes(1) as (upstream,),
                    wire(upstream, Path(directory, "tap.sock")) as (pid, address),
                    reader(Path(directory, "tap.sock"), share),
                ):
                    closed_loop(address, shape, seconds / 5)
                    before = cpu_ns([pid])
                    done = closed_loop(address, shape, seconds)
                    costs.append((cpu_ns([pid]) - before) / 1e3 / done.calls)
                    rates.append(done.rate)
            told = "nobody" if share is None else f"{share:.0%}"
            print(
                f"{shape!s:18} {told:7} {statistics.median(costs):8.1f} us "
                f"({min(costs):.1f}-{max(costs):.1f})  {statistics.median(rates):8.0f} calls/s",
                flush=True,
            )


if __name__ == "__main__":
    main()
