"""How a trace's context travels in a call's metadata, as OTEL_PROPAGATORS says. Pure.

Rule: W3C Trace Context, the default, is read by `ids`; every other format by OpenTelemetry's own
propagator for it. Counterparts: `plan`, which keeps one of these; `tee.metadata`, which lets no
field through that names the caller's trace; `environment`, which finds a name that means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from sidecar.call import GrpcMetadata, Metadata
from sidecar.telemetry.ids import (
    TRACEPARENT,
    TraceContext,
    caller_traceparent,
    format_traceparent,
    parse_traceparent,
)

if TYPE_CHECKING:
    from opentelemetry.propagators.textmap import TextMapPropagator

DEFAULT: Final = ("tracecontext", "baggage")
NO_TRACE: Final = frozenset({"baggage", "none"})  # say nothing of a trace


class Propagation:
    """Reads a caller's context and writes a shadow's."""

    def __init__(self, names: Sequence[str] = DEFAULT) -> None:
        """Load what the names stand for.

        Args:
            names: as in OTEL_PROPAGATORS.

        Raises:
            ValueError: naming one that is not installed.
        """
        chosen = [name for name in names if name not in NO_TRACE]
        if "none" in names:
            chosen = []
        self._only_w3c = chosen == ["tracecontext"]
        self._propagators = [] if self._only_w3c else [_load(name) for name in chosen]

    def read(self, metadata: Metadata) -> TraceContext | None:
        """The caller's span; None where there is none, or none that can be read."""
        if self._only_w3c:
            return parse_traceparent(caller_traceparent(metadata))
        from opentelemetry.context import Context
        from opentelemetry.trace import get_current_span

        carrier = dict(metadata)
        for propagator in self._propagators:
            found = get_current_span(propagator.extract(carrier, Context())).get_span_context()
            if found.is_valid:
                return TraceContext(found.trace_id, found.span_id, found.trace_flags.sampled)
        return None

    def write(self, context: TraceContext) -> GrpcMetadata:
        """The fields by which a shadow learns of its span."""
        if self._only_w3c:
            return ((TRACEPARENT, format_traceparent(context)),)
        from opentelemetry.context import Context
        from opentelemetry.trace import (
            NonRecordingSpan,
            SpanContext,
            TraceFlags,
            set_span_in_context,
        )

        flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
        span = NonRecordingSpan(SpanContext(context.trace_id, context.span_id, False, flags))
        carrier: dict[str, str] = {}
        for propagator in self._propagators:
            propagator.inject(carrier, set_span_in_context(span, Context()))
        return tuple((name.lower(), value) for name, value in carrier.items())


W3C: Final = Propagation()


def names_in(text: str) -> tuple[str, ...]:
    """Read OTEL_PROPAGATORS."""
    return tuple(name for part in text.split(",") if (name := part.strip().lower())) or DEFAULT


def _load(name: str) -> TextMapPropagator:
    for entry in entry_points(group="opentelemetry_propagator", name=name):
        propagator: TextMapPropagator = entry.load()()
        return propagator
    known = sorted({e.name for e in entry_points(group="opentelemetry_propagator")} | {"none"})
    raise ValueError(f"{name!r}: must be one of {', '.join(known)}")
