"""Production, shadows and the sidecar between, as real processes over real sockets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.processes import Process, drained, http_json, server, sidecar_run
from tests.scenarios import books


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A running sidecar."""

    process: Process
    address: str  # where clients connect
    http: str
    pids: Mapping[str, int]
    observers: tuple[str, ...] = ()  # the pages of each, if there are several

    def status(self) -> dict[str, Any]:
        """`/status`, as it is now."""
        status: dict[str, Any] = http_json(self.http, "/status")
        return status

    def settled(self, seen: int, timeout: float = 60.0) -> dict[str, Any]:
        """`/status` once so many calls are seen and none is in flight; law 3 holds then."""
        self.process.wait_until(drained(self.http, seen=seen), timeout)
        status = self.status()
        accounted_for(status)
        return status


def accounted_for(status: Mapping[str, Any]) -> None:
    """Law 3: seen = compared + the sum over skip reasons + in flight, overall and by shadow."""
    for counts in (status["calls"], *status["shadows"].values()):
        told = counts["compared"] + sum(counts["skipped"].values()) + counts["in_flight"]
        assert counts["seen"] == told, counts


def skipped(counts: Mapping[str, Any]) -> dict[str, int]:
    """The skip reasons that occurred."""
    return {reason: n for reason, n in counts["skipped"].items() if n}


@contextmanager
def sidecar(
    upstream: str,
    *shadows: str,
    settings: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Sidecar]:
    """Run the sidecar in front of `upstream`; at the end its books must agree with production's.

    Args:
        shadows: as `--shadow` takes them.
        settings: other settings by their dotted path.
        env: environment variables, such as OTEL_*.
    """
    flags = [word for k, v in (settings or {}).items() for word in ("--set", f"{k}={v}")]
    with sidecar_run(upstream, shadows, *flags, env=env) as process:
        ready = process.wait_ready()
        observers = tuple(ready["observers"])
        kept = books.Books.opened(process, upstream, ready)
        yield Sidecar(process, ready["listen"][0], ready["http"], ready["pids"], observers)
        if kept is not None:
            kept.agree()


@contextmanager
def servers(*flags: tuple[str, ...]) -> Iterator[list[str]]:
    """Start test servers, each by its kind and flags; gives their addresses."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="books-")))
        started: list[tuple[Process, Path | None]] = []
        for number, (kind, *rest) in enumerate(flags):
            path = directory / str(number) if kind in books.COUNTED else None
            told = [] if path is None else ["--books", str(path)]
            started.append((stack.enter_context(server(kind, *rest, *told)), path))
        addresses = []
        for process, path in started:
            address = process.wait_ready()["address"]
            addresses.append(address)
            if path is not None:
                books.kept[address] = path
                stack.callback(books.kept.pop, address)
        yield addresses
