"""Metrics over OTLP, beside the page that Prometheus scrapes, and saying the same.

Rule: counts are read in the event loop, where they are counted, and sent by a thread that may wait
for as long as it likes: a collector that hangs costs an export, never a moment. Off unless
OTEL_METRICS_EXPORTER says otlp. Counterparts: `families`, `environment`.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Mapping

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry

from sidecar.log import Log
from sidecar.telemetry.environment import (
    make_metrics_exporter,
    metrics_interval,
    sends_metrics,
)
from sidecar.telemetry.families import metrics_data


class Push:
    """Sends a registry again and again."""

    def __init__(
        self,
        registry: CollectorRegistry,
        resource: Resource,
        exporter: MetricExporter,
        log: Log,
        *,
        every_seconds: float = 60.0,
    ) -> None:
        """Start the thread.

        Args:
            registry: what is counted; collected in the loop that `run` runs in.
            resource: who counts.
            exporter: what sends; its `export` may block, and may raise.
            log: told when the collector stops or starts taking metrics, once each.
            every_seconds: between two exports.
        """
        self._registry, self._resource, self._exporter = registry, resource, exporter
        self._log, self._every = log, every_seconds
        self._began_unix_ns = time.time_ns()
        # One that waits: an older one is of no use to anybody once a newer one is there.
        self._waiting: queue.Queue[MetricsData | None] = queue.Queue(maxsize=1)
        self._reached = True
        self.sent = self.failed = 0
        self._sender = threading.Thread(target=self._send, name="metrics-export", daemon=True)
        self._sender.start()

    async def run(self) -> None:
        """Push until cancelled."""
        while True:
            await asyncio.sleep(self._every)
            self.push()

    def push(self) -> None:
        """Collect now, and let the thread send it."""
        data = metrics_data(
            self._registry.collect(),
            self._resource,
            began_unix_ns=self._began_unix_ns,
            unix_ns=time.time_ns(),
        )
        self._put(data)

    def close(self, seconds: float = 2.0) -> None:
        """Send the last figures, but not for longer than that. Blocks."""
        end = time.monotonic() + seconds
        self.push()
        try:
            self._waiting.put(None, timeout=seconds / 2)
            self._sender.join(max(0.0, end - seconds / 2 - time.monotonic()))
        except queue.Full:
            pass
        if self._sender.is_alive():
            self._exporter.shutdown(timeout_millis=0)
            self._sender.join(max(0.0, end - time.monotonic()))

    def _put(self, data: MetricsData) -> None:
        while True:
            try:
                self._waiting.put_nowait(data)
                return
            except queue.Full:
                try:
                    self._waiting.get_nowait()
                except queue.Empty:  # the thread took it meanwhile
                    continue

    def _send(self) -> None:
        while (data := self._waiting.get()) is not None:
            why = "not taken"
            try:
                taken = self._exporter.export(data) is MetricExportResult.SUCCESS
            except Exception as error:  # whatever it is, an export is lost and nothing else is
                taken, why = False, f"{type(error).__name__}: {error}"[:300]
            self.sent += taken
            self.failed += not taken
            self._tell(taken, why)

    def _tell(self, taken: bool, why: str) -> None:
        if taken is self._reached:
            return
        self._reached = taken
        if taken:
            self._log.info("the collector takes metrics again")
        else:
            self._log.warning("the collector does not take metrics", error=why)


def make_push(
    environ: Mapping[str, str], registry: CollectorRegistry, resource: Resource, log: Log
) -> Push | None:
    """What the environment asks for; None where it asks for nothing."""
    if not sends_metrics(environ):
        return None
    return Push(
        registry,
        resource,
        make_metrics_exporter(environ),
        log,
        every_seconds=metrics_interval(environ),
    )
