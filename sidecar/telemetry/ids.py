"""W3C trace context: reading and writing `traceparent`, and drawing new ids. Pure.

Rule: what does not follow https://www.w3.org/TR/trace-context/ counts as absent, never as an
error. Counterpart: `plan`, which decides what a call's ids are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from sidecar.call import Metadata

DrawBits: TypeAlias = Callable[[int], int]
"""Draws a uniform integer of so many bits, as `random.getrandbits` does."""

TRACEPARENT = "traceparent"
_SAMPLED = 0x01
# A version above 00 may append fields after another dash; what it appends is not for us.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class TraceContext(NamedTuple):
    """One span's name in the world: its trace, itself, and whether the trace is kept."""

    trace_id: int  # 128 bits, not 0
    span_id: int  # 64 bits, not 0
    sampled: bool

    @property
    def trace_hex(self) -> str:
        """The trace id as people search for it: 32 hexadecimal digits."""
        return f"{self.trace_id:032x}"

    @property
    def span_hex(self) -> str:
        """The span id as 16 hexadecimal digits."""
        return f"{self.span_id:016x}"


def parse_traceparent(text: str) -> TraceContext | None:
    """Read one `traceparent` value; None when the specification calls it invalid."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    version, trace, span, flags, more = match.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    trace_id, span_id = int(trace, 16), int(span, 16)
    if not trace_id or not span_id:
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def format_traceparent(context: TraceContext) -> str:
    """Write a context as a version 00 `traceparent` value."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.sampled:02x}"


def caller_traceparent(metadata: Metadata) -> str:
    """Find the caller's `traceparent` in a call's metadata, unread; empty for none or several."""
    values = [value for name, value in metadata if name == TRACEPARENT]
    return values[0].strip() if len(values) == 1 else ""


def new_trace_id(draw_bits: DrawBits) -> int:
    """Draw a trace id."""
    return draw_bits(128) or 1  # all-zero names nothing


def new_span_id(draw_bits: DrawBits) -> int:
    """Draw a span id."""
    return draw_bits(64) or 1
