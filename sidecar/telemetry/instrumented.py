"""Whether production sends spans itself, found out without asking it anything.

A gRPC server's answers say nothing of its spans. But who exports them holds a connection to a
collector: in a pod, whose containers share one network, any such connection that is not ours is
production's or its mesh's, which tells the call as well; elsewhere it must be a connection of the
process that listens where production listens.

Rule: reads `/proc`, and nothing else; what cannot be read is taken for "no", which costs a second
SERVER span a call and nothing else. Counterpart: `pairs`, which asks now and then.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from sidecar.address import TCP, parse_address

OTLP_PORTS = frozenset({4317, 4318, 9411})  # OTLP over gRPC and HTTP, Zipkin
_LISTEN, _ESTABLISHED = "0A", "01"


class Neighbours:
    """Who else on this machine, or in this pod, has a connection to a collector."""

    def __init__(self, environ: Mapping[str, str], proc: Path = Path("/proc")) -> None:
        """Find out where collectors listen.

        Args:
            environ: the process's environment; POD_NAME says that this is a pod.
            proc: where the kernel tells.
        """
        self._proc = proc
        self._in_pod = bool(environ.get("POD_NAME"))
        ports = set(OTLP_PORTS)
        for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
            try:
                ports.add(urlsplit(environ.get(name, "")).port or 4317)
            except ValueError:
                continue  # the exporter says what is wrong with it
        self._ports = frozenset(ports)

    def send_spans(self, upstreams: Iterable[str]) -> bool:
        """Whether production at one of these addresses sends spans. Takes milliseconds."""
        listening: set[int] = set()
        for upstream in upstreams:
            try:
                where = parse_address(upstream)
            except ValueError:
                continue
            if isinstance(where, TCP):
                listening.add(where.port)
        rows = list(self._sockets())
        mine = self._held_by("self")
        senders = {
            inode
            for _, remote, state, inode in rows
            if state == _ESTABLISHED and remote in self._ports and inode not in mine
        }
        if not senders or not listening:
            return False
        if self._in_pod:
            return True
        servers = {
            inode for local, _, state, inode in rows if state == _LISTEN and local in listening
        }
        for process in self._processes():
            held = self._held_by(process)
            if held & servers and held & senders:
                return True
        return False

    def _sockets(self) -> Iterator[tuple[int, int, str, str]]:
        """Local port, remote port, state and inode of each TCP socket of this network."""
        for name in ("tcp", "tcp6"):
            try:
                lines = (self._proc / "net" / name).read_text(encoding="ascii").splitlines()[1:]
            except OSError:
                continue
            for line in lines:
                fields = line.split()
                try:
                    local, remote = (int(f.rpartition(":")[2], 16) for f in fields[1:3])
                    yield local, remote, fields[3], fields[9]
                except (ValueError, IndexError):
                    continue  # a kernel that tells it otherwise

    def _processes(self) -> list[str]:
        try:
            return [each.name for each in self._proc.iterdir() if each.name.isdigit()]
        except OSError:
            return []

    def _held_by(self, process: str) -> set[str]:
        """The inodes of a process's sockets, as far as it is ours to see."""
        found = set()
        try:
            for descriptor in (self._proc / process / "fd").iterdir():
                target = os.readlink(descriptor)
                if target.startswith("socket:["):
                    found.add(target[8:-1])
        except OSError:
            return found  # another user's, or gone
        return found
