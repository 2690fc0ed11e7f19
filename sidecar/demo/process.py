"""A child process that is started, listened to, and surely ended.

Rule: nothing here sleeps; every wait ends with a line, an exit, or its timeout, and a failure shows
the last lines that the child said. Counterpart: the demo's servers and `shadow-sidecar run`, which
print one JSON line with `"ready": true` when they serve.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

KEPT_LINES = 2000


class ProcessError(Exception):
    """A child ended early or did not get ready in time; the message carries its last lines."""


class Process:
    """One child in a process group of its own; standard output and error are kept as lines.

    Args:
        command: the program and its arguments.
        name: what to call it in messages; the program's file name by default.
        env: variables added to this process's environment.
        cwd: the child's working directory.
        log: a file that gets every line too.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        name: str = "",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
    ) -> None:
        self.command = [str(part) for part in command]
        self.name = name or Path(self.command[0]).name
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._said = 0
        self._changed = threading.Condition()
        self._log = log
        self._popen = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            cwd=cwd,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"{self.name} log", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The child's process id; also its process group."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, or None while it runs; negative for a signal."""
        return self._popen.poll()

    def tail(self, lines: int = 30) -> str:
        """The last lines that it said."""
        with self._changed:
            return "\n".join(list(self._lines)[-lines:])

    def wait_line(self, wanted: Callable[[str], bool], timeout: float = 30.0) -> str:
        """Wait for a line, said before or from now on, for which `wanted` holds.

        Raises:
            ProcessError: the child ended, or `timeout` seconds passed, without such a line.
        """
        deadline = monotonic() + timeout
        seen = 0
        with self._changed:
            while True:
                unread = min(self._said - seen, len(self._lines))
                for line in list(self._lines)[len(self._lines) - unread :]:
                    if wanted(line):
                        return line
                seen = self._said
                if not self._reader.is_alive() and self._popen.poll() is not None:
                    break
                left = deadline - monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, 0.2))
        raise self.error("ended" if self.returncode is not None else f"not ready in {timeout:g} s")

    def wait_ready(self, timeout: float = 30.0) -> dict[str, Any]:
        """Wait for the JSON line with `"ready": true` and return it whole."""
        return _ready(self.wait_line(lambda line: bool(_ready(line)), timeout))

    def wait_until(self, holds: Callable[[], bool], timeout: float = 30.0) -> None:
        """Ask again and again until `holds()`.

        Raises:
            ProcessError: the child ended, or `timeout` seconds passed, first.
        """
        deadline = monotonic() + timeout
        while not holds():
            if monotonic() > deadline:
                raise self.error(f"not ready in {timeout:g} s")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(0.05)
                raise self.error("ended")

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit status."""
        status = self._popen.wait(timeout)
        self._reader.join(5)
        return status

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the child alone."""
        self._popen.send_signal(number)

    def stop(self, grace: float = 10.0) -> int:
        """SIGTERM, then after `grace` seconds SIGKILL; what is left of its group is killed too."""
        if self._popen.poll() is None:
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        return self.wait(grace)

    def error(self, what: str) -> ProcessError:
        """An error about this child, with its last lines."""
        status = "" if self.returncode is None else f" (exit status {self.returncode})"
        return ProcessError(f"{self.name}: {what}{status}\n{self.tail()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.stop()
        # An interrupt is no failure, and a ProcessError carries the lines already.
        if isinstance(error, Exception) and not isinstance(error, ProcessError):
            print(f"--- {self.name}: its last lines ---\n{self.tail()}", file=sys.stderr)

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with contextlib.ExitStack() as files:
            files.enter_context(self._popen.stdout)
            log = files.enter_context(self._log.open("a")) if self._log else None
            for line in self._popen.stdout:
                if log:
                    log.write(line)
                    log.flush()
                with self._changed:
                    self._lines.append(line.rstrip("\n"))
                    self._said += 1
                    self._changed.notify_all()


def _ready(line: str) -> dict[str, Any]:
    """The readiness line's content; empty when the line is another one."""
    if not line.startswith("{"):
        return {}
    try:
        content = json.loads(line)
    except ValueError:
        return {}
    return content if isinstance(content, dict) and content.get("ready") is True else {}
