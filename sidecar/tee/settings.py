"""What is shadowed, by whom, and within which bounds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sidecar.compare.readers.protocols import NOT_PREDICTIONS
from sidecar.fields import LIVE, Bytes, Count, Fraction, Name, Peer, Rate, Seconds, Section

# Never sent to a shadow: who the caller is, and what proves it.
DENIED_METADATA = ("authorization", "cookie", "proxy-authorization", "x-api-key")


class SampleSettings(Section):
    """Which share of the matching calls is shadowed."""

    fraction: Fraction = 1.0  # of the matching calls
    # None draws per call; "trace_id" or "metadata:NAME" keeps all calls of one key together.
    key: Annotated[str, Field(pattern=r"^(trace_id|metadata:[a-z0-9_.-]+)$")] | None = None


class MetadataCondition(Section):
    """A condition on one request metadata field; exactly one of the tests is given."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_.-]+$")]  # of the metadata field
    equals: str | None = None  # a value that must be there
    matches: str | None = None  # a regular expression that must match the whole value
    present: bool | None = None  # whether the field must be there, or must not

    @model_validator(mode="after")
    def _one_test(self) -> MetadataCondition:
        given = [k for k in ("equals", "matches", "present") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of equals, matches, present")
        if self.matches is not None:
            try:
                re.compile(self.matches)
            except re.error as error:
                raise ValueError(f"matches is not a regular expression: {error}") from None
        return self


class MatchSettings(Section):
    """Which calls are predictions worth comparing. Globs over "/package.Service/Method"."""

    methods: tuple[str, ...] = ("*",)  # globs; one must match
    # As the payload readers declare: calls that are no predictions, or would change the shadow.
    exclude: tuple[str, ...] = NOT_PREDICTIONS  # globs; none may match
    metadata: tuple[MetadataCondition, ...] = ()  # all must hold
    copies: bool = False  # whether calls that are copies themselves (`x-shadow`) are shadowed too


class RateSettings(Section):
    """A token bucket; None is no limit. The bucket holds one second's worth, at least one call."""

    calls_per_second: Rate | None = None  # at most; nothing: no limit
    bytes_per_second: Rate | None = None  # at most, of requests; nothing: no limit


class QueueSettings(Section):
    """Requests waiting for the shadow."""

    calls: Count = 1024  # waiting at most
    bytes: Bytes = 64 << 20  # of their requests
    max_wait_seconds: Seconds = 2.0  # older ones are expired


class BreakerSettings(Section):
    """When to stop calling a shadow that fails, and for how long."""

    consecutive_failures: Count = 10  # that open it
    failure_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5  # of the window, that opens it
    window_calls: Count = 100  # the ratio is taken over so many latest calls
    cooldown_seconds: Seconds = 5.0  # until the next try
    probes: Count = 3  # successes in the half-open state that close it again


class TLSSettings(Section):
    """TLS to a shadow; with cert and key it is mutual."""

    ca: Path | None = None  # None: the system's roots
    cert: Path | None = None  # our certificate, for mutual TLS
    key: Path | None = None  # its private key
    server_name: str | None = None  # in the server's certificate, when it is not the address

    @model_validator(mode="after")
    def _both(self) -> TLSSettings:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together")
        for name in ("ca", "cert", "key"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise ValueError(f"{name}: no such file: {path}")
        return self


class ShadowSettings(Section):
    """One receiver of copies."""

    name: Name = "shadow"  # how reports, metrics and spans name it
    address: Peer  # where it listens
    # control: a second replica of production, for the noise floor
    role: Literal["shadow", "control"] = "shadow"
    fraction: Annotated[Fraction, LIVE] = 1.0  # of the sampled calls; a control usually needs few
    version: str = ""  # the model's version, when the answers do not name it
    deadline_seconds: Annotated[Seconds, LIVE] = 5.0  # for one call
    concurrency: Count = 32  # calls on it at one time
    queue: Annotated[QueueSettings, LIVE] = QueueSettings()
    rate: Annotated[RateSettings, LIVE] = RateSettings()
    breaker: BreakerSettings = BreakerSettings()
    tls: TLSSettings | None = None  # nothing: cleartext
    authority: str | None = None  # sent as :authority; nothing: its address
    deny_metadata: tuple[str, ...] = DENIED_METADATA  # names never sent to it
    add_metadata: dict[str, str] = Field(default_factory=dict)  # sent to it besides
    max_response_bytes: Bytes = 16 << 20  # of one answer
    # Bytes of answers that may be on their way to us: no faster than this a round trip. A shadow
    # that floods costs the caches of production's machine this much.
    window_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 30)] = 256 << 10
    # And no more of its answers a second: it gets no window for more, so that its calls wait, and
    # fewer are begun (pace.limit: shadow). Nothing: no limit.
    answer_bytes_per_second: Rate | None = 128 << 20


class ProductionSettings(Section):
    """How the sidecar proves that it does production no harm, while it runs."""

    # Share of time, in slices of a second that are drawn, in which nothing is copied for shadows:
    # production's latency with the tee is held against that without; 0: it is not measured.
    rest: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    rest_after_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 120.0  # of watching
    # When it is proven that production's mean latency is higher by more than this, the tee pauses
    # itself.
    max_added_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0


class PairSettings(Section):
    """The calls in flight that the observer holds while it waits for both answers."""

    calls: Count = 4096  # in flight at most
    bytes: Bytes = 128 << 20  # of their messages, decompressed, metadata, and header tables
    max_age_seconds: Seconds = 60.0  # older calls are given up
    max_request_bytes: Bytes = 16 << 20  # all messages of one call
    max_response_bytes: Bytes = 16 << 20
