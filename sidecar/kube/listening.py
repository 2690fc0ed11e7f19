"""The wire's probe: is somebody listening on the port, and are connections being accepted?

Rule: it opens no connection. A connection to the wire's port is a connection to the model behind
it, and a connection to the tap is an observer; the kernel's own table tells both things for
nothing: a listening socket's receive queue is the number of connections nobody has accepted yet.
Standard library only, because it runs in the wire's container every few seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

LISTEN = "0A"  # the kernel's number for the state
TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
LOOKS = 20
PAUSE_SECONDS = 0.1


def waiting(lines: Iterable[str], port: int) -> int | None:
    """Connections that wait to be accepted on `port`; None if nobody listens there.

    Args:
        lines: of `/proc/net/tcp` or `/proc/net/tcp6`, or both.
        port: the local port.
    """
    found = None
    for line in lines:
        fields = line.split()
        if (
            len(fields) > 4
            and fields[3] == LISTEN
            and int(fields[1].rpartition(":")[2], 16) == port
        ):
            found = (found or 0) + int(fields[4].rpartition(":")[2], 16)
    return found


def _table() -> Iterator[str]:
    for path in TABLES:
        if path.exists():
            yield from path.read_text().splitlines()


def main(argv: list[str]) -> int:
    """Exit status 0: accepting; 1: not listening, or connections waited all the time."""
    if len(argv) != 1 or not argv[0].isdigit():
        print("usage: python -m sidecar.kube.listening PORT", file=sys.stderr)
        return 2
    port = int(argv[0])
    for _ in range(LOOKS):
        count = waiting(_table(), port)
        if count == 0:
            return 0
        if count is None:
            print(f"nobody listens on port {port}", file=sys.stderr)
            return 1
        time.sleep(PAUSE_SECONDS)
    print(f"{count} connections wait on port {port} and nobody accepts them", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
