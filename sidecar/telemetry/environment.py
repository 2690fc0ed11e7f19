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
from sidecar.telemetry.collector import LazyExporter, otlp
from sidecar.telemetry.exporter import SpanQueue
from sidecar.telemetry.propagation import Propagation, names_in

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

_BATCH = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
_PROPAGATORS = "OTEL_PROPAGATORS"
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
    if _disabled(environ):
        return errors
    name = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
    if not environ.get(name, "").strip():
        name = "OTEL_EXPORTER_OTLP_PROTOCOL"
    protocol = environ.get(name, "").strip()
    if protocol not in ("", "grpc"):
        errors.append(f"{name}: {protocol!r}: must be grpc")
    for name in (_BATCH, _DELAY):
        text = environ.get(name, "").strip()
        if text and not (text.isascii() and text.isdigit() and int(text)):
            errors.append(f"{name}: {text!r}: must be a whole number above 0")
    return errors


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
    """Build the span queue, with an OTLP/gRPC exporter unless the environment says none.

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
    # The exporter logs every failure and every retry; the queue counts, and tells state changes.
    quiet = logging.getLogger("opentelemetry.exporter.otlp")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    return SpanQueue(
        LazyExporter(lambda: otlp(resource())),
        capacity=capacity,
        batch=int(environ.get(_BATCH, "").strip() or 512),
        delay_seconds=int(environ.get(_DELAY, "").strip() or 1000) / 1000,
        log=log,
    )


def _disabled(environ: Mapping[str, str]) -> bool:
    return (
        environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
        or environ.get("OTEL_TRACES_EXPORTER", "").strip() == "none"
    )
