"""What a process that has nothing to do has not loaded: in a cluster every pod pays for it."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from tests.processes import accepts, free_port, http_json, http_text, python
from tests.scenarios.stack import servers, sidecar
from tests.scenarios.traffic import Mix, run

NUMPY = "/numpy/"


def has(pid: int, part: str) -> bool:
    """Whether a process has a library loaded whose path has this in it."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return any(".so" in line and part in line for line in lines)


def test_an_observer_without_calls_does_without_numpy_whatever_it_is_asked() -> None:
    calls = Mix(unary=20)
    with servers(("bytes",), ("bytes",)) as (production, shadow):
        with tempfile.TemporaryDirectory(prefix="state-") as state:
            with sidecar(production, shadow, settings={"state.dir": state}) as it:
                for path in ("/status", "/verdict", "/report.json", "/ended", "/pairs"):
                    http_json(it.http, path)
                for path in ("/", "/livez", "/readyz", "/metrics"):
                    http_text(it.http, path)
                assert has(it.pids["observer"], "/uvloop/")
                assert not has(it.pids["observer"], NUMPY)
                asyncio.run(run(it.address, calls))
                assert it.settled(calls.calls)["calls"]["compared"] == calls.calls
                it.process.wait_until(lambda: has(it.pids["observer"], NUMPY))


def test_the_wire_has_the_standard_library_only_by_its_short_name_too() -> None:
    with servers(("bytes",)) as (production,), tempfile.TemporaryDirectory() as folder:
        listen = f"127.0.0.1:{free_port()}"
        flags = ("--route", f"{listen}={production}", "--tap", f"{folder}/tap.sock")
        with python("sidecar", "wire", *flags) as wire:
            wire.wait_until(accepts(listen))
            assert has(wire.pid, "/libc.")
            assert not has(wire.pid, "/site-packages/")
