"""How much the reader may hold for one call and for one connection.

Counterpart: `sidecar.tee.settings.PairSettings`, which sets the first two. The number of calls has
no bound here: the caller's `wants` answers for each of them, and a call it refuses leaves no state.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Sizes in bytes."""

    max_request_bytes: int = 16 << 20  # all messages of one call, decompressed
    max_response_bytes: int = 16 << 20
    max_header_bytes: int = 64 << 10  # a header block, on the wire and as a decoded list
    max_messages: int = 1 << 16  # of one call in one direction: small ones cost more than bytes
