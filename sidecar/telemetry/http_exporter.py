"""Spans over OTLP/HTTP, by OpenTelemetry's own exporter. Counterpart: `exporter`, over gRPC.

A file of its own, because who sends over gRPC need not load an HTTP client.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from sidecar.telemetry.otlp import Envelope


class OTLPHTTPExporter(OTLPSpanExporter):
    """Its variables, TLS, compression and retries, over spans that are encoded."""

    def __init__(self, envelope: Envelope) -> None:
        """Read OTEL_EXPORTER_OTLP_* from the process's environment."""
        super().__init__()
        self._envelope = envelope

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        """Send; blocks for as long as the environment's timeout says."""
        sent = self._client.export(self._envelope.request(spans).SerializeToString())
        return SpanExportResult.SUCCESS if sent.success else SpanExportResult.FAILURE
