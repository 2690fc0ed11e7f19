"""What a wire is to do. Counterparts: `cli`, which reads it; `server`, which does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sidecar.address import TCP, Unix
from sidecar.wire.memory import CONNECTIONS, MEMORY_BYTES, SESSIONS, TAP_BYTES


@dataclass(frozen=True, slots=True)
class Route:
    """One listening address and the model server behind it."""

    listen: TCP | Unix
    upstream: TCP | Unix


@dataclass(frozen=True, slots=True)
class Options:
    """What a wire is to do. Sizes are bytes, durations seconds."""

    routes: tuple[Route, ...]
    tap: Path | None = None
    tap_bytes: int = TAP_BYTES
    connection_bytes: int = 256 << 10
    sessions: int = SESSIONS  # observers at once
    connections: int = CONNECTIONS
    memory_bytes: int = MEMORY_BYTES
    linger_seconds: float = 30.0
    drain_seconds: float = 30.0
    resync: bool = False
    leave: Path | None = None  # where our pid is found; SIGUSR1 asks clients to go elsewhere
