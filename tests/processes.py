"""Real processes in tests: ours, and servers that we did not write.

Rule: a test never sleeps and never fixes a port; it waits for what the process says or serves.
`Process` itself is the demo's. Counterpart: `tests.servers`, which prints its readiness line.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from sidecar.address import TCP, parse_address
from sidecar.demo.process import Process, ProcessError

__all__ = [
    "Process",
    "ProcessError",
    "accepts",
    "drained",
    "free_port",
    "http_json",
    "http_text",
    "is_ready",
    "python",
    "server",
    "sidecar_run",
]


def python(module: str, *arguments: str, env: Mapping[str, str] | None = None) -> Process:
    """Run a module of this repository with this interpreter."""
    return Process([sys.executable, "-m", module, *arguments], name=module, env=env)


def server(kind: str, *arguments: str) -> Process:
    """Start `python -m tests.servers`; its `wait_ready()["address"]` says where it listens."""
    return python("tests.servers", "--kind", kind, *arguments)


def sidecar_run(
    upstream: str,
    shadows: Iterable[str],
    *arguments: str,
    listen: str = "127.0.0.1:0",
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start `shadow-sidecar run` on free ports; `wait_ready()` tells `listen` and `http`."""
    # A Unix socket's path is short, so not below pytest's own temporary directory.
    tap = Path(tempfile.mkdtemp(prefix="shadow-tap-")) / "tap.sock"
    flags = ["--listen", listen, "--upstream", upstream, "--http", "127.0.0.1:0"]
    flags += ["--admin", "127.0.0.1:0"]
    flags += ["--tap", str(tap), "--print-ready"]
    for shadow in shadows:
        flags += ["--shadow", shadow]
    return python(
        "sidecar",
        "run",
        *flags,
        *arguments,
        env={"OTEL_TRACES_EXPORTER": "none", **(env or {})},
    )


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago: only for servers that cannot bind port 0."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def accepts(address: str) -> Callable[[], bool]:
    """A predicate for `Process.wait_until`: whether a TCP connection to `address` opens."""
    where = parse_address(address)
    assert isinstance(where, TCP)

    def connects() -> bool:
        try:
            socket.create_connection((where.host, where.port), timeout=1).close()
        except OSError:
            return False
        return True

    return connects


def http_text(address: str, path: str) -> str:
    """GET `path` and return the body; raises `urllib.error.HTTPError` for a status from 400 on."""
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
        body: bytes = answer.read()
    return body.decode()


def http_json(address: str, path: str) -> Any:
    """GET `path` and read the body as JSON."""
    return json.loads(http_text(address, path))


def is_ready(http: str) -> Callable[[], bool]:
    """A predicate: whether a sidecar's `/readyz` says that calls can be seen."""

    def ready() -> bool:
        try:
            http_text(http, "/readyz")
        except urllib.error.HTTPError:
            return False
        return True

    return ready


def drained(http: str, *, seen: int) -> Callable[[], bool]:
    """A predicate: whether a sidecar knows of `seen` calls and has none in flight."""

    def settled() -> bool:
        status = http_json(http, "/status")
        calls, missed = status["calls"], status["blind"]["calls"]
        return bool(calls["seen"] + missed >= seen and calls["in_flight"] == 0)

    return settled
