"""One call to a shadow; every failure becomes a status.

Rule: `ShadowClient.call` never raises, tells once and never at once, never retries, and never
mistakes a part of an answer for the whole. Counterparts: `channel`, which asks; `shadow`, which
decides when.

Why not by grpcio
    It was, and took two thirds of the observer's CPU: a call of grpcio's asyncio stack costs 170
    to 250 us in this process where calls come a few at a time, and whether a method is unary had
    to be guessed, because its streaming calls cost twice as much again. The conversation that is
    spoken here costs about a fifth of that, is the same for every kind of method, and reads a
    shadow's answer with the very parts that read production's. Server reflection is asked in the
    same way, for grpcio's windows grow with what a server floods them with: 355 MiB were seen.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

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
            settings.answer_bytes_per_second,
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

    async def ask(
        self,
        method: str,
        messages: tuple[bytes, ...],
        metadata: GrpcMetadata = (),
        *,
        deadline_seconds: float,
        now: Clock = time.monotonic_ns,
    ) -> Observation:
        """The same for whoever can wait; cancelling it gives the call up."""
        answered: asyncio.Future[Observation] = asyncio.get_running_loop().create_future()
        call = self.call(
            method,
            messages,
            metadata,
            deadline_seconds=deadline_seconds,
            now=now,
            done=lambda answer, _: None if answered.done() else answered.set_result(answer),
        )
        try:
            return await answered
        except asyncio.CancelledError:
            self.cancel(call)
            raise

    async def close(self) -> None:
        """Close the connections; calls in flight end as UNAVAILABLE."""
        await self._channel.close()


def _context(tls: TLSSettings) -> ssl.SSLContext:
    if tls.ca is not None and not tls.ca.is_file():
        raise FileNotFoundError(f"no such file: {tls.ca}")
    context = ssl.create_default_context(cafile=tls.ca)
    context.set_alpn_protocols(["h2"])
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context
