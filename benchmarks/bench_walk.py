"""What looking at a call costs the wire, without forwarding it: instructions, or CPU time.

    PYTHONPATH=build/compiled:. python -m benchmarks.bench_walk [--calls 16] [--reads 200]
                                                                [--payload 220] [--instructions]

A connection's reads are shown to `Watch.saw`, each with so many requests or answers, and a session
puts what is copied into a real socket. Told is what a call costs, for a tenth of the calls shadowed
and for all: of the best of five rounds this thread's CPU time; with `--instructions`, which others
on the machine do not change, what valgrind's callgrind counts within `saw` (compiled only).
"""

from __future__ import annotations

import argparse
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

from sidecar.build import BUILD
from sidecar.wire.header import PREFACE
from sidecar.wire.later import Later
from sidecar.wire.poll import Poller
from sidecar.wire.session import Session
from sidecar.wire.stats import Counters, Tally
from sidecar.wire.watch import Watch
from tests.wire.harness import frame

SHARES = (0.1, 1.0)
ROUNDS = 5
FLUSH_EVERY = 20  # reads: no record waits longer
LOOKING = "CPyDef_watch___Watch___saw"  # mypyc's name


def reads(count: int, calls: int, payload: int) -> Iterator[tuple[int, bytes]]:
    """What comes from the client and from the server, in turn."""
    stream = 1
    for _ in range(count):
        asked, told = b"", b""
        for _ in range(calls):
            asked += frame(1, 4, stream, bytes(20)) + frame(0, 1, stream, bytes(payload))
            told += frame(1, 4, stream, bytes(20)) + frame(0, 0, stream, bytes(payload))
            told += frame(1, 5, stream, bytes(10))
            stream += 2
        yield 0, asked
        yield 1, told


def look(share: float, flags: argparse.Namespace) -> float:
    """Show all of it to a new connection's watch; microseconds of CPU a call."""
    near, far = socket.socketpair()
    far.setblocking(False)
    poller = Poller()
    with near, far:
        dice = random.Random(5).random
        session = Session(poller, near, 8 << 20, dice, lambda _: None, lambda _: None)
        session.sampler.ask(share)
        watch = Watch(1, session, {}, Tally(), Counters(), Later(lambda _: None), resync=False)
        settings = frame(4, 0, 0)
        buffer = bytearray(1 << 20)
        everything = [(0, PREFACE + settings), (1, settings)]
        everything += reads(flags.reads, flags.calls, flags.payload)
        used = 0.0
        for number, (direction, data) in enumerate(everything):
            buffer[: len(data)] = data
            view = memoryview(buffer)[: len(data)]
            began = time.thread_time()
            watch.saw(direction, view, time.monotonic_ns())
            used += time.thread_time() - began
            view.release()
            if number % FLUSH_EVERY == 0:
                session.flush()
                with suppress(BlockingIOError):
                    while far.recv(1 << 20):
                        pass
        session.end()
        poller.close()
    return used / float(flags.reads * flags.calls) * 1e6


def instructions(share: float, flags: argparse.Namespace) -> float:
    """Instructions a call, by the difference between a long and a short run."""
    counted = []
    for count in (flags.reads, 2 * flags.reads):
        command = ["valgrind", "--tool=callgrind", f"--toggle-collect={LOOKING}"]
        command += ["--callgrind-out-file=/dev/null", sys.executable, "-m", "benchmarks.bench_walk"]
        command += ["--share", str(share), "--calls", str(flags.calls), "--reads", str(count)]
        command += ["--payload", str(flags.payload)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        found = re.search(r"Collected : (\d+)", ran.stderr)
        if found is None:
            raise SystemExit(ran.stderr)
        counted.append(int(found[1]))
    return (counted[1] - counted[0]) / float(flags.reads * flags.calls)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=16, help="in one read")
    parser.add_argument("--reads", type=int, default=200, help="of each direction")
    parser.add_argument("--payload", type=int, default=220, help="bytes of a message")
    parser.add_argument("--share", type=float, help="look once, with this share shadowed")
    parser.add_argument("--instructions", action="store_true")
    flags = parser.parse_args()
    if flags.share is not None:
        look(flags.share, flags)
        return
    if flags.instructions and BUILD != "compiled":
        parser.error("--instructions: only the compiled build has a function to count in")
    print(f"{BUILD}; {flags.calls} calls of {flags.payload} B in one read")
    for share in SHARES:
        if flags.instructions:
            print(f"  {share:4.0%} shadowed: {instructions(share, flags):8.0f} instructions a call")
        else:
            best = min(look(share, flags) for _ in range(ROUNDS))
            print(f"  {share:4.0%} shadowed: {best:8.2f} us a call")


if __name__ == "__main__":
    main()
