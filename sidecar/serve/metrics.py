"""Prometheus text, written when it is scraped.

Rule: a name once given stays; what can happen is there from the start as 0, so that a rate over it
begins; what a caller or a model can make up never becomes a label without a bound. Counterparts:
`call_metrics`, `drift_metrics` and `process_metrics`, which name them; `state`, which is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

import sidecar
from sidecar.build import BUILD
from sidecar.experiment.state import State
from sidecar.serve import call_metrics, drift_metrics, process_metrics
from sidecar.serve.families import PREFIX


class Metrics:
    """The metrics page."""

    def __init__(self, state: Callable[[], State]) -> None:
        """Prepare the page; `state` is asked once per scrape."""
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(_Observed(state))
        ProcessCollector(registry=self.registry)

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """Write the page; returns the body and its content type.

        Args:
            accept: the header of who asks; exemplars are for those who accept OpenMetrics.
        """
        write, content_type = choose_encoder(accept)
        return write(self.registry), content_type


class _Observed(Collector):
    def __init__(self, state: Callable[[], State]) -> None:
        self._state = state

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        now = self._state()
        yield InfoMetricFamily(
            PREFIX + "build", "What is running.", {"version": sidecar.__version__, "build": BUILD}
        )
        yield from call_metrics.calls(now)
        yield from call_metrics.shadow_calls(now)
        yield from call_metrics.findings(now)
        yield from call_metrics.states(now)
        yield from call_metrics.verdicts(now)
        yield from drift_metrics.drift(now)
        yield from process_metrics.wire(now)
        yield from process_metrics.spans(now)
        yield from process_metrics.capture(now)
        yield from process_metrics.store(now)
