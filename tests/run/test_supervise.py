"""The supervisor: the wire's life is the sidecar's, and the observer may fail as it likes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sidecar.log import Log
from sidecar.run import supervise
from sidecar.settings.sources import load


def test_an_observer_that_cannot_be_started_is_tried_again() -> None:
    # A Unix socket's path is short, so not below pytest's own temporary directory.
    with tempfile.TemporaryDirectory(prefix="shadow-") as folder:
        tap = Path(folder) / "tap.sock"
        route = {"listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}
        settings = load(None, {}, {"wire": {"tap": str(tap), "routes": [route]}})
        tried: list[Mapping[str, str]] = []
        files: list[int] = []

        def command(_: int, before: Mapping[str, str]) -> list[str]:
            tried.append(before)
            files.append(len(os.listdir("/proc/self/fd")))
            if len(tried) <= 2:
                return [f"{folder}/nothing-is-here"]
            addresses = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
            return [sys.executable, "-m", "sidecar", "observe", *addresses, "--tap", str(tap)]

        def on_ready(ready: supervise.Ready) -> None:
            assert ready.observer_pids[0]
            os.kill(os.getpid(), signal.SIGTERM)

        assert asyncio.run(supervise.run(settings, command, Log("test"), on_ready)) == 0
    assert tried == [{}, {}, {}]
    assert len(set(files)) == 1  # nothing is left open
