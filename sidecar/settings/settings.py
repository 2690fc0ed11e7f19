"""Every section of the configuration put together: frozen, validated as a whole.

Each package declares its own section; here are those of the processes, and the whole. Counterpart:
`sources`, which reads these from a file, the environment and flags.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from sidecar.address import MAX_UNIX_PATH, is_loopback, parse_address
from sidecar.capture.settings import CaptureSettings
from sidecar.compare.settings import CompareSettings
from sidecar.fields import LIVE, Address, Count, Off, Peer, Seconds, Section
from sidecar.judge.settings import JudgeSettings
from sidecar.store.settings import StateSettings
from sidecar.tee.settings import (
    MatchSettings,
    PairSettings,
    ProductionSettings,
    SampleSettings,
    ShadowSettings,
)
from sidecar.telemetry.settings import TelemetrySettings
from sidecar.wire.memory import CONNECTIONS, MEMORY_BYTES, TAP_BYTES, waiting_limit

Priority: TypeAlias = Literal["idle", "low", "normal"]


def _unix_path(path: Path) -> Path:
    if not 0 < len(os.fsencode(path)) <= MAX_UNIX_PATH:
        raise ValueError(f"{path}: a Unix socket's path has 1 to {MAX_UNIX_PATH} bytes")
    return path


class Route(Section):
    """One listening address and the model server behind it."""

    listen: Address  # where clients connect
    upstream: Peer  # the model server that answers them


class WireSettings(Section):
    """Production's path."""

    routes: tuple[Route, ...] = ()  # each way in, with its server
    # Unix socket between wire and observer
    tap: Annotated[Path, AfterValidator(_unix_path)] = Path("/tmp/shadow-sidecar/tap.sock")
    tap_bytes: Annotated[int, Field(ge=65536)] = TAP_BYTES  # copied, waiting for each observer
    connection_bytes: Annotated[int, Field(ge=4096)] = 256 << 10  # forwarded, unsent, a direction
    connections: Count = CONNECTIONS  # open at one time; further ones are refused
    memory_bytes: Count = MEMORY_BYTES  # all that the wire holds; a pod's limit is made from it
    linger_seconds: Seconds = 30.0  # of silence after production's end, until the client is let go
    drain_seconds: Seconds = 30.0  # given to open connections when the wire ends
    # goaway: have clients of blind connections connect again
    resync: Annotated[Literal["off", "goaway"], Off] = "off"


class ObserverSettings(Section):
    """The process behind the tap."""

    # idle: what nobody else wants; low: a tenth of a core that others want too; normal.
    priority: Priority = "idle"
    processes: Count = 1  # observers that share the connections
    # Who cannot be reached at the start gets no calls, at most so long; 0: calls begin at once.
    wait_shadow_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class HTTPSettings(Section):
    """Where health, metrics and status are served."""

    listen: Address = "127.0.0.1:9095"  # health, metrics, status, page, gate
    # Globs over the names it is served under, beside loopback's and any address; none: those alone
    # on loopback, every name where listen is open to a network.
    hosts: tuple[str, ...] = ()


class AdminTLS(Section):
    """Mutual TLS of the admin API; the files may be renewed while the sidecar runs."""

    cert: Path  # this server's certificate
    key: Path  # its private key
    ca: Path  # who may have signed a caller's certificate

    @model_validator(mode="after")
    def _exist(self) -> AdminTLS:
        for name in ("cert", "key", "ca"):
            path: Path = getattr(self, name)
            if not path.is_file():
                raise ValueError(f"{name}: no such file: {path}")
        return self


class AdminSettings(Section):
    """Where the gRPC Admin API is served: counts for `report`, labels, policy."""

    listen: Address = "127.0.0.1:9096"  # the gRPC Admin API; beyond loopback only with tls
    tls: AdminTLS | None = None  # mutual TLS; nothing: none
    # Without tls, changing anything asks for the token in this file, which is made if it is not
    # there; nothing: in the user's runtime folder, or the cache folder, or beside a pod's tap.
    token_file: Path | None = None

    @model_validator(mode="after")
    def _guarded(self) -> AdminSettings:
        if self.tls is None and not is_loopback(parse_address(self.listen)):
            raise ValueError(
                f"listen {self.listen!r}: only a loopback address or a Unix socket may go without "
                "tls (cert, key, ca)"
            )
        return self


class Settings(Section):
    """The whole configuration."""

    wire: WireSettings = WireSettings()
    observer: ObserverSettings = ObserverSettings()
    http: HTTPSettings = HTTPSettings()
    admin: AdminSettings = AdminSettings()
    match: MatchSettings = MatchSettings()
    sample: Annotated[SampleSettings, LIVE] = SampleSettings()
    paused: Annotated[bool, LIVE] = False  # no call is shadowed while true
    production: ProductionSettings = ProductionSettings()
    pairs: PairSettings = PairSettings()
    shadows: tuple[ShadowSettings, ...] = ()  # who receives copies
    compare: CompareSettings = CompareSettings()
    judge: JudgeSettings = JudgeSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    state: StateSettings = StateSettings()
    capture: CaptureSettings = CaptureSettings()

    @property
    def judged(self) -> JudgeSettings:
        """The section `judge`, with how many shadows are tried at once."""
        count = self.judge.candidates or sum(s.role == "shadow" for s in self.shadows)
        return self.judge.model_copy(update={"candidates": max(1, count)})

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        problems = []
        names = [shadow.name for shadow in self.shadows]
        problems += [f"shadows: name {n!r} is used twice" for n in set(names) if names.count(n) > 1]
        listens = [route.listen for route in self.wire.routes]
        problems += [
            f"wire.routes: listen {a!r} is used twice" for a in set(listens) if listens.count(a) > 1
        ]
        problems += [
            f"wire.routes: {route.listen!r} forwards to itself"
            for route in self.wire.routes
            if route.listen == route.upstream
        ]
        wire = self.wire
        try:
            waiting_limit(
                wire.memory_bytes, wire.connections, self.observer.processes + 1, wire.tap_bytes
            )
        except ValueError as error:
            problems.append(f"wire.memory_bytes: {error}")
        if problems:
            raise ValueError("; ".join(sorted(problems)))
        return self
