"""The wire filled to every bound at once: `python -m tests.wire.worst`, or a smaller one as a test.

Rule: every place is taken by a connection of which neither side reads, so that bytes wait in both
directions; both observers attach, want everything and read nothing; the streams are so many that
they have to be remembered as left out; and frames come too small to be walked in one turn. Then the
most that the process has ever held is set against `wire.memory_bytes`.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import selectors
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from sidecar.wire.memory import CONNECTIONS, MEMORY_BYTES, SESSIONS, waiting_limit
from tests.wire.harness import RunningWire, Upstream, frame, in_background, running_wire
from tests.wire.walks import OPENINGS

MOST = 32 << 20  # bytes that a side may send: more than kernel and wire take of it
QUIET = 20.0  # seconds in which nobody took a byte more
FULL = 0.75  # of the room for waiting bytes: beyond it, it is a matter of who reads when


@dataclass(frozen=True, slots=True)
class Filled:
    """What came of it; bytes."""

    peak: int
    bound: int
    connections: int
    waiting: int  # read from one side, and not taken by the other

    def __str__(self) -> str:
        return (
            f"{self.connections:,} connections, {self.waiting / 2**20:.0f} MiB waiting: at most "
            f"{self.peak / 2**20:.0f} MiB resident of {self.bound / 2**20:.0f}"
        )


def _streams(count: int) -> bytes:
    """Calls that begin, each with a tiny message: HEADERS, DATA."""
    return b"".join(
        frame(1, 4, 2 * n + 1, b"\x82") + frame(0, 0, 2 * n + 1, b"\0") for n in range(count)
    )


_PIECES = (_streams(2000), frame(0, 0, 1) * 4000, frame(0, 0, 1, bytes(16 << 10)) * 8)


def _flood(sides: list[tuple[socket.socket, bytes]]) -> None:
    """Let everybody send until nobody's bytes are taken any more, or they are cut off."""
    with selectors.DefaultSelector() as ready:
        for sock, piece in sides:
            sock.setblocking(False)
            ready.register(sock, selectors.EVENT_WRITE, [0, memoryview(piece)])
        while ready.get_map():
            found = ready.select(QUIET)
            if not found:
                return
            for key, _ in found:
                assert isinstance(key.fileobj, socket.socket)
                with contextlib.suppress(OSError):
                    sent, piece = key.data
                    key.data[0] += key.fileobj.send(piece[sent % len(piece) :])
                    if key.data[0] < MOST:
                        continue
                ready.unregister(key.fileobj)


@contextlib.contextmanager
def _pairs(
    wire: RunningWire, upstream: Upstream, count: int
) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            client = stack.enter_context(wire.connect())
            found.append((client, stack.enter_context(upstream.accept())))
        yield found


def fill(folder: Path, connections: int, memory_bytes: int) -> Filled:
    """Fill a wire of its own process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, connections * 2 + 200)), hard))
    sessions = SESSIONS + 1  # the last one asks for the counters
    room = waiting_limit(memory_bytes, connections, sessions)
    flags = f"--connections {connections} --memory-bytes {memory_bytes} --sessions {sessions}"
    with Upstream() as upstream, running_wire(folder, upstream.address, flags=flags) as wire:
        with contextlib.ExitStack() as stack:
            for _ in range(SESSIONS):
                stack.enter_context(wire.observer()).sample(1.0)
            pairs = stack.enter_context(_pairs(wire, upstream, connections))
            openings = dict(OPENINGS)
            sides = []
            for (client, server), piece in zip(pairs, cycle(_PIECES), strict=False):
                for side in (client, server):  # so that the kernel keeps little of it for us
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 10)
                client.sendall(openings[0])
                server.sendall(openings[1])
                sides += [(client, piece), (server, _PIECES[2])]
            flood = in_background(lambda: _flood(sides))
            told = wire.until(lambda stats: stats["waiting_bytes"] >= room * FULL)
            peak = wire.peak_bytes()
        flood.join()
        return Filled(peak, memory_bytes, connections, told["waiting_bytes"])


def main() -> None:
    """Fill it as large as it is by default, and say what it took."""
    parser = argparse.ArgumentParser(prog="python -m tests.wire.worst")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--memory-bytes", type=int, default=MEMORY_BYTES)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="worst-") as folder:
        print(fill(Path(folder), given.connections, given.memory_bytes))


if __name__ == "__main__":
    main()
