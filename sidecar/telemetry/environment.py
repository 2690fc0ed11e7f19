"""Where spans go and who sends them, as the standard OTEL_* variables and the pod say.

Rule: a person who knows OpenTelemetry's variables knows these settings; what is wrong with them is
found at the start. Counterpart: `exporter`, which sends.
"""

from __future__ import annotations

import logging
import socket
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import sidecar
from sidecar.fields import ConfigError
from sidecar.log import Log
from sidecar.telemetry.exporter import Exporter, SpanQueue
from sidecar.telemetry.lazy import LazyExporter
from sidecar.telemetry.otlp import Envelope
from sidecar.telemetry.propagation import Propagation, names_in

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.resources import Resource

_BATCH = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
_INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
_TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_METRICS = "OTEL_METRICS_EXPORTER"
_METRICS_TO = frozenset({"otlp", "prometheus", "none"})
_PROPAGATORS = "OTEL_PROPAGATORS"
_SDK_DISABLED = "OTEL_SDK_DISABLED"
GRPC, HTTP = "grpc", "http/protobuf"
_DELAY = "OTEL_BSP_SCHEDULE_DELAY"
_POD = {
    "k8s.pod.name": "POD_NAME",
    "k8s.namespace.name": "POD_NAMESPACE",
    "k8s.node.name": "NODE_NAME",
}


def make_resource(environ: Mapping[str, str], versions: Mapping[str, str]) -> Resource:
    """Say who sends the spans.

    Args:
        environ: the pod's name, namespace and node from the downward API, where there is a pod.
        versions: the model's version by "production" or the shadow's name; empty ones are left out.

    OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, which the SDK reads from the process's own
    environment, go before everything else.
    """
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    attributes = {
        "service.name": "shadow-sidecar",
        "service.version": sidecar.__version__,
        "service.instance.id": str(uuid.uuid4()),
        # Jaeger takes spans of one host to be of one clock.
        "host.name": environ.get("NODE_NAME") or socket.gethostname(),
        **{name: environ[key] for name, key in _POD.items() if environ.get(key)},
        **{f"shadow.version.{name}": version for name, version in versions.items() if version},
    }
    return Resource.create(attributes).merge(OTELResourceDetector().detect())


def environment_errors(environ: Mapping[str, str]) -> list[str]:
    """Say everything that is wrong with the variables, one line each."""
    errors = []
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if exporter not in ("", "otlp", "none"):
        errors.append(f"OTEL_TRACES_EXPORTER: {exporter!r}: must be otlp or none")
    try:
        Propagation(names_in(environ.get(_PROPAGATORS, "")))
    except ValueError as error:
        errors.append(f"{_PROPAGATORS}: {error}")
    if unknown := _listed(environ.get(_METRICS, "")) - _METRICS_TO:
        said = ", ".join(map(repr, sorted(unknown)))
        errors.append(f"{_METRICS}: {said}: must be otlp, prometheus (always there) or none")
    signals = [] if _disabled(environ) else ["TRACES"]
    signals += ["METRICS"] if sends_metrics(environ) else []
    for name, protocol in dict(_protocol(environ, signal) for signal in signals).items():
        if protocol not in (GRPC, HTTP):
            errors.append(f"{name}: {protocol!r}: must be {GRPC} or {HTTP}")
    if "METRICS" in signals and environ.get(_TEMPORALITY, "").strip().lower() not in (
        "",
        "cumulative",
    ):
        errors.append(f"{_TEMPORALITY}: must be cumulative: counts are since the start")
    numbers = (_BATCH, _DELAY) if "TRACES" in signals else ()
    for name in (*numbers, *((_INTERVAL,) if "METRICS" in signals else ())):
        text = environ.get(name, "").strip()
        if text and not (text.isascii() and text.isdigit() and int(text)):
            errors.append(f"{name}: {text!r}: must be a whole number above 0")
    return errors


def sends_metrics(environ: Mapping[str, str]) -> bool:
    """Whether OTEL_METRICS_EXPORTER asks for OTLP: only then, as /metrics is there without it."""
    off = environ.get(_SDK_DISABLED, "").strip().lower() == "true"
    return not off and "otlp" in _listed(environ.get(_METRICS, ""))


def metrics_interval(environ: Mapping[str, str]) -> float:
    """Seconds between two exports."""
    return int(environ.get(_INTERVAL, "").strip() or 60_000) / 1000


def make_metrics_exporter(environ: Mapping[str, str]) -> MetricExporter:
    """OpenTelemetry's own exporter, which reads the rest from the process's environment."""
    _quieten()
    if _protocol(environ, "METRICS")[1] == HTTP:
        from opentelemetry.exporter.otlp.proto.http import metric_exporter as over_http

        return over_http.OTLPMetricExporter()
    from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as over_grpc

    return over_grpc.OTLPMetricExporter()


def _protocol(environ: Mapping[str, str], signal: str) -> tuple[str, str]:
    """The variable that says how a signal is sent, and what it says."""
    name = f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"
    if not environ.get(name, "").strip():
        name = "OTEL_EXPORTER_OTLP_PROTOCOL"
    return name, environ.get(name, "").strip() or GRPC


def _listed(text: str) -> set[str]:
    return {part.strip() for part in text.split(",") if part.strip()}


def _quieten() -> None:
    """An exporter logs every failure and every retry; we count, and tell changes of state."""
    quiet = logging.getLogger("opentelemetry.exporter.otlp")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False


def make_propagation(environ: Mapping[str, str]) -> Propagation:
    """Read OTEL_PROPAGATORS.

    Raises:
        ConfigError: it names what is not there.
    """
    try:
        return Propagation(names_in(environ.get(_PROPAGATORS, "")))
    except ValueError as error:
        raise ConfigError([f"{_PROPAGATORS}: {error}"]) from None


def make_queue(
    environ: Mapping[str, str],
    resource: Callable[[], Resource],
    *,
    capacity: int,
    log: Log | None = None,
) -> SpanQueue:
    """Build the span queue, with an OTLP exporter unless the environment says none.

    The exporter itself reads OTEL_EXPORTER_OTLP_* from the process's own environment.

    Args:
        environ: the process's.
        resource: says who sends the spans; called once, when there are any.
        capacity: spans held at most.
        log: told when the collector is lost or found.

    Raises:
        ConfigError: with every variable that cannot be used.
    """
    errors = environment_errors(environ)
    if errors:
        raise ConfigError(errors)
    if _disabled(environ):
        return SpanQueue(None, capacity=capacity)
    _quieten()
    return SpanQueue(
        LazyExporter(lambda: _exporter(environ, resource())),
        capacity=capacity,
        batch=int(environ.get(_BATCH, "").strip() or 512),
        delay_seconds=int(environ.get(_DELAY, "").strip() or 1000) / 1000,
        log=log,
    )


def _exporter(environ: Mapping[str, str], resource: Resource) -> Exporter:
    envelope = Envelope(resource)
    if _protocol(environ, "TRACES")[1] == HTTP:
        from sidecar.telemetry.http_exporter import OTLPHTTPExporter

        return OTLPHTTPExporter(envelope)
    from sidecar.telemetry.grpc_exporter import OTLPExporter

    return OTLPExporter(envelope)


def _disabled(environ: Mapping[str, str]) -> bool:
    return (
        environ.get(_SDK_DISABLED, "").strip().lower() == "true"
        or environ.get("OTEL_TRACES_EXPORTER", "").strip() == "none"
    )
