"""The nouns that travel between the packages: a call's events, an observation, a skip reason.

Nobody changes what is here, and it has no behaviour beyond naming things. What is made for each
call and only looked at is a class with a constructor of its own: compiled, one is made in a tenth
of the time that a named tuple takes. Times are nanoseconds of the machine's monotonic clock
(CLOCK_MONOTONIC, the same for every process on one host), so that the wire's stamps and the
observer's can be subtracted; they become wall-clock time only in spans.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple, TypeAlias

Metadata: TypeAlias = tuple[tuple[str, str], ...]
"""Header fields in wire order; names are lower case, `-bin` values stay base64 as on the wire."""

GrpcMetadata: TypeAlias = tuple[tuple[str, str | bytes], ...]
"""Metadata as grpcio takes it: `-bin` values are bytes."""


Chunk: TypeAlias = bytes | memoryview
"""Bytes that are good until the function they were given to returns."""


class Direction(IntEnum):
    """Who sent the bytes."""

    CLIENT = 0
    SERVER = 1


class SkipReason(StrEnum):
    """Why a call was not compared. Every call that is not compared has exactly one of these.

    The order is the order of the checks: first the operator's choice, then what was lost although
    it had been chosen. `INELIGIBLE` says which do not count against coverage.
    """

    # Decided from the request's header, by the operator's choice: not eligible.
    NOT_GRPC = "not_grpc"  # content-type is not application/grpc
    METHOD = "method"  # the method is not one of those to be compared
    FILTERED = "filtered"  # a metadata condition did not hold
    PAUSED = "paused"  # the operator paused the tee, or it did, being proven to do harm
    RESTING = "resting"  # in a slice of time that was drawn for production to be without the tee
    ENDED = "ended"  # the experiment's budget of calls or time is used up
    NOT_SAMPLED = "not_sampled"  # left out by the sampling fraction or the sticky key
    NO_SHADOW = "no_shadow"  # no shadow is configured, or it is still waited for
    RATE_LIMITED = "rate_limited"  # the token bucket of calls a second was empty
    # Decided before either answer is known, but not by choice: lost coverage.
    SHED = "shed"  # left out at random, for observer or shadow had no time for all
    PAIRS_FULL = "pairs_full"  # as many calls in flight as the observer may hold (count or bytes)
    BREAKER_OPEN = "breaker_open"
    QUEUE_FULL = "queue_full"  # the shadow's queue is at its bound in calls
    BYTES_LIMITED = "bytes_limited"  # the token bucket of bytes a second: it asks for the size
    REQUEST_TOO_LARGE = "request_too_large"  # which no header tells, hence after what one does
    QUEUE_BYTES = "queue_bytes"  # the shadow's queue is at its bound in bytes
    EXPIRED = "expired"  # waited in the queue past its usefulness
    # Found out while reading the call.
    # Production answered before the request was complete, or either side said that it did nothing
    # (REFUSED_STREAM, GOAWAY), which gRPC's clients try again unasked.
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"  # the client gave up
    RESPONSE_TOO_LARGE = "response_too_large"
    TAP_GAP = "tap_gap"  # the tap was full and some of the call's DATA was not copied
    BLIND = "blind"  # the connection went blind, or opaque, with the call in flight or before it
    MALFORMED = "malformed"  # gRPC framing or compression that cannot be read
    ABANDONED = "abandoned"  # older than any call may get while waiting for its answer
    SHUTDOWN = "shutdown"  # the observer ended first


INELIGIBLE = frozenset(
    {
        SkipReason.NOT_GRPC,
        SkipReason.METHOD,
        SkipReason.FILTERED,
        SkipReason.NOT_SAMPLED,
        SkipReason.NO_SHADOW,
        SkipReason.PAUSED,
        SkipReason.RESTING,
        SkipReason.ENDED,
        SkipReason.RATE_LIMITED,
        SkipReason.CANCELLED,
    }
)
"""Skips that do not count against coverage: the operator's choice, or the client's.

coverage = compared / (seen - the sum of these).
"""


DRAWN = frozenset({SkipReason.SHED})
"""Eligible calls that a draw left out before anything of them was known: the rest stands for them.

Every other eligible call that was not compared may be lost for a reason that has to do with it, and
counts at its worst for PASS and at its best for FAIL.
"""


class CallKey(NamedTuple):
    """Names one call within one observer's life."""

    connection: int
    stream: int


class Started(NamedTuple):
    """The request's header block has been read."""

    key: CallKey
    method: str  # as in `:path`: "/package.Service/Method"
    authority: str
    metadata: Metadata  # without pseudo-headers
    peer: str  # the client's address, "host:port"
    started_ns: int
    timeout_ns: int | None = None  # `grpc-timeout`
    is_grpc: bool = True
    sampled: bool = True  # False: the wire did not copy this stream's DATA
    legible: bool = True  # False: its header could not be read; method and metadata are empty
    # Not sampled: so many calls with the same header came together; the key is the first one's.
    calls: int = 1


@dataclass(slots=True, init=False)
class Requested:
    """The client has half-closed: the request is complete. Messages are decompressed."""

    key: CallKey
    messages: tuple[bytes, ...]
    ended_ns: int

    def __init__(self, key: CallKey, messages: tuple[bytes, ...], ended_ns: int) -> None:
        self.key, self.messages, self.ended_ns = key, messages, ended_ns


class Observation(NamedTuple):
    """What one side answered, and when. Messages are decompressed, without their gRPC frame."""

    status: int  # gRPC status code, 0 is OK
    detail: str  # grpc-message, percent-decoded
    messages: tuple[bytes, ...]
    started_ns: int  # the request's last byte was handed to the server's socket
    ended_ns: int  # the kernel received the answer's last byte, where its stamp is known
    headers: Metadata = ()  # initial metadata
    trailers: Metadata = ()
    first_message_ns: int = 0  # the last byte of the answer's first message came; 0: there is none
    last_message_ns: int = 0  # and of its last

    @property
    def latency_ns(self) -> int:
        """Time from the complete request to the end of the answer; never negative."""
        return max(0, self.ended_ns - self.started_ns)

    @property
    def first_message_latency_ns(self) -> int | None:
        """Time from the complete request to the answer's first message; None without one."""
        if not self.first_message_ns:
            return None
        return max(0, self.first_message_ns - self.started_ns)

    @property
    def message_gap_ns(self) -> int | None:
        """Mean time between the answer's messages; None when there are not two of them."""
        if len(self.messages) < 2 or not self.first_message_ns:
            return None
        return max(0, self.last_message_ns - self.first_message_ns) // (len(self.messages) - 1)


@dataclass(slots=True, init=False)
class Answered:
    """Production's answer is complete (trailers, or the reset or loss that stood in for them)."""

    key: CallKey
    observation: Observation

    def __init__(self, key: CallKey, observation: Observation) -> None:
        self.key, self.observation = key, observation


class Lost(NamedTuple):
    """The call can no longer be compared; nothing more will be said about it."""

    key: CallKey
    reason: SkipReason


Event: TypeAlias = Started | Requested | Answered | Lost
