"""The observer's spans: planned when a call is dispatched, built and handed over when it is done.

Rule: nothing here waits and nothing is built for a call that will not be exported; once a copy was
sent under a recorded `traceparent`, the spans that it names are exported. Counterparts: `app`,
which calls; `plan`, `spans` and `exporter`, which do the work.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from random import Random
from typing import NamedTuple

from sidecar.call import INELIGIBLE, Metadata, Observation, SkipReason, Started
from sidecar.compare.result import Comparison, Outcome
from sidecar.judge.pair import JudgedPair
from sidecar.log import Log
from sidecar.tee.settings import ShadowSettings
from sidecar.telemetry.environment import make_propagation, make_queue, make_resource
from sidecar.telemetry.exporter import SpanCounts, SpanQueue
from sidecar.telemetry.finished import Copy, Finished
from sidecar.telemetry.instrumented import Neighbours
from sidecar.telemetry.plan import SpanPlan, plan
from sidecar.telemetry.settings import TelemetrySettings
from sidecar.telemetry.spans import SpanBuilder, exported_trace

LOOK_NS, LOOK_SELDOM_NS = 1_000_000_000, 60_000_000_000
"""Between two looks for spans of production's own, at first and in the end."""
UPSTREAMS = 16  # addresses that are looked for
REFUSED_EVERY_NS = 1_000_000_000  # one call of each reason is told so often
TRACE_RESPONSE = "traceresponse"
"""An answer's field by which a server names its own span (W3C Trace Context, level 2)."""


class Exemplar(NamedTuple):
    """A call that a counter counts, and where it can be looked at."""

    trace_id: str  # 32 hexadecimal digits
    unix_seconds: float
    span_id: str  # 16 hexadecimal digits: the copy's span


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
        self._unix_offset_ns = unix_offset_ns
        self.resource = cache(partial(make_resource, environ, versions))
        self._propagation = make_propagation(environ)
        self._builder = SpanBuilder(unix_offset_ns, draw.getrandbits, settings.workload)
        self._instrumented = settings.production_span == "internal"
        self._watching = settings.production_span == "auto" and settings.traces != "off"
        self._neighbours = Neighbours(environ)
        self._log = log
        self._look_at_ns, self._look_every_ns = 0, LOOK_NS
        self._servers: set[str] = set()
        # A control is told last, wherever the configuration has it.
        self._order = sorted(self._shadows.values(), key=lambda s: s.role != "shadow")
        self._refused: dict[SkipReason, int] = {}  # when one of them was last told
        self.exemplars: dict[tuple[str, str], Exemplar] = {}  # latest by shadow and outcome
        self.page_url = settings.page_url
        self.verdict_of: Callable[[str], str] = lambda _: ""  # the judge's latest on a shadow
        self.queue = (
            SpanQueue(None, capacity=settings.queue_spans)
            if settings.traces == "off"
            else make_queue(environ, self.resource, capacity=settings.queue_spans, log=log)
        )

    @property
    def counts(self) -> SpanCounts:
        """What became of the spans."""
        return self.queue.counts

    def upstream(self, connection: int, address: str) -> None:
        """Remember which server a connection's calls are for."""
        self._upstreams[connection] = address
        if len(self._servers) < UPSTREAMS:
            self._servers.add(address)

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
            propagation=self._propagation,
            follow_unsampled=self._settings.unsampled_callers == "follow",
        )

    def tell(
        self,
        call: Started,
        planned: SpanPlan,
        production: Observation | None,
        shadowed: Mapping[str, Observation],
        compared: Mapping[str, Comparison],
        skipped: Mapping[str, SkipReason],
        *,
        now_ns: Callable[[], int],
        sent: Mapping[str, int],
        request: Sequence[bytes] = (),
        judged: Mapping[str, JudgedPair] | None = None,
    ) -> None:
        """Export a finished call's spans, if it is one to be exported.

        Args:
            call: its header.
            planned: what `plan` drew for it.
            production: None where nobody saw how it ended.
            shadowed: the answers, by the shadow's name.
            compared: what was found.
            skipped: why nothing was found.
            now_ns: the monotonic clock.
            sent: when a copy went out, by the shadow's name.
            request: the messages; only their sizes are told.
            judged: what the judge was told of the call.
        """
        if self._watching and production is not None and _answers_its_span(production):
            self._found("its answers name a span")
        if planned.production is None or not self.queue.wanted:
            return
        if production is None and not sent:
            self._refuse(call, planned, skipped)
            return
        if not planned.sampled and all(c.outcome is Outcome.EQUAL for c in compared.values()):
            return  # most calls: the builder would find nothing to tell either
        copies = [
            Copy(
                shadow.name,
                shadow.role,
                shadow.address,
                shadowed.get(shadow.name),
                compared.get(shadow.name),
                skipped.get(shadow.name),
                sent.get(shadow.name),
                shadow.version,
                self.verdict_of(shadow.name),
            )
            for shadow in self._order
        ]
        about = next(iter(judged.values()), None) if judged else None
        finished = Finished(
            call,
            planned,
            production,
            copies,
            now_ns(),
            request_bytes=sum(map(len, request)),
            correlation_id="" if about is None else about.correlation_id,
            slices=() if about is None else about.slices,
            page_url=self.page_url,
            trace_url=self._settings.trace_url,
            instrumented=self._instrumented,
        )
        spans = self._builder.build(finished)
        offered = self.queue.offer(spans) and self.queue.exports
        if offered and (trace_id := exported_trace(planned, spans)):
            seconds = (call.started_ns + self._unix_offset_ns()) / 1e9
            for name, comparison in compared.items():
                self.exemplars[name, comparison.outcome.value] = Exemplar(
                    trace_id, seconds, planned.shadows[name].span_hex
                )

    def refused(self, call: Started, reason: SkipReason) -> None:
        """Tell of a call that nobody got a copy of, if it was lost and it is its reason's turn."""
        if reason in INELIGIBLE or not self.queue.wanted or self._settings.traces == "off":
            return
        if not self._turn(reason, call.started_ns):
            return
        planned = self.plan(call)
        if planned.production is not None:
            self._tell_refused(call, planned, reason)

    def _refuse(self, call: Started, planned: SpanPlan, skipped: Mapping[str, SkipReason]) -> None:
        """The same, of a call whose spans had been planned."""
        reason = next((r for r in skipped.values() if r not in INELIGIBLE), None)
        if reason is not None and self._turn(reason, call.started_ns):
            self._tell_refused(call, planned, reason)

    def _tell_refused(self, call: Started, planned: SpanPlan, reason: SkipReason) -> None:
        assert planned.production is not None
        span = self._builder.refused(call, planned.production, planned.above, reason)
        self.queue.offer([span])

    def _turn(self, reason: SkipReason, started_ns: int) -> bool:
        if reason in INELIGIBLE:
            return False
        last = self._refused.get(reason)
        if last is not None and started_ns - last < REFUSED_EVERY_NS:
            return False
        self._refused[reason] = started_ns
        return True

    def look(self, now_ns: int) -> None:
        """Find out now and then, beside, whether production sends spans itself."""
        if self._watching and self._servers and now_ns >= self._look_at_ns:
            self._look_at_ns = now_ns + self._look_every_ns
            self._look_every_ns = min(2 * self._look_every_ns, LOOK_SELDOM_NS)
            servers = frozenset(self._servers)
            threading.Thread(target=self._look, args=(servers,), name="look", daemon=True).start()

    def _look(self, servers: frozenset[str]) -> None:
        if self._neighbours.send_spans(servers):
            self._found("it has a connection to a collector")

    def _found(self, why: str) -> None:
        self._instrumented, self._watching = True, False
        if self._log is not None:
            self._log.info("production_sends_spans", why=why, our_span="internal")

    def close(self) -> None:
        """Send what is held, for two seconds at most."""
        self.queue.shutdown(2.0)


def _answers_its_span(answer: Observation) -> bool:
    return _named(answer.headers) or _named(answer.trailers)


def _named(metadata: Metadata) -> bool:
    return any(name == TRACE_RESPONSE for name, _ in metadata)
