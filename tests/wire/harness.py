"""A real wire in its own process, and the blocking sockets that stand around it in tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from sidecar.wire.records import HEADER, KERNEL_TIME, Kind, record

PATIENCE = 60.0
"""Seconds until a test gives up on a socket: only ever waited for by a test that fails."""
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Said:
    """One record as an observer read it."""

    kind: Kind
    direction: int
    conn: int
    payload: bytes
    time_ns: int = 0
    flags: int = 0

    def json(self) -> Any:
        return json.loads(self.payload)


class Observer:
    """A session on the tap, read with a blocking socket."""

    def __init__(self, path: Path, log: Path | None = None) -> None:
        self._log = log  # the wire's, for a test that fails
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self._buffer = b""

    def __enter__(self) -> Observer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def sample(self, fraction: float) -> None:
        self.socket.sendall(record(Kind.SAMPLE, 0, 0, 0, struct.pack("!d", fraction)))

    def goaway(self, conn: int = 0) -> None:
        self.socket.sendall(record(Kind.GOAWAY, 0, conn, 0))

    def read(self) -> Said | None:
        """The next record; None at the session's end."""
        while True:
            if len(self._buffer) >= HEADER.size:
                size, kind, direction, flags, conn, time_ns = HEADER.unpack_from(self._buffer)
                assert flags in {0, KERNEL_TIME}
                end = HEADER.size + size
                if len(self._buffer) >= end:
                    payload = self._buffer[HEADER.size : end]
                    self._buffer = self._buffer[end:]
                    return Said(Kind(kind), direction, conn, payload, time_ns, flags)
            data = self.socket.recv(1 << 20)
            if not data:
                return None
            self._buffer += data

    def until(self, seen: Callable[[Said], bool]) -> list[Said]:
        """All records up to the first that is wanted; the session must not end before."""
        records: list[Said] = []
        while True:
            said = self.read()
            assert said is not None, f"the session ended after {records[-3:]}: {self._why()}"
            records.append(said)
            if seen(said):
                return records

    def _why(self) -> str:
        return "" if self._log is None else "".join(self._log.read_text().splitlines(True)[-3:])

    def until_kind(self, kind: Kind) -> list[Said]:
        return self.until(lambda said: said.kind is kind)


def copied(records: list[Said], direction: int) -> bytes:
    """What an observer knows of one direction, with zeros for what it was not shown."""
    out = []
    for said in records:
        if said.direction == direction and said.kind is Kind.BYTES:
            out.append(said.payload)
        elif said.direction == direction and said.kind is Kind.GAP:
            out.append(bytes(int.from_bytes(said.payload, "big")))
    return b"".join(out)


@dataclass
class RunningWire:
    """A wire that listens."""

    process: subprocess.Popen[bytes]
    listening: list[str]
    tap: Path
    log: Path = field(default=Path())

    @property
    def port(self) -> int:
        return int(self.listening[0].rpartition(":")[2])

    @property
    def target(self) -> str:
        return self.listening[0]

    def observer(self) -> Observer:
        return Observer(self.tap, self.log)

    def stats(self) -> dict[str, int]:
        """The counters now: every new session is told them first."""
        with self.observer() as observer:
            stats: dict[str, int] = observer.until_kind(Kind.STATS)[-1].json()
            return stats

    def until(self, seen: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """Ask for the counters until they are as expected."""
        while True:
            stats = self.stats()
            if seen(stats):
                return stats
            assert self.process.poll() is None

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def connect_and_be_reset(self) -> None:
        """A client that the wire turns away: at once, or as soon as it listens for an answer."""
        with pytest.raises(ConnectionResetError):
            self._connect_and_read()

    def _connect_and_read(self) -> None:
        with self.connect() as client:
            client.recv(1)

    def peak_bytes(self) -> int:
        """The most memory that the process has had resident."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(
            int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM")
        )

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextmanager
def running_wire(
    tmp_path: Path, *upstreams: str, tap: bool = True, listen: str = "127.0.0.1:0", flags: str = ""
) -> Iterator[RunningWire]:
    """Start `python -m sidecar.wire` in front of upstreams; it is killed at the end."""
    path = tmp_path / "tap.sock"
    ready, told = os.pipe()
    arguments = [item for u in upstreams for item in ("--route", f"{listen}={u}")]
    if tap:
        arguments += ["--tap", str(path)]
    log = tmp_path / "wire.log"
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "sidecar.wire", *arguments),
                *("--ready-fd", str(told), *flags.split()),
            ],
            pass_fds=[told],
            stderr=stderr,
        )
    os.close(told)
    try:
        with os.fdopen(ready) as lines:
            line = lines.readline()
        assert line, log.read_text()
        yield RunningWire(process, json.loads(line)["listen"], path, log)
    finally:
        process.kill()
        process.wait()


class Upstream:
    """A listening socket; each test accepts and speaks for itself."""

    def __init__(self, family: int = socket.AF_INET, where: object = ("127.0.0.1", 0)) -> None:
        self.listener = socket.socket(family)
        self.listener.bind(where)  # type: ignore[arg-type]  # an address is whatever its family says
        self.listener.listen(64)
        self.listener.settimeout(PATIENCE)

    @property
    def address(self) -> str:
        name = self.listener.getsockname()
        if isinstance(name, str):
            return f"unix:{name}"
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"

    def accept(self) -> socket.socket:
        sock, _ = self.listener.accept()
        sock.settimeout(PATIENCE)
        return sock

    def __enter__(self) -> Upstream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.listener.close()


@contextmanager
def through(wire: RunningWire, upstream: Upstream) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection through the wire: the client's socket and the server's."""
    with wire.connect() as client, upstream.accept() as server:
        yield client, server


def read_exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = sock.recv(min(1 << 20, size - len(data)))
        assert more, f"ended after {len(data)} of {size} bytes"
        data += more
    return bytes(data)


def exchange(client: socket.socket, server: socket.socket, data: bytes) -> None:
    """Send through the wire and wait until it has arrived."""
    client.sendall(data)
    assert read_exactly(server, len(data)) == data


def read_to_end(sock: socket.socket) -> bytes:
    data = bytearray()
    while more := sock.recv(1 << 20):
        data += more
    return bytes(data)


def reset(sock: socket.socket) -> None:
    """Close with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


def in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    return struct.pack("!IBI", len(payload) << 8 | kind, flags, stream) + payload
