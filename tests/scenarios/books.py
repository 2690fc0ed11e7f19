"""The books agree to the call: what production was asked is what the sidecar has counted.

Rule: production's count is production's own, kept by gRPC and not by us (`tests.servers --books`).
It is held against two of ours: the wire's, which goes on whatever becomes of the observers, and,
where the first observers are still there, what they saw and what they know that they missed.
Counterpart: `stack`, at the end of whose `sidecar` this is asked.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.wire.records import Kind
from tests.processes import Process, ProcessError, http_json
from tests.wire.harness import Observer

COUNTED = {"model", "bytes"}  # kinds of servers that keep books
PATIENCE = 30.0

kept: dict[str, Path] = {}
"""Where a server that listens on an address tells its count."""
_direct: dict[str, int] = {}
"""How many calls a server was asked past every sidecar."""


@contextmanager
def past_the_sidecar(address: str) -> Iterator[None]:
    """Calls to a server that no sidecar can see; nobody else calls it meanwhile."""
    before = asked(address)
    yield
    now = asked(address)
    if before is not None and now is not None:
        _direct[address] = _direct.get(address, 0) + now - before


def asked(address: str) -> int | None:
    """How many calls have come to a server, ever; None if it keeps no books or is gone."""
    if address not in kept:
        return None
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        try:
            sock.connect(str(kept[address]))
        except OSError:
            return None
        with sock.makefile() as file:
            return int(file.read())


def observers_of(process: Process, wire: int) -> frozenset[int]:
    """The observers that run now; those that are stopped do not."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return frozenset(pid for pid in map(int, children.split()) if pid != wire and _runs(pid))


@dataclass(frozen=True, slots=True)
class Books:
    """Opened when a sidecar is up, closed when all calls are over."""

    process: Process  # `shadow-sidecar run`
    wire: int  # pid
    tap: Path
    pages: tuple[str, ...]  # HTTP of each observer
    upstream: str
    before: int  # calls that production had been asked
    observers: frozenset[int]

    @classmethod
    def opened(cls, process: Process, upstream: str, ready: Mapping[str, Any]) -> Books | None:
        """Begin; None where production keeps no books."""
        before = asked(upstream)
        if before is None:
            return None
        before -= _direct.get(upstream, 0)
        wire = ready["pids"]["wire"]
        tap = Path(process.command[process.command.index("--tap") + 1])
        pages = tuple(ready["observers"])
        return cls(process, wire, tap, pages, upstream, before, observers_of(process, wire))

    def agree(self) -> None:
        """See that they do, unless the sidecar or production was taken away."""
        now = asked(self.upstream)
        if now is None or self.process.returncode is not None or not _runs(self.wire):
            return
        calls = now - self.before - _direct.get(self.upstream, 0)
        if self.observers == observers_of(self.process, self.wire):
            with suppress(ProcessError):  # the wire tells once a second
                self.process.wait_until(lambda: self._counted() == calls, PATIENCE)
            assert self._counted() == calls, [self._of(page) for page in self.pages]
        with Observer(self.tap) as observer:
            figures = observer.until_kind(Kind.STATS)[-1].json()
        assert figures["calls_total"] == calls
        assert figures["assumed_calls_total"] == figures["errors_total"] == 0

    def _counted(self) -> int:
        return sum(sum(self._of(page)) for page in self.pages)

    @staticmethod
    def _of(page: str) -> tuple[int, int]:
        """What one observer has seen, and what it knows that it missed."""
        status = http_json(page, "/status")
        return status["calls"]["seen"], status["blind"]["calls"]


def _runs(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "TtZX"
    return False
