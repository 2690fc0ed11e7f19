"""`shadow-sidecar run`: both processes as children of one, for a laptop or a plain container.

Rule: the wire's life is the sidecar's life; the observer may die as often as it likes. In a pod
the two are containers of their own and the kubelet does this job.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.log import Log
from sidecar.run.forked import Forked
from sidecar.run.priority import step_back
from sidecar.settings.settings import Priority, Settings
from sidecar.tasks import Tasks

PR_SET_PDEATHSIG = 1  # linux/prctl.h
BACKOFF_FIRST = 0.25
BACKOFF_LAST = 15.0
STABLE_SECONDS = 30.0  # an observer that lived so long starts again without delay
OBSERVER_GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Ready:
    """What the children said when they were ready."""

    listen: tuple[str, ...]
    http: tuple[str, ...]
    admin: tuple[str, ...]
    wire_pid: int
    observer_pids: tuple[int, ...]

    def line(self) -> str:
        """One JSON object, for scripts and tests."""
        return json.dumps(
            {
                "ready": True,
                "listen": list(self.listen),
                "http": self.http[0] if self.http else "",
                "admin": self.admin[0] if self.admin else "",
                "observers": list(self.http),
                "admins": list(self.admin),
                "pids": {"wire": self.wire_pid, "observer": self.observer_pids[0]},
            }
        )


def wire_command(settings: Settings) -> list[str]:
    """The wire's command line, without its ready pipe."""
    wire = settings.wire
    command = [sys.executable, "-m", "sidecar.wire", "--tap", str(wire.tap)]
    for route in wire.routes:
        command += ["--route", f"{route.listen}={route.upstream}"]
    command += ["--tap-bytes", str(wire.tap_bytes)]
    command += ["--connection-bytes", str(wire.connection_bytes)]
    command += ["--connections", str(wire.connections)]
    command += ["--sessions", str(settings.observer.processes + 1)]
    command += ["--memory-bytes", str(wire.memory_bytes)]
    command += ["--linger-seconds", str(wire.linger_seconds)]
    command += ["--drain-seconds", str(wire.drain_seconds), "--resync", wire.resync]
    return command


class Child:
    """One child process and the line it writes to its ready pipe."""

    def __init__(self, name: str, log: Log, priority: Priority = "normal") -> None:
        self.name = name
        self.log = log
        self.priority = priority
        self.process: asyncio.subprocess.Process | Forked | None = None

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    async def start(self, command: Sequence[str]) -> dict[str, Any] | None:
        """Start the child and wait for its ready line; None when it ended without one.

        Raises:
            OSError: there is no child, for want of memory or processes for example.
        """
        read_end, write_end = os.pipe()
        try:
            self.process = await asyncio.create_subprocess_exec(
                *command,
                "--ready-fd",
                str(write_end),
                pass_fds=(write_end,),
                stdin=asyncio.subprocess.DEVNULL,
                preexec_fn=self._prepare,
            )
        except OSError:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        return await self._heard(read_end)

    async def adopt(self, forked: Forked) -> dict[str, Any] | None:
        """The same of a child that has been forked already."""
        self.process = forked
        return await self._heard(forked.ready_fd)

    async def _heard(self, read_end: int) -> dict[str, Any] | None:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        pipe = os.fdopen(read_end, "rb", 0)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            line = await reader.readline()
        finally:
            transport.close()
        return json.loads(line) if line else None

    def _prepare(self) -> None:
        """In the child, before exec."""
        prepare(self.priority)

    async def wait(self) -> int:
        """The exit code."""
        assert self.process is not None
        return await self.process.wait()

    def signal(self, number: int) -> None:
        """Send a signal, if the child still lives."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def stop(self, grace: float) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds."""
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.wait(), grace)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.wait()


async def run(
    settings: Settings,
    observer_command: Callable[[int, Mapping[str, str]], list[str]],
    log: Log,
    on_ready: Callable[[Ready], None],
    born: Sequence[Forked] = (),
) -> int:
    """Run until the wire ends.

    Args:
        observer_command: the observer's command line from its number and the addresses ("http",
            "admin") that it had before, so that a restarted observer is found where it was.
        on_ready: called once, when wire and observers are up.
        born: the first observers, where they have been forked already.

    Returns:
        The wire's exit code.
    """
    loop = asyncio.get_running_loop()
    wire = Child("wire", log)
    # The wire keeps accepting signals of its own; we pass on what a terminal or kubelet sends us.
    wire_ready = await wire.start(wire_command(settings))
    if wire_ready is None:
        for forked in born:
            forked.kill()
        return await wire.wait()
    observers = [
        Child(f"observer-{i}", log, settings.observer.priority)
        for i in range(settings.observer.processes)
    ]
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            log.info("ending_now")
        else:
            log.info(
                "stopping",
                waits_for="open connections to close",
                at_most_seconds=settings.wire.drain_seconds,
                at_once="press Ctrl-C again, or send another SIGTERM",
            )
        stopping.set()
        wire.signal(signal.SIGTERM)  # its second one ends the wire at once

    def reload() -> None:
        for observer in observers:
            observer.signal(signal.SIGHUP)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    first: list[asyncio.Future[dict[str, str]]] = [loop.create_future() for _ in observers]
    # One that dies leaves production as it is, and says so.
    keepers = Tasks(log)
    for i, observer in enumerate(observers):
        keepers.start(
            f"keep {observer.name}",
            _keep(
                observer,
                i,
                observer_command,
                first[i],
                stopping,
                born[i] if i < len(born) else None,
            ),
        )
    wire_ends = asyncio.create_task(wire.wait())
    addresses = asyncio.gather(*first)
    either: list[asyncio.Future[Any]] = [wire_ends, addresses]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if addresses.done() and not wire_ends.done():
        on_ready(
            Ready(
                listen=tuple(wire_ready["listen"]),
                http=tuple(each["http"] for each in addresses.result()),
                admin=tuple(each["admin"] for each in addresses.result()),
                wire_pid=wire.pid,
                observer_pids=tuple(observer.pid for observer in observers),
            )
        )
    code = await wire_ends
    stopping.set()
    addresses.cancel()
    await asyncio.gather(*(observer.stop(OBSERVER_GRACE) for observer in observers if observer.pid))
    await keepers.close()
    await asyncio.gather(addresses, return_exceptions=True)
    return code


async def _keep(
    observer: Child,
    number: int,
    command: Callable[[int, Mapping[str, str]], list[str]],
    first: asyncio.Future[dict[str, str]],
    stopping: asyncio.Event,
    forked: Forked | None,
) -> None:
    """Start the observer, and start it again with back-off whenever it ends."""
    addresses: dict[str, str] = {}
    delay = BACKOFF_FIRST
    while not stopping.is_set():
        born = time.monotonic()
        try:
            if forked is not None:
                child, forked = forked, None
                ready = await observer.adopt(child)
            else:
                ready = await observer.start(command(number, addresses))
        except OSError as error:
            observer.log.warning("observer_not_started", error=str(error), restart_seconds=delay)
        else:
            if ready is not None:
                addresses = {name: ready[name] for name in ("http", "admin")}
                if not first.done():
                    first.set_result(addresses)
            code = await observer.wait()
            if stopping.is_set():
                return
            if time.monotonic() - born >= STABLE_SECONDS:
                delay = BACKOFF_FIRST
            observer.log.warning(
                "observer_ended", code=code, pid=observer.pid, restart_seconds=delay
            )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), delay)
        delay = min(delay * 2, BACKOFF_LAST)


def prepare(priority: Priority) -> None:
    """In a child, before all else: a killed supervisor must not leave a port taken."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # Whoever asks for a reload before there is anything to reload must not end it.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # The supervisor passes on Ctrl-C itself, once; a terminal would send it to everyone.
    os.setpgid(0, 0)
    if priority != "normal":
        step_back(priority)
