"""The observer's spans: planned when a call is dispatched, built and handed over when it is done.

Rule: nothing here waits and nothing is built for a call that will not be exported. Counterparts:
`app`, which calls; `plan`, `spans` and `exporter`, which do the work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from random import Random

from sidecar.call import Observation, SkipReason, Started
from sidecar.compare.result import Comparison, Outcome
from sidecar.log import Log
from sidecar.tee.settings import ShadowSettings
from sidecar.telemetry.environment import make_queue, make_resource
from sidecar.telemetry.exporter import SpanCounts, SpanQueue
from sidecar.telemetry.plan import SpanPlan, plan
from sidecar.telemetry.settings import TelemetrySettings
from sidecar.telemetry.spans import Half, SpanBuilder


class PairSpans:
    """Plans and tells the spans of the observer's calls."""

    def __init__(
        self,
        settings: TelemetrySettings,
        shadows: Sequence[ShadowSettings],
        unix_offset_ns: Callable[[], int],
        draw: Random,
        *,
        environ: Mapping[str, str] | None = None,
        log: Log | None = None,
    ) -> None:
        """Start the export thread, unless traces are off or the environment says none.

        Args:
            settings: how spans are laid out, and how many are kept.
            shadows: the receivers of copies.
            unix_offset_ns: what to add to a monotonic time to get Unix time, now.
            draw: where ids and the share of agreeing pairs come from.
            environ: the process's environment when None.
            log: told when the collector is lost or found.

        Raises:
            ConfigError: for OTEL_* variables that cannot be used.
        """
        environ = os.environ if environ is None else environ
        self._settings = settings
        self._shadows = {shadow.name: shadow for shadow in shadows}
        self._draw = draw
        self._upstreams: dict[int, str] = {}
        versions = {shadow.name: shadow.version for shadow in shadows}
        self._builder = SpanBuilder(make_resource(environ, versions), unix_offset_ns)
        self.queue = (
            SpanQueue(None, capacity=settings.queue_spans)
            if settings.traces == "off"
            else make_queue(environ, capacity=settings.queue_spans, log=log)
        )

    @property
    def counts(self) -> SpanCounts:
        """What became of the spans."""
        return self.queue.counts

    def upstream(self, connection: int, address: str) -> None:
        """Remember which server a connection's calls are for."""
        self._upstreams[connection] = address

    def gone(self, connection: int) -> None:
        """Forget a connection."""
        self._upstreams.pop(connection, None)

    def plan(self, call: Started) -> SpanPlan:
        """Draw the ids of a call's spans, before any answer is known."""
        return plan(
            call.metadata,
            tuple(self._shadows),
            self._settings.traces,
            draw=self._draw.random(),
            agreeing_fraction=self._settings.agreeing_fraction,
            draw_bits=self._draw.getrandbits,
            upstream=self._upstreams.get(call.key.connection, ""),
        )

    def tell(
        self,
        call: Started,
        planned: SpanPlan,
        production: Observation | None,
        shadowed: Mapping[str, Observation],
        compared: Mapping[str, Comparison],
        skipped: Mapping[str, SkipReason] | None = None,
    ) -> None:
        """Export a finished call's spans, if it is one to be exported.

        A call that production never finished has no spans: nobody saw how it ended.
        """
        if production is None or planned.production is None:
            return
        if not planned.sampled and all(c.outcome is Outcome.EQUAL for c in compared.values()):
            return  # most calls: the builder would find nothing to tell either
        skips = skipped or {}
        halves = [
            Half(
                name,
                shadow.role,
                shadow.address,
                shadowed.get(name),
                compared.get(name),
                skips.get(name),
            )
            for name, shadow in self._shadows.items()
        ]
        self.queue.offer(self._builder.build(planned, call, planned.upstream, production, halves))

    def close(self) -> None:
        """Send what is held, for two seconds at most."""
        self.queue.shutdown(2.0)
