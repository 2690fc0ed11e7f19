"""What is told about calls, and where."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sidecar.fields import Count, Fraction, Off, Section


class TelemetrySettings(Section):
    """Spans go out over OTLP as the standard OTEL_* environment variables say."""

    # comparison: each compared call is a trace of its own, and production's trace links to it;
    # joined: the shadows' spans stand in production's trace.
    traces: Annotated[Literal["comparison", "joined", "off"], Off] = "comparison"
    agreeing_fraction: Fraction = 0.1  # share of agreeing pairs that is exported
    workload: str = ""  # what is shadowed, for spans' names; empty: the method's last part
    # Production's span where production sends one itself; auto: internal once its answers say so.
    production_span: Literal["auto", "server", "internal"] = "auto"
    # Calls whose caller does not record its trace. follow: production's span goes into that trace
    # all the same; leave: nothing of ours does, and the comparison holds production's span too.
    unsampled_callers: Literal["follow", "leave"] = "follow"
    queue_spans: Count = 4096  # waiting to be exported; beyond it spans are dropped and counted
    # Where people open this sidecar's page, for the spans' links; empty: where it listens.
    page_url: Annotated[str, Field(pattern=r"^(https?://\S*)?$")] = ""
    # Where people open a trace, for the page's links: "http://jaeger:16686/trace/{trace_id}".
    trace_url: Annotated[str, Field(pattern=r"^(https?://\S*\{trace_id\}\S*)?$")] = ""
