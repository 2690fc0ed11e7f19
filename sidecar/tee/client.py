"""One call to a shadow; every failure becomes a status.

Rule: `ShadowClient.call` never raises, tells once and never at once, never retries, and never
mistakes a part of an answer for the whole. Counterparts: `channel`, which asks; `shadow`, which
decides when.

Why not by grpcio
    It was, and took two thirds of the observer's CPU: a call of grpcio's asyncio stack costs 170
    to 250 us in this process where calls come a few at a time, and whether a method is unary had
    to be guessed, because its streaming calls cost twice as much again. The conversation that is
    spoken here costs about a fifth of that, is the same for every kind of method, and reads a
    shadow's answer with the very parts that read production's. A grpcio channel remains for
    asking the shadow about itself (server reflection); it connects when it is first used.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import grpc
import grpc.aio

import sidecar
from sidecar.address import TCP, format_address, parse_address
from sidecar.call import GrpcMetadata, Observation, SkipReason
from sidecar.http2.answers import Answer
from sidecar.http2.budget import Budget
from sidecar.http2.conversation import Conversation
from sidecar.http2.limits import ReadLimits
from sidecar.tee.channel import Channel
from sidecar.tee.connection import Call
from sidecar.tee.settings import ShadowSettings, TLSSettings

AGENT = f"shadow-sidecar/{sidecar.__version__}"

_NO_ANSWER = frozenset({SkipReason.INCOMPLETE, SkipReason.PAIRS_FULL})

Clock: TypeAlias = Callable[[], int]
"""The monotonic clock in nanoseconds."""


class ShadowClient:
    """Asks one shadow. Make it within the running event loop.

    Raises:
        OSError: when a TLS file cannot be read.
        ValueError: when the address cannot be.
    """

    def __init__(self, settings: ShadowSettings, budget: Budget | None = None) -> None:
        """`budget` is for answers until they are told; one without room is PAIRS_FULL."""
        budget = budget or Budget()
        self._settings = settings
        self._reflected: grpc.aio.Channel | None = None
        address, tls = parse_address(settings.address), settings.tls
        host = address.host if isinstance(address, TCP) else "localhost"
        named = format_address(*address) if isinstance(address, TCP) else host
        name = host if tls is None or tls.server_name is None else tls.server_name
        if tls is not None and tls.server_name is not None:
            named = tls.server_name
        speak = partial(
            Conversation,
            "http" if tls is None else "https",
            settings.authority or named,
            AGENT,
            ReadLimits(max_response_bytes=settings.max_response_bytes),
            settings.window_bytes,
            budget,
        )
        self._channel = Channel(
            address, None if tls is None else _context(tls), name, speak, budget
        )

    def call(
        self,
        method: str,
        messages: tuple[bytes, ...],
        metadata: GrpcMetadata,
        *,
        deadline_seconds: float,
        now: Clock,
        done: Callable[[Observation, SkipReason | None], None],
    ) -> Call:
        """Ask the shadow.

        Args:
            method: as in `:path`.
            messages: the request, decompressed, without gRPC frames.
            metadata: from `MetadataPolicy.outgoing`.
            deadline_seconds: for the whole call, connecting included.
            now: the monotonic clock, for what the socket has no stamps of.
            done: is told what the shadow answered, when it is whole. An answer larger than
                `max_response_bytes` (all messages together) is RESOURCE_EXHAUSTED without messages.
                With it comes PAIRS_FULL if there was no room for the answer, and INCOMPLETE if
                the shadow said that it did nothing (REFUSED_STREAM, GOAWAY).

        Returns:
            What `cancel` takes.
        """
        asked_ns = now()

        def answered(answer: Answer) -> None:
            status, detail, said, headers, trailers, skip, first_ns, last_ns = answer
            # One that was not sent whole is timed from when it was asked.
            started_ns = call.sent_ns or asked_ns
            ended_ns = call.ended_ns if started_ns <= call.ended_ns else now()
            # What cannot be read counts against the shadow: nobody else could read it either, or
            # would, it being larger than the operator allows.
            observation = Observation(
                status, detail, said, started_ns, ended_ns, headers, trailers, first_ns, last_ns
            )
            done(observation, skip if skip in _NO_ANSWER else None)

        call = self._channel.ask(method, messages, metadata, deadline_seconds, answered)
        return call

    def cancel(self, call: Call) -> None:
        """Give a call up; nothing more is told of it."""
        self._channel.cancel(call)

    @property
    def channel(self) -> grpc.aio.Channel:
        """A grpcio channel, for asking the shadow about itself (server reflection)."""
        if self._reflected is None:
            self._reflected = _grpc_channel(self._settings)
        return self._reflected

    async def close(self) -> None:
        """Close the connections; calls in flight end as UNAVAILABLE."""
        await self._channel.close()
        if self._reflected is not None:
            await self._reflected.close()


def _context(tls: TLSSettings) -> ssl.SSLContext:
    if tls.ca is not None and not tls.ca.is_file():
        raise FileNotFoundError(f"no such file: {tls.ca}")
    context = ssl.create_default_context(cafile=tls.ca)
    context.set_alpn_protocols(["h2"])
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context


def _grpc_channel(settings: ShadowSettings) -> grpc.aio.Channel:
    target, options = _target(settings.address), _options(settings)
    if settings.tls is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, _credentials(settings.tls), options=options)


def _target(address: str) -> str:
    parsed = parse_address(address)
    if isinstance(parsed, TCP):
        return f"dns:///{format_address(*parsed)}"
    return f"unix:{parsed.path}"


def _options(settings: ShadowSettings) -> list[tuple[str, str | int]]:
    options: list[tuple[str, str | int]] = [
        ("grpc.primary_user_agent", f"shadow-sidecar/{sidecar.__version__}"),
        ("grpc.max_send_message_length", -1),
        # A retried copy would show the shadow more traffic than production has.
        ("grpc.enable_retries", 0),
        # Copies of production's data go where the operator said, not through a proxy that some
        # environment variable names, and as the operator said, not as a DNS record says.
        ("grpc.enable_http_proxy", 0),
        ("grpc.service_config_disable_resolution", 1),
        # Channels to one address share a connection otherwise, and with it their troubles.
        ("grpc.use_local_subchannel_pool", 1),
        # A peer that vanished without a reset is noticed; only while calls are in flight, since
        # servers hang up on clients that ping for nothing.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # A shadow that comes back is found again about as soon as a breaker would try it; the
        # default backs off to two minutes.
        ("grpc.initial_reconnect_backoff_ms", 500),
        ("grpc.max_reconnect_backoff_ms", 5_000),
    ]
    if settings.authority is not None:
        options.append(("grpc.default_authority", settings.authority))
    if settings.tls is not None and settings.tls.server_name is not None:
        options.append(("grpc.ssl_target_name_override", settings.tls.server_name))
    return options


def _credentials(tls: TLSSettings) -> grpc.ChannelCredentials:
    ca, key, cert = (
        None if path is None else path.read_bytes() for path in (tls.ca, tls.key, tls.cert)
    )
    return grpc.ssl_channel_credentials(ca, key, cert)
