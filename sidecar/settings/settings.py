"""Every setting of the sidecar and its default: frozen, validated as a whole.

Sizes are bytes and durations are seconds unless the key says otherwise. Counterpart:
`configuration`, which reads these from a file, the environment and flags.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from sidecar.address import MAX_UNIX_PATH, is_loopback, parse_address
from sidecar.judge.settings import JudgeSettings
from sidecar.run.priority import Priority


def _address(text: str) -> str:
    parse_address(text)
    return text


Address = Annotated[str, AfterValidator(_address)]
"""`host:port`, `[v6]:port` or `unix:/path`."""
Count = Annotated[int, Field(ge=1)]
Bytes = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
# YAML 1.1, which PyYAML speaks, reads an unquoted `off` as false.
Off = BeforeValidator(lambda value: "off" if value is False else value)
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]

# Services whose calls are never predictions, or whose calls would change the shadow.
NOT_PREDICTIONS = (
    "/grpc.health.v1.Health/*",
    "/grpc.reflection.*/*",
    "/grpc.channelz.*/*",
    "/inference.GRPCInferenceService/Server*",
    "/inference.GRPCInferenceService/ModelReady",
    "/inference.GRPCInferenceService/ModelMetadata",
    "/inference.GRPCInferenceService/ModelConfig",
    "/inference.GRPCInferenceService/ModelStatistics",
    "/inference.GRPCInferenceService/Repository*",
    "/inference.GRPCInferenceService/*SharedMemory*",
    "/inference.GRPCInferenceService/TraceSetting",
    "/inference.GRPCInferenceService/LogSettings",
    "/tensorflow.serving.PredictionService/GetModelMetadata",
    "/tensorflow.serving.ModelService/*",
)

# Never sent to a shadow: who the caller is, and what proves it.
DENIED_METADATA = ("authorization", "cookie", "proxy-authorization", "x-api-key")


def _unix_path(path: Path) -> Path:
    if not 0 < len(os.fsencode(path)) <= MAX_UNIX_PATH:
        raise ValueError(f"{path}: a Unix socket's path has 1 to {MAX_UNIX_PATH} bytes")
    return path


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Route(_Settings):
    """One listening address and the model server behind it."""

    listen: Address
    upstream: Address


class WireSettings(_Settings):
    """Production's path."""

    routes: tuple[Route, ...] = ()
    tap: Annotated[Path, AfterValidator(_unix_path)] = Path("/tmp/shadow-sidecar/tap.sock")
    tap_bytes: Annotated[int, Field(ge=65536)] = 8 << 20  # copied, waiting for each observer
    connection_bytes: Annotated[int, Field(ge=4096)] = 256 << 10  # forwarded, unsent, a direction
    connections: Count = 10_000
    drain_seconds: Seconds = 30.0
    resync: Annotated[Literal["off", "goaway"], Off] = "off"


class SampleSettings(_Settings):
    """Which share of the matching calls is shadowed."""

    fraction: Fraction = 1.0
    # None draws per call; "trace_id" or "metadata:NAME" keeps all calls of one key together.
    key: Annotated[str, Field(pattern=r"^(trace_id|metadata:[a-z0-9_.-]+)$")] | None = None


class MetadataCondition(_Settings):
    """A condition on one request metadata field; exactly one of the tests is given."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_.-]+$")]
    equals: str | None = None
    matches: str | None = None  # a regular expression that must match the whole value
    present: bool | None = None

    @model_validator(mode="after")
    def _one_test(self) -> MetadataCondition:
        given = [k for k in ("equals", "matches", "present") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of equals, matches, present")
        if self.matches is not None:
            import re

            try:
                re.compile(self.matches)
            except re.error as error:
                raise ValueError(f"matches is not a regular expression: {error}") from None
        return self


class MatchSettings(_Settings):
    """Which calls are predictions worth comparing. Globs over "/package.Service/Method"."""

    methods: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = NOT_PREDICTIONS
    metadata: tuple[MetadataCondition, ...] = ()  # all must hold
    copies: bool = False  # whether calls that are copies themselves (`x-shadow`) are shadowed too


class RateSettings(_Settings):
    """A token bucket; None is no limit. The bucket holds one second's worth, at least one call."""

    calls_per_second: Annotated[float, Field(gt=0)] | None = None
    bytes_per_second: Annotated[float, Field(gt=0)] | None = None


class QueueSettings(_Settings):
    """Requests waiting for the shadow."""

    calls: Count = 1024
    bytes: Bytes = 64 << 20
    max_wait_seconds: Seconds = 2.0


class BreakerSettings(_Settings):
    """When to stop calling a shadow that fails, and for how long."""

    consecutive_failures: Count = 10
    failure_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    window_calls: Count = 100  # the ratio is taken over so many latest calls
    cooldown_seconds: Seconds = 5.0
    probes: Count = 3  # successes in the half-open state that close it again


class TLSSettings(_Settings):
    """TLS to a shadow; with cert and key it is mutual."""

    ca: Path | None = None  # None: the system's roots
    cert: Path | None = None
    key: Path | None = None
    server_name: str | None = None

    @model_validator(mode="after")
    def _both(self) -> TLSSettings:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together")
        for name in ("ca", "cert", "key"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise ValueError(f"{name}: no such file: {path}")
        return self


class ShadowSettings(_Settings):
    """One receiver of copies."""

    name: Name = "shadow"
    address: Address
    role: Literal["shadow", "control"] = "shadow"
    fraction: Fraction = 1.0  # of the sampled calls; a control usually needs few
    version: str = ""  # the model's version, when the answers do not name it
    deadline_seconds: Seconds = 5.0
    concurrency: Count = 32
    queue: QueueSettings = QueueSettings()
    rate: RateSettings = RateSettings()
    breaker: BreakerSettings = BreakerSettings()
    tls: TLSSettings | None = None
    authority: str | None = None
    deny_metadata: tuple[str, ...] = DENIED_METADATA
    add_metadata: dict[str, str] = {}
    max_response_bytes: Bytes = 16 << 20
    # Bytes of answers that may be on their way to us: no faster than this a round trip. A shadow
    # that floods costs the caches of production's machine this much.
    window_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 30)] = 256 << 10


class PairSettings(_Settings):
    """The calls in flight that the observer holds while it waits for both answers."""

    calls: Count = 4096
    bytes: Bytes = 128 << 20
    max_age_seconds: Seconds = 60.0
    max_request_bytes: Bytes = 16 << 20  # all messages of one call
    max_response_bytes: Bytes = 16 << 20


RuleName = Literal[
    "auto",
    "tolerance",
    "exact",
    "argmax",
    "topk",
    "rbo",
    "kendall",
    "total_variation",
    "jensen_shannon",
    "cosine",
    "text",
    "tokens",
    "edit",
    "json",
    "ignore",
]


class OutputRule(_Settings):
    """How outputs whose method, model and name match the globs are compared. First match wins."""

    output: str = "*"
    method: str = "*"
    model: str = "*"
    rule: RuleName = "auto"
    atol: Annotated[float, Field(ge=0)] | None = None  # None: by the output's number type
    rtol: Annotated[float, Field(ge=0)] | None = None
    max_outside: Fraction = 0.0  # share of elements that may be outside the tolerance
    max_score: Fraction = 1e-6  # distance up to which rankings, vectors and texts agree
    k: Count = 10  # how far down a ranking topk and rbo look
    persistence: Annotated[float, Field(gt=0, lt=1)] = 0.9  # of rbo's reader


class CompareSettings(_Settings):
    """How answers are read and compared."""

    descriptors: Path | None = None  # a serialized FileDescriptorSet for methods of your own
    reflection: bool = True  # else ask a shadow's reflection service for unknown methods
    rules: tuple[OutputRule, ...] = ()

    @model_validator(mode="after")
    def _exists(self) -> CompareSettings:
        if self.descriptors is not None and not self.descriptors.is_file():
            raise ValueError(f"descriptors: no such file: {self.descriptors}")
        return self


class TelemetrySettings(_Settings):
    """Spans go out over OTLP/gRPC as the standard OTEL_* environment variables say."""

    traces: Annotated[Literal["joined", "separate", "off"], Off] = "joined"
    agreeing_fraction: Fraction = 0.1  # share of agreeing pairs that is exported
    queue_spans: Count = 4096
    # Where people open a trace, for the page's links: "http://jaeger:16686/trace/{trace_id}".
    trace_url: Annotated[str, Field(pattern=r"^(https?://\S*\{trace_id\}\S*)?$")] = ""


class ObserverSettings(_Settings):
    """The process behind the tap."""

    # idle: what nobody else wants; low: a tenth of a core that others want too; normal.
    priority: Priority = "idle"
    processes: Count = 1


class HTTPSettings(_Settings):
    """Where health, metrics and status are served."""

    listen: Address = "127.0.0.1:9095"


class AdminTLS(_Settings):
    """Mutual TLS of the admin API; the files may be renewed while the sidecar runs."""

    cert: Path
    key: Path
    ca: Path  # who may have signed a caller's certificate

    @model_validator(mode="after")
    def _exist(self) -> AdminTLS:
        for name in ("cert", "key", "ca"):
            path: Path = getattr(self, name)
            if not path.is_file():
                raise ValueError(f"{name}: no such file: {path}")
        return self


class AdminSettings(_Settings):
    """Where the gRPC Admin API is served: counts for `report`, labels, policy."""

    listen: Address = "127.0.0.1:9096"
    tls: AdminTLS | None = None

    @model_validator(mode="after")
    def _guarded(self) -> AdminSettings:
        if self.tls is None and not is_loopback(parse_address(self.listen)):
            raise ValueError(
                f"listen {self.listen!r}: only a loopback address or a Unix socket may go without "
                "tls (cert, key, ca)"
            )
        return self


class Settings(_Settings):
    """The whole configuration."""

    wire: WireSettings = WireSettings()
    observer: ObserverSettings = ObserverSettings()
    http: HTTPSettings = HTTPSettings()
    admin: AdminSettings = AdminSettings()
    match: MatchSettings = MatchSettings()
    sample: SampleSettings = SampleSettings()
    paused: bool = False
    pairs: PairSettings = PairSettings()
    shadows: tuple[ShadowSettings, ...] = ()
    compare: CompareSettings = CompareSettings()
    judge: JudgeSettings = JudgeSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

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
        if problems:
            raise ValueError("; ".join(sorted(problems)))
        return self
