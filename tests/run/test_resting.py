"""What a process that has nothing to do has not loaded: in a cluster every pod pays for it."""

from __future__ import annotations

import asyncio
import tempfile
import urllib.request
from pathlib import Path

from tests.processes import accepts, drained, free_port, http_json, http_text, is_ready, python
from tests.scenarios.stack import servers
from tests.scenarios.traffic import Mix, run

NUMPY, AIOHTTP, UVLOOP = "/numpy/", "/aiohttp/", "/uvloop/"


def has(pid: int, part: str) -> bool:
    """Whether a process has a library loaded whose path has this in it."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return any(".so" in line and part in line for line in lines)


def test_a_pod_loads_pages_for_people_and_numbers_for_calls() -> None:
    listen, http, calls = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}", Mix(unary=20)
    with tempfile.TemporaryDirectory(prefix="rest-") as folder:
        tap = ["--tap", f"{folder}/tap.sock"]
        with servers(("bytes",), ("bytes",)) as (production, shadow):
            flags = [*tap, "--shadow", shadow, "--admin", "127.0.0.1:0", "--http", http]
            with (
                python("sidecar", "wire", *tap, "--route", f"{listen}={production}") as wire,
                python("sidecar", "observe", *flags, "--state", folder) as observer,
            ):
                observer.wait_until(accepts(http))
                observer.wait_until(is_ready(http))
                for path in ("/livez", "/readyz", "/metrics", "/status", "/counts", "/ended"):
                    with urllib.request.urlopen(f"http://{http}{path}") as answer:
                        assert answer.read()
                assert has(observer.pid, UVLOOP)
                assert not has(observer.pid, AIOHTTP)
                for path in ("/verdict", "/report.json", "/pairs"):
                    http_json(http, path)
                assert "<html" in http_text(http, "/")
                assert has(observer.pid, AIOHTTP)
                assert not has(observer.pid, NUMPY)
                asyncio.run(run(listen, calls))
                observer.wait_until(drained(http, seen=calls.calls))
                observer.wait_until(lambda: has(observer.pid, NUMPY))
                assert has(wire.pid, "/libc.")
                assert not has(wire.pid, "/site-packages/")
