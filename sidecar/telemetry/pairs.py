"""A call's spans from dispatch to export: the ids first, the story at the end.

Rule: nothing here waits, and nothing is built for a call that will not be exported. Counterparts:
`plan` and `spans`, which decide and build, `exporter`, which sends.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from random import Random

from sidecar.call import Observation, SkipReason, Started
from sidecar.compare.result import Comparison
from sidecar.config import ShadowSettings, TelemetrySettings
from sidecar.log import Log
from sidecar.telemetry.environment import make_queue, make_resource
from sidecar.telemetry.exporter import SpanCounts
from sidecar.telemetry.plan import SpanPlan, plan
from sidecar.telemetry.spans import Half, SpanBuilder


class PairSpans:
    """Plans, builds and hands on the spans of every call."""

    def __init__(
        self,
        settings: TelemetrySettings,
        shadows: Sequence[ShadowSettings],
        unix_offset_ns: Callable[[], int],
        dice: Random,
        log: Log,
    ) -> None:
        """Open the way to the collector.

        Raises:
            ValueError: for an OTEL_* variable that cannot be used.
        """
        self._settings = settings
        self._shadows = tuple(shadows)
        self._names = tuple(shadow.name for shadow in shadows)
        self._dice = dice
        versions = {shadow.name: shadow.version for shadow in shadows}
        self._builder = SpanBuilder(make_resource(os.environ, versions), unix_offset_ns)
        self._queue = make_queue(os.environ, capacity=settings.queue_spans, log=log)
        self._upstreams: dict[int, str] = {}

    @property
    def counts(self) -> SpanCounts:
        """What became of the spans."""
        return self._queue.counts

    def opened(self, conn: int, upstream: str) -> None:
        """Remember which server answers a connection's calls."""
        self._upstreams[conn] = upstream

    def closed(self, conn: int) -> None:
        """Forget it."""
        self._upstreams.pop(conn, None)

    def plan(self, call: Started) -> SpanPlan:
        """Draw a call's ids, before any answer is known."""
        return plan(
            call.metadata,
            self._names,
            self._settings.traces,
            self._dice.random(),
            self._settings.agreeing_fraction,
            self._dice.getrandbits,
        )

    def tell(
        self,
        call: Started,
        plan: SpanPlan,
        production: Observation | None,
        answers: Mapping[str, Observation],
        comparisons: Mapping[str, Comparison],
        skips: Mapping[str, SkipReason],
    ) -> None:
        """Export the spans of a call whose every fate is known, if they are worth it.

        A call that production never answered has no spans: there is no pair to show.
        """
        if production is None or plan.production is None:
            return
        halves = [
            Half(
                name=shadow.name,
                role=shadow.role,
                address=shadow.address,
                answer=answers.get(shadow.name),
                comparison=comparisons.get(shadow.name),
                skip=skips.get(shadow.name),
            )
            for shadow in self._shadows
        ]
        upstream = self._upstreams.get(call.key.connection, "")
        self._queue.offer(self._builder.build(plan, call, upstream, production, halves))

    def close(self) -> None:
        """Send what is held, within a bounded time. Blocks."""
        self._queue.shutdown()
