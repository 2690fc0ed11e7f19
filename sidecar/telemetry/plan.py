"""What the spans of one call will be called, decided when the call is dispatched. Pure.

Rule: a shadow receives its `traceparent` before any answer is known, so every id is drawn now and
whether the pair is kept although it agrees is drawn now too; whether it is kept because it differs
is decided at the end. Counterpart: `spans`, which fills the plan with what happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from sidecar.call import GrpcMetadata, Metadata
from sidecar.tee.metadata import TRACE_FIELDS
from sidecar.telemetry.ids import DrawBits, TraceContext, new_span_id, new_trace_id
from sidecar.telemetry.propagation import W3C, Propagation

Layout: TypeAlias = Literal["comparison", "joined", "off"]


class SpanPlan(NamedTuple):
    """The ids of a call's spans.

    Comparison: production's span is in the caller's trace, every shadow's in a trace of this call.
    Joined: every shadow's span is in production's trace, below production's span.
    A call that came without a trace has none of its own: its production stands in the comparison.
    """

    layout: Layout
    parent: TraceContext | None  # the caller's span, whether it is recorded or not
    production: TraceContext | None  # None: no spans are made
    shadows: Mapping[str, TraceContext]  # by the shadow's name
    upstream: str = ""  # production's server; kept here, for the connection may end first
    propagation: Propagation = W3C

    @property
    def sampled(self) -> bool:
        """Whether the call's spans are exported even if every pair agrees."""
        return self.production is not None and self.production.sampled

    @property
    def above(self) -> TraceContext | None:
        """The span that production's hangs below: a caller that records nothing has none."""
        own, parent = self.production, self.parent
        if own is None or parent is None or not parent.sampled:
            return None
        return parent if parent.trace_id == own.trace_id else None

    def trace_for(self, shadow: str, metadata: Metadata) -> GrpcMetadata:
        """Give the fields by which a shadow learns of its span.

        With traces off the sidecar is no part of the trace, and hands on what the caller sent.
        """
        context = self.shadows.get(shadow)
        if context is None:
            return tuple([field for field in metadata if field[0] in TRACE_FIELDS])
        return self.propagation.write(context)

    def metadata_for(self, shadow: str, metadata: Metadata) -> Metadata:
        """Give of the caller's metadata what holds in the shadow's trace.

        `tracestate` belongs to the trace of the `traceparent` that it came with, and must not be
        sent on with another (https://www.w3.org/TR/trace-context/#mutating-the-tracestate-field).
        """
        context = self.shadows.get(shadow)
        if context is None or (self.parent and self.parent.trace_id == context.trace_id):
            return metadata
        return tuple([field for field in metadata if field[0] != "tracestate"])

    def trace_ids(self, shadow: str) -> tuple[str, str]:
        """Give the trace of production and of a shadow, in hexadecimal; empty with traces off."""
        context, own = self.shadows.get(shadow), self.production
        if own is None or context is None:
            return "", ""
        ours = own.trace_hex
        return ours, ours if context.trace_id == own.trace_id else context.trace_hex

    def ids(self, shadow: str) -> dict[str, str]:
        """Give the ids that a person searches for, in hexadecimal; empty with traces off."""
        context = self.shadows.get(shadow)
        if self.production is None or context is None:
            return {}
        return {
            "trace_id": self.production.trace_hex,
            "span_id": self.production.span_hex,
            "shadow_trace_id": context.trace_hex,
            "shadow_span_id": context.span_hex,
        }


def plan(
    caller_metadata: Metadata,
    shadows: Sequence[str],
    layout: Layout,
    *,
    draw: float,
    agreeing_fraction: float,
    draw_bits: DrawBits,
    upstream: str = "",
    propagation: Propagation = W3C,
    follow_unsampled: bool = True,
) -> SpanPlan:
    """Plan a call's spans.

    Args:
        caller_metadata: the call's metadata, where the caller's `traceparent` may be.
        shadows: names of the shadows and controls that the call is dispatched to.
        layout: how the shadows' spans hang together with production's.
        draw: uniform in [0, 1); below `agreeing_fraction` the call is kept even if it agrees.
        agreeing_fraction: share of agreeing calls whose spans are kept.
        draw_bits: where new ids come from.
        upstream: address of production's server.
        propagation: reads and writes contexts.
        follow_unsampled: whether production's span stands in its caller's trace although the
            caller does not record that.
    """
    parent = propagation.read(caller_metadata)
    if layout == "off":
        return SpanPlan("off", parent, None, {}, upstream, propagation)
    # A caller that records its trace is owed all of it.
    sampled = draw < agreeing_fraction or (parent is not None and parent.sampled)
    followed = parent is not None and (parent.sampled or follow_unsampled)
    theirs = new_trace_id(draw_bits)
    own = parent.trace_id if parent is not None and followed else theirs
    if layout == "joined":
        theirs = own
    return SpanPlan(
        layout,
        parent,
        TraceContext(own, new_span_id(draw_bits), sampled),
        {name: TraceContext(theirs, new_span_id(draw_bits), sampled) for name in shadows},
        upstream,
        propagation,
    )
