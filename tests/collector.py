"""A real OTLP collector (`rotel`) in tests, and what it received.

Rule: what is exported goes over a real socket into a collector that we did not write, and is read
from what that collector forwards, so that nothing is taken from our own word for it.

    sidecar ──OTLP/gRPC or OTLP/HTTP──▶ rotel ──OTLP/gRPC──▶ Collector.spans(), .metrics()
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
_METRICS_SERVICE = "opentelemetry.proto.collector.metrics.v1.MetricsService"
_OTLP_HOST = "127.0.0.1"
_HTTP_HOST = "127.0.0.2"  # the agent insists on this port too; another address tells them apart
_PATIENCE = 30.0

Value = Any  # what an OTLP attribute may hold, as plain Python


@dataclass(frozen=True, slots=True)
class ReceivedLink:
    """A link, with ids in hexadecimal."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event on a span."""

    name: str
    time_ns: int
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as the collector forwarded it, with ids in hexadecimal; "" is no parent."""

    name: str
    kind: str  # "SERVER", "CLIENT", ...
    trace_id: str
    span_id: str
    parent_span_id: str
    start_ns: int
    end_ns: int
    status: str  # "UNSET", "OK", "ERROR"
    status_message: str
    attributes: Mapping[str, Value]
    links: tuple[ReceivedLink, ...]
    events: tuple[ReceivedEvent, ...]
    resource: Mapping[str, Value]
    scope: str

    @property
    def role(self) -> str:
        """`shadow.role`, "" for a span that is not ours."""
        return str(self.attributes.get("shadow.role", ""))


class Collector:
    """Runs the collector while the context is open."""

    def __init__(self) -> None:
        self._received: list[ReceivedSpan] = []
        self._arrived = threading.Condition()
        self._server = grpc.server(ThreadPoolExecutor(max_workers=2))
        export = grpc.unary_unary_rpc_method_handler(
            self._export,
            request_deserializer=trace_service_pb2.ExportTraceServiceRequest.FromString,
            response_serializer=trace_service_pb2.ExportTraceServiceResponse.SerializeToString,
        )
        counted = grpc.unary_unary_rpc_method_handler(
            self._export_metrics,
            request_deserializer=metrics_service_pb2.ExportMetricsServiceRequest.FromString,
            response_serializer=metrics_service_pb2.ExportMetricsServiceResponse.SerializeToString,
        )
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(_SERVICE, {"Export": export}),
                grpc.method_handlers_generic_handler(_METRICS_SERVICE, {"Export": counted}),
            ]
        )
        self._metrics: dict[str, Metric] = {}  # the newest of each name
        self._agent: subprocess.Popen[bytes] | None = None
        self._directory = tempfile.TemporaryDirectory(prefix="collector-")
        self._behind = 0  # the port that the collector forwards to
        self.endpoint = ""
        self.http_endpoint = ""

    @property
    def environ(self) -> dict[str, str]:
        """The variables that send a sidecar's spans here, without long batching."""
        return {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }

    @property
    def http_environ(self) -> dict[str, str]:
        """The same over OTLP/HTTP."""
        return self.environ | {
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.http_endpoint,
        }

    def __enter__(self) -> Collector:
        self._behind = self._server.add_insecure_port(f"{_OTLP_HOST}:0")
        self._server.start()
        try:
            self._start(port=0)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the collector."""
        if self._agent is not None:
            self._agent.kill()
            self._agent.wait()
        self._server.stop(None).wait()
        self._directory.cleanup()

    def stop(self) -> None:
        """Kill the collector in the middle of the test: its port then refuses connections."""
        assert self._agent is not None
        self._agent.kill()
        self._agent.wait()

    def restart(self) -> None:
        """Start it again, where it was."""
        self._start(int(self.endpoint.rpartition(":")[2]))

    def spans(self, at_least: int = 0, seconds: float = _PATIENCE) -> list[ReceivedSpan]:
        """Give what has arrived, once that is at least so many spans.

        Raises:
            TimeoutError: when fewer arrived in time.
        """
        return self.wait_for(lambda spans: len(spans) >= at_least, seconds)

    def wait_for(
        self, enough: Callable[[list[ReceivedSpan]], bool], seconds: float = _PATIENCE
    ) -> list[ReceivedSpan]:
        """Give what has arrived, once `enough` says so of it.

        Raises:
            TimeoutError: when that did not come in time.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: enough(self._received), seconds):
                raise TimeoutError(f"the collector forwarded {len(self._received)} spans only")
            return list(self._received)

    def metrics(
        self, enough: Callable[[dict[str, Metric]], bool], seconds: float = _PATIENCE
    ) -> dict[str, Metric]:
        """Give the newest metric of each name, once `enough` says so of them.

        Raises:
            TimeoutError: when that did not come in time.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: enough(self._metrics), seconds):
                raise TimeoutError(f"the collector forwarded {sorted(self._metrics)} only")
            return dict(self._metrics)

    def _export_metrics(
        self, request: metrics_service_pb2.ExportMetricsServiceRequest, _: grpc.ServicerContext
    ) -> metrics_service_pb2.ExportMetricsServiceResponse:
        with self._arrived:
            for of_resource in request.resource_metrics:
                for of_scope in of_resource.scope_metrics:
                    self._metrics |= {metric.name: metric for metric in of_scope.metrics}
            self._arrived.notify_all()
        return metrics_service_pb2.ExportMetricsServiceResponse()

    def _export(
        self, request: trace_service_pb2.ExportTraceServiceRequest, _: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        spans = [
            _received(span, _plain(of_resource.resource.attributes), of_scope.scope.name)
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]
        with self._arrived:
            self._received += spans
            self._arrived.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def _start(self, port: int) -> None:
        directory = Path(self._directory.name)
        with (directory / "log").open("wb") as log:
            self._agent = subprocess.Popen(
                [
                    str(_agent()),
                    "start",
                    f"--otlp-grpc-endpoint={_OTLP_HOST}:{port}",
                    f"--otlp-http-endpoint={_HTTP_HOST}:0",
                    "--exporter=otlp",
                    f"--otlp-exporter-endpoint=http://{_OTLP_HOST}:{self._behind}",
                    "--otlp-exporter-compression=none",
                    "--traces-batch-timeout=20ms",
                    "--metrics-batch-timeout=20ms",
                    f"--pid-file={directory / 'pid'}",
                ],
                stdout=log,
                stderr=log,
            )
        pause = threading.Event()
        end = time.monotonic() + _PATIENCE
        while self._agent.poll() is None and time.monotonic() < end:
            found = _listening_port(self._agent.pid, _OTLP_HOST)
            over_http = _listening_port(self._agent.pid, _HTTP_HOST)
            if found is not None and over_http is not None:
                self.http_endpoint = f"http://{_HTTP_HOST}:{over_http}"
                self.endpoint = f"http://{_OTLP_HOST}:{found}"
                return
            pause.wait(0.01)
        said = (directory / "log").read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(f"the collector did not start:\n{said[-2000:]}")


def _agent() -> Path:
    package = find_spec("rotel")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "rotel-agent"


def _listening_port(pid: int, host: str) -> int | None:
    """Find the port on which a process listens at `host`, from Linux's own tables."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue  # closed in the meantime
        if target.startswith("socket:["):
            sockets.add(target.removeprefix("socket:[").removesuffix("]"))
    address = bytes(reversed([int(part) for part in host.split(".")])).hex().upper()
    for line in Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        local, port = fields[1].split(":")
        if fields[3] == "0A" and local == address and fields[9] in sockets:
            return int(port, 16)
    return None


def _received(span: Span, resource: Mapping[str, Value], scope: str) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        status=type(span.status).StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        status_message=span.status.message,
        attributes=_plain(span.attributes),
        links=tuple(ReceivedLink(link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        events=tuple(
            ReceivedEvent(event.name, event.time_unix_nano, _plain(event.attributes))
            for event in span.events
        ),
        resource=resource,
        scope=scope,
    )


def _plain(attributes: Any) -> dict[str, Value]:
    pairs: list[KeyValue] = list(attributes)
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Value:
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which == "array_value":
        return [_value(each) for each in value.array_value.values]
    if which == "kvlist_value":
        return _plain(value.kvlist_value.values)
    return getattr(value, which)
