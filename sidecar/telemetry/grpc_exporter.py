"""Spans over OTLP/gRPC, by OpenTelemetry's own exporter. Counterpart: `http_exporter`, over HTTP.

A file of its own, because it is loaded with the first batch: see `lazy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sidecar.telemetry.otlp import Envelope


class OTLPExporter(OTLPSpanExporter):
    """Its variables, TLS and retries, over spans that are encoded."""

    def __init__(self, envelope: Envelope) -> None:
        """Read OTEL_EXPORTER_OTLP_* from the process's environment."""
        super().__init__()
        self._envelope = envelope

    def _translate_data(self, data: Sequence[Any]) -> ExportTraceServiceRequest:
        return self._envelope.request(data)
