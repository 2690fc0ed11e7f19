"""Production and shadow: real servers at both ends of what is measured.

Rule: on a machine that holds everything, the shadow runs only when nobody else wants a core
(SCHED_IDLE) where production's latency is what is asked for, because elsewhere it would have a
machine of its own.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.machine import tool
from tests.processes import Process, accepts, free_port, python


@contextmanager
def echoes(count: int = 2) -> Iterator[list[str]]:
    """The cheapest servers there are, nghttpd; each answers a call with the request's bytes."""
    with ExitStack() as stack:
        addresses = []
        for _ in range(count):
            port = free_port()
            flags = ["--no-tls", "--echo-upload", "--trailer", "grpc-status: 0"]
            process = stack.enter_context(
                Process(
                    [*_memory(), _nghttpd(), *flags, "-w", "20", "-W", "20", str(port)],
                    name="nghttpd",
                )
            )
            process.wait_until(accepts(f"127.0.0.1:{port}"))
            addresses.append(f"127.0.0.1:{port}")
        yield addresses


@contextmanager
def ordinary(*flags: str, idle: bool = False) -> Iterator[str]:
    """An ordinary server, by grpcio: opaque bytes, echoed; flags as `tests.servers` has them."""
    process = python("tests.servers", "--kind", "bytes", *flags)
    with process:
        if idle:  # before it has threads: they inherit it
            os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
        address: str = process.wait_ready()["address"]
        yield address


def _memory() -> list[str]:
    """What gives a command a /tmp in memory: nghttpd keeps each upload in a file there.

    On a disk, what one measurement wrote is written back during the next ones.
    """
    wrap = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    wrap += ["sh", "-c", 'mount -t tmpfs tmpfs /tmp && exec "$0" "$@"']
    try:
        works = subprocess.run([*wrap, "true"], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        works = False
    return wrap if works else []


def _nghttpd() -> str:
    program = tool("nghttpd")
    assert program is not None, "main() has looked"
    return str(program)
