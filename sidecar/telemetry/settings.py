"""What is told about calls, and where."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sidecar.fields import Count, Fraction, Off, Section


class TelemetrySettings(Section):
    """Spans go out over OTLP/gRPC as the standard OTEL_* environment variables say."""

    # joined: the shadow's span is production's child; separate: linked, in a trace of its own
    traces: Annotated[Literal["joined", "separate", "off"], Off] = "joined"
    agreeing_fraction: Fraction = 0.1  # share of agreeing pairs that is exported
    queue_spans: Count = 4096  # waiting to be exported; beyond it spans are dropped and counted
    # Where people open a trace, for the page's links: "http://jaeger:16686/trace/{trace_id}".
    trace_url: Annotated[str, Field(pattern=r"^(https?://\S*\{trace_id\}\S*)?$")] = ""
