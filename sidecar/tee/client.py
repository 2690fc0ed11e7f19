"""One call to a shadow, by grpcio; every failure becomes a status.

Rule: `ShadowClient.call` never raises (but for its own cancellation), never retries, and never
mistakes a part of an answer for the whole. Counterpart: `shadow`, which decides when to call.

Which of grpcio's calls
    The wire does not tell a unary method from a streaming one, and grpcio's streaming calls work
    for every kind of method. Its unary call costs less than half of them (us of CPU a call in
    this process, 200-byte messages, 32 calls at a time; one at a time in brackets):

        unary_unary 66 (200)   unary_stream 150 (295)   stream_stream 195 (580)
        the synchronous stack: unary_unary with a done callback 95 (305), in threads 156 (203)

    So with one request message, `unary_unary` is used where the caller says that it expects one
    message in return. What it does when the shadow sends more: grpcio leaves the second message
    unread, the status behind it is never seen, and the call ends with DEADLINE_EXCEEDED. That is
    a wrong status but never a false agreement, and it is healed: a method whose call ended so is
    no longer called unary until a streaming call has seen it answer with one message. A unary
    call that fails after a message loses that message; its status decides either way.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import TypeAlias

import grpc
import grpc.aio

import sidecar
from sidecar.address import TCP, format_address, parse_address
from sidecar.call import Metadata, Observation
from sidecar.config import ShadowSettings, TLSSettings
from sidecar.tee.breaker import DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED
from sidecar.tee.metadata import GrpcMetadata

OK, INTERNAL = 0, 13
MAX_METHODS = 1024  # method names come from clients: what is remembered of them has a bound
MAX_INT = (1 << 31) - 1

Clock: TypeAlias = Callable[[], int]
"""The monotonic clock in nanoseconds."""


class ShadowClient:
    """A channel to one shadow. Make it within the running event loop.

    Raises:
        OSError: when a TLS file cannot be read.
        ValueError: when the address cannot be.
    """

    def __init__(self, settings: ShadowSettings) -> None:
        self._max_bytes = settings.max_response_bytes
        target, options = _target(settings.address), _options(settings)
        if settings.tls is None:
            self._channel = grpc.aio.insecure_channel(target, options=options)
        else:
            credentials = _credentials(settings.tls)
            self._channel = grpc.aio.secure_channel(target, credentials, options=options)
        self._not_unary: set[str] = set()

    async def call(
        self,
        method: str,
        messages: tuple[bytes, ...],
        metadata: GrpcMetadata,
        *,
        deadline_seconds: float,
        now: Clock,
        expects_single: bool = False,
    ) -> Observation:
        """Ask the shadow and wait for the whole answer.

        Args:
            method: as in `:path`.
            messages: the request, decompressed, without gRPC frames.
            metadata: from `MetadataPolicy.outgoing`.
            deadline_seconds: for the whole call, connecting included.
            now: stamps the observation.
            expects_single: production is known to answer this method with one message.

        Returns:
            What the shadow answered. An answer larger than `max_response_bytes` (one message, or
            all of a stream) is RESOURCE_EXHAUSTED without messages.
        """
        started_ns = now()
        unary = expects_single and len(messages) == 1 and method not in self._not_unary
        try:
            if unary:
                answer = await self._unary(method, messages[0], metadata, deadline_seconds)
            else:
                answer = await self._stream(method, messages, metadata, deadline_seconds)
        except Exception as error:  # law 1: whatever grpcio makes of odd input is an answer too
            answer = (INTERNAL, f"{type(error).__name__}: {error}", (), (), ())
        status, detail, received, headers, trailers = answer
        self._learn(method, unary, status, len(received))
        return Observation(
            status=status,
            detail=detail,
            messages=received,
            started_ns=started_ns,
            ended_ns=now(),
            headers=headers,
            trailers=trailers,
        )

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel itself, for asking the shadow about itself (server reflection)."""
        return self._channel

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        await self._channel.close()

    async def _unary(
        self, method: str, request: bytes, metadata: GrpcMetadata, deadline: float
    ) -> _Answer:
        stub: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(method)
        call = stub(request, timeout=deadline, metadata=metadata)
        try:
            response: bytes | None = await call
        except grpc.aio.AioRpcError as error:
            return _failure(error, ())
        # grpcio gives None, or its end of file, for OK without any message.
        received = (response,) if isinstance(response, bytes) else ()
        return await _success(call, received)

    async def _stream(
        self,
        method: str,
        requests: tuple[bytes, ...],
        metadata: GrpcMetadata,
        deadline: float,
    ) -> _Answer:
        call: _StreamingCall
        if len(requests) == 1:
            one: grpc.aio.UnaryStreamMultiCallable[bytes, bytes]
            one = self._channel.unary_stream(method)
            call = one(requests[0], timeout=deadline, metadata=metadata)
        else:
            # An iterator, because writing it all before reading could deadlock with a shadow
            # that answers as it reads and waits for us to take its answers.
            many: grpc.aio.StreamStreamMultiCallable[bytes, bytes]
            many = self._channel.stream_stream(method)
            call = many(iter(requests), timeout=deadline, metadata=metadata)
        received: list[bytes] = []
        size = 0
        try:
            async for message in call:
                size += len(message)
                if size > self._max_bytes:
                    call.cancel()
                    detail = f"the shadow's answer is larger than {self._max_bytes} bytes"
                    return RESOURCE_EXHAUSTED, detail, (), (), ()
                received.append(message)
        except grpc.aio.AioRpcError as error:
            return _failure(error, tuple(received))
        return await _success(call, tuple(received))

    def _learn(self, method: str, unary: bool, status: int, received: int) -> None:
        if unary and status == DEADLINE_EXCEEDED:
            if len(self._not_unary) >= MAX_METHODS:
                self._not_unary.clear()
            self._not_unary.add(method)
        elif not unary and status == OK and received == 1:
            self._not_unary.discard(method)


_Answer: TypeAlias = tuple[int, str, tuple[bytes, ...], Metadata, Metadata]
_StreamingCall: TypeAlias = (
    grpc.aio.UnaryStreamCall[bytes, bytes] | grpc.aio.StreamStreamCall[bytes, bytes]
)
_AnyCall: TypeAlias = grpc.aio.UnaryUnaryCall[bytes, bytes] | _StreamingCall


async def _success(call: _AnyCall, received: tuple[bytes, ...]) -> _Answer:
    headers, trailers = await call.initial_metadata(), await call.trailing_metadata()
    return OK, await call.details() or "", received, _as_read(headers), _as_read(trailers)


def _failure(error: grpc.aio.AioRpcError, received: tuple[bytes, ...]) -> _Answer:
    status: int = error.code().value[0]
    headers, trailers = error.initial_metadata(), error.trailing_metadata()
    return status, error.details() or "", received, _as_read(headers), _as_read(trailers)


def _as_read(metadata: Iterable[tuple[str, str | bytes]] | None) -> Metadata:
    """Write grpcio's metadata as `call.Metadata` has it: `-bin` values in base64."""
    return tuple(
        (name, value if isinstance(value, str) else base64.b64encode(value).decode())
        for name, value in metadata or ()
    )


def _target(address: str) -> str:
    parsed = parse_address(address)
    if isinstance(parsed, TCP):
        return f"dns:///{format_address(*parsed)}"
    return f"unix:{parsed.path}"


def _options(settings: ShadowSettings) -> list[tuple[str, str | int]]:
    options: list[tuple[str, str | int]] = [
        ("grpc.primary_user_agent", f"shadow-sidecar/{sidecar.__version__}"),
        ("grpc.max_receive_message_length", min(settings.max_response_bytes, MAX_INT)),
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
