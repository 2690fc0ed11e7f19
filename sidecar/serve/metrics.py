"""Prometheus text, written when it is scraped.

Rule: a name once given stays; what can happen is there from the start as 0, so that a rate over it
begins; what a caller or a model can make up never becomes a label without a bound. Counterpart:
`state`, which is read here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

import sidecar
from sidecar.build import BUILD
from sidecar.experiment.ledger import Counts
from sidecar.experiment.state import State
from sidecar.judge.evidence.histogram import COARSE_NS, Histogram
from sidecar.judge.report import State as VerdictState
from sidecar.telemetry.pairs import Exemplar as TracedCall

PREFIX = "shadow_sidecar_"
BREAKER_STATES = ("closed", "open", "half_open")
_SHADOW = ("shadow", "role")

# The wire's figure, our name, what it says.
_WIRE_COUNTERS = (
    ("connections_total", "wire_connections", "Connections accepted."),
    ("opaque_total", "wire_connections_opaque", "Connections that are not HTTP/2."),
    ("blind_total", "wire_connections_blind", "Connections whose copy lost sync."),
    ("blind_calls_total", "wire_blind_calls", "Of these, calls that nobody was shown."),
    ("calls_total", "wire_calls", "Calls forwarded, copied or not."),
    (
        "assumed_calls_total",
        "wire_assumed_calls",
        "Of the blind: as many as fit unread bytes.",
    ),
    (
        "uncounted_total",
        "wire_connections_uncounted",
        "Connections of too many frames.",
    ),
    ("opaque_bytes_total", "wire_opaque_bytes", "Bytes of connections that are not HTTP/2."),
    ("left_total", "wire_connections_left", "Clients gone before production was reached."),
    ("lingered_total", "wire_connections_lingered", "Connections closed after production's end."),
    ("strangers_total", "tap_strangers", "Other users' processes turned away from the tap."),
    ("errors_total", "wire_errors", "Mistakes of the wire's own; each is in its log."),
    ("refused_total", "wire_connections_refused", "Connections that production refused."),
    ("rejected_total", "wire_connections_rejected", "Connections over the configured bound."),
    ("tap_bytes_total", "tap_bytes", "Bytes copied to the observer."),
    ("tap_gap_frames_total", "tap_gap_frames", "DATA frames not copied for want of room."),
    ("tap_gap_bytes_total", "tap_gap_bytes", "Bytes of DATA not copied for want of room."),
    ("goaways_total", "wire_goaways", "Blind connections asked to reconnect."),
)
_WIRE_GAUGES = (
    ("connections_opaque", "wire_connections_opaque_open", "Open, and not HTTP/2."),
    ("opaque_bytes", "wire_opaque_open_bytes", "Bytes of those, so far."),
    ("waiting_bytes", "wire_waiting_bytes", "Bytes that one side sent and the other did not take."),
    ("tap_sessions", "tap_sessions", "Observers attached to the wire."),
    ("tap_buffered_bytes", "tap_buffered_bytes", "Copied bytes waiting for an observer."),
)
_WIRE_BYTES = (("client", "bytes_from_client_total"), ("server", "bytes_from_server_total"))


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
        yield from _calls(now)
        yield from _shadow_calls(now)
        yield from _findings(now)
        yield from _states(now)
        yield from _verdicts(now)
        yield from _wire(now)
        yield from _spans(now)
        yield from _capture(now)
        yield from _store(now)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, text, value=value)


def _calls(now: State) -> Iterator[Metric]:
    calls = now.ledger.calls
    yield _counter("calls_seen", "Calls whose request header was read.", calls.seen)
    yield _counter("calls_compared", "Calls compared with a shadow.", calls.compared)
    yield _gauge("calls_in_flight", "Calls whose fate is open.", calls.in_flight)
    skipped = CounterMetricFamily(
        PREFIX + "calls_skipped", "Calls not compared with any shadow.", labels=("reason",)
    )
    for reason, count in calls.skipped.items():
        skipped.add_metric((reason.value,), count)
    yield skipped


def _shadow_calls(now: State) -> Iterator[Metric]:
    compared = CounterMetricFamily(
        PREFIX + "shadow_calls_compared", "Calls compared with this shadow.", labels=_SHADOW
    )
    in_flight = GaugeMetricFamily(
        PREFIX + "shadow_calls_in_flight", "Calls whose fate is open.", labels=_SHADOW
    )
    skipped = CounterMetricFamily(
        PREFIX + "shadow_calls_skipped",
        "Calls not compared with this shadow.",
        labels=(*_SHADOW, "reason"),
    )
    for counts in now.ledger.shadows:
        labels = (counts.name, counts.role)
        compared.add_metric(labels, counts.compared)
        in_flight.add_metric(labels, counts.in_flight)
        _add_skips(skipped, labels, counts)
    yield from (compared, in_flight, skipped)


def _add_skips(family: CounterMetricFamily, labels: tuple[str, str], counts: Counts) -> None:
    for reason, count in counts.skipped.items():
        family.add_metric((*labels, reason.value), count)


def _findings(now: State) -> Iterator[Metric]:
    outcomes = CounterMetricFamily(
        PREFIX + "comparisons", "Comparisons by what they found.", labels=(*_SHADOW, "outcome")
    )
    outputs = CounterMetricFamily(
        PREFIX + "output_differences",
        "Outputs that differed; after the first names, the rest are 'other'.",
        labels=(*_SHADOW, "output", "outcome"),
    )
    latency = HistogramMetricFamily(
        PREFIX + "latency_seconds",
        "Latency of compared calls, both sides, on the same calls.",
        labels=(*_SHADOW, "side"),
    )
    wait = HistogramMetricFamily(
        PREFIX + "wait_seconds",
        "From the complete request until its copy was handed over; no part of a latency.",
        labels=_SHADOW,
    )
    for counts in now.ledger.shadows:
        labels = (counts.name, counts.role)
        _add_latency(wait, labels, counts.wait)
        for outcome, count in counts.outcomes.items():
            outcomes.add_metric(
                (*labels, outcome.value),
                count,
                exemplar=_exemplar(now.exemplars.get((counts.name, outcome.value))),
            )
        for name, found in counts.output_outcomes.items():
            for outcome, count in found.items():
                outputs.add_metric((*labels, name, outcome.value), count)
        _add_latency(latency, (*labels, "production"), counts.production_latency)
        _add_latency(latency, (*labels, "shadow"), counts.latency)
    yield from (outcomes, outputs, latency, wait)


def _exemplar(found: TracedCall | None) -> Exemplar | None:
    """The comparison's trace of the latest call that a counter counts."""
    if found is None:
        return None
    named = {"trace_id": found.trace_id, "span_id": found.span_id}
    return Exemplar(named, 1.0, found.unix_seconds)


def _add_latency(
    family: HistogramMetricFamily, labels: tuple[str, ...], histogram: Histogram
) -> None:
    buckets = [
        (str(edge / 1e9), float(count))
        for edge, count in zip(COARSE_NS, histogram.at_most(COARSE_NS), strict=True)
    ]
    family.add_metric(
        labels, [*buckets, ("+Inf", histogram.count)], sum_value=histogram.total_ns / 1e9
    )


def _states(now: State) -> Iterator[Metric]:
    yield _gauge("attached", "1 while attached to a wire.", now.attached)
    yield _gauge("paused", "1 while the operator has paused the tee.", now.settings.paused)
    yield from _added(now)
    fraction = now.settings.sample.fraction
    yield _gauge("sample_ratio", "Share of the matching calls that is shadowed.", fraction)
    yield _gauge("pace_ratio", "Share of those that there is time for.", now.pace)
    yield _gauge("held_bytes", "Messages held of calls in flight.", now.held_bytes)
    yield _counter(
        "background_died", "Tasks and threads that ended with an error.", now.background_died
    )
    yield _gauge("table_bytes", "Header tables of open connections.", now.table_bytes)
    queued = GaugeMetricFamily(PREFIX + "queue_calls", "Requests waiting.", labels=_SHADOW)
    size = GaugeMetricFamily(PREFIX + "queue_bytes", "Bytes waiting.", labels=_SHADOW)
    running = GaugeMetricFamily(PREFIX + "running_calls", "Calls under way.", labels=_SHADOW)
    breaker = GaugeMetricFamily(
        PREFIX + "breaker_state", "1 for the breaker's state.", labels=(*_SHADOW, "state")
    )
    for shadow in now.receivers:
        labels = (shadow.name, shadow.role)
        queued.add_metric(labels, shadow.queued_calls)
        size.add_metric(labels, shadow.queued_bytes)
        running.add_metric(labels, shadow.running)
        for state in BREAKER_STATES:
            breaker.add_metric((*labels, state), shadow.breaker == state)
    yield from (queued, size, running, breaker)


def _added(now: State) -> Iterator[Metric]:
    """What the tee adds to production's latency; without enough pairs there is no figure."""
    found = now.production
    added = GaugeMetricFamily(
        PREFIX + "production_added_seconds",
        "Production's mean latency with the tee, less that without.",
        labels=("bound",),
    )
    for bound, ms in (
        ("low", found.estimate.low_ms),
        ("median", found.estimate.median_ms),
        ("high", found.estimate.high_ms),
    ):
        if ms is not None:
            added.add_metric((bound,), ms / 1e3)
    yield added
    yield _gauge("production_added_pairs", "Pairs of slices that rests on.", found.estimate.pairs)
    yield _counter("production_harmed", "How often harm to production was proven.", found.harmed)


def _verdicts(now: State) -> Iterator[Metric]:
    """As last evaluated, about once a second: a scrape does not make the judge work."""
    state = GaugeMetricFamily(
        PREFIX + "verdict", "1 for where the verdict stands.", labels=("shadow", "state")
    )
    coverage = GaugeMetricFamily(
        PREFIX + "coverage_ratio", "Compared, of the calls to be compared.", labels=("shadow",)
    )
    judged = GaugeMetricFamily(
        PREFIX + "judged_calls", "Calls that the evidence rests on.", labels=("shadow",)
    )
    labels = ("shadow", "criterion", "required")
    figures = {
        name: GaugeMetricFamily(PREFIX + f"criterion_{name}", text, labels=labels)
        for name, text in (
            ("estimate", "The figure that a criterion is about, in its margin's unit."),
            ("lower_bound", "Of the criterion's interval, which holds at every look."),
            ("upper_bound", "Of the criterion's interval, which holds at every look."),
            ("margin", "What the criterion allows."),
        )
    }
    states = GaugeMetricFamily(
        PREFIX + "criterion_verdict",
        "1 for where a criterion stands.",
        labels=("shadow", "criterion", "state"),
    )
    for shadow, own in now.judged.items():
        verdict = own.verdict
        for each in VerdictState:
            state.add_metric((shadow, each.value), verdict.state is each)
        judged.add_metric((shadow,), verdict.calls)
        if verdict.coverage is not None:
            coverage.add_metric((shadow,), verdict.coverage)
        for criterion in verdict.criteria:
            values = (shadow, criterion.name, str(criterion.required).lower())
            low, high = criterion.interval or (None, None)
            known = (criterion.estimate, low, high, criterion.margin)
            for family, value in zip(figures.values(), known, strict=True):
                if value is not None:
                    family.add_metric(values, value)
            for each in (VerdictState.PASS, VerdictState.FAIL, VerdictState.WATCHING):
                states.add_metric((shadow, criterion.name, each.value), criterion.state is each)
    yield from (state, coverage, judged, *figures.values(), states)


def _wire(now: State) -> Iterator[Metric]:
    connections = GaugeMetricFamily(
        PREFIX + "connections", "Connections by state; open counts all.", labels=("state",)
    )
    for state, count in now.connections.items():
        connections.add_metric((state,), count)
    yield connections
    # Without a wire its figures are unknown: a 0 would look like a restart.
    for key, name, text in _WIRE_COUNTERS:
        if key in now.wire:
            yield _counter(name, text, now.wire[key])
    for key, name, text in _WIRE_GAUGES:
        if key in now.wire:
            yield _gauge(name, text, now.wire[key])
    forwarded = CounterMetricFamily(
        PREFIX + "wire_bytes", "Bytes forwarded, by the side that sent them.", labels=("side",)
    )
    for side, key in _WIRE_BYTES:
        if key in now.wire:
            forwarded.add_metric((side,), now.wire[key])
    yield forwarded


def _capture(now: State) -> Iterator[Metric]:
    counts = now.capture
    if counts is None:
        return
    yield _counter("capture_rows", "Captured pairs in whole files.", counts.rows)
    yield _counter("capture_full", "Pairs with no room in the queue.", counts.capture_full)
    yield _counter("capture_failed", "Pairs that could not be written.", counts.failed)
    yield _gauge(
        "capture_stopped",
        "Whether capturing has stopped; it is tried again.",
        int(bool(counts.stopped)),
    )


def _store(now: State) -> Iterator[Metric]:
    store = now.store
    if store is None:
        yield _gauge("store_failing", "Whether evidence is not kept.", int(bool(now.kept_nowhere)))
        return
    yield _counter("store_writes", "Transactions that kept evidence.", store.writes)
    yield _counter("store_failures", "Transactions that could not be made.", store.failures)
    yield _gauge("store_failing", "Whether evidence is not kept.", int(bool(store.error)))
    yield _gauge("store_damaged", "Whether kept evidence was lost.", int(bool(store.damaged)))
    yield _gauge(
        "store_written_seconds",
        "Unix time of the last transaction.",
        store.written_unix_ns / 1e9,
    )
    yield _gauge("store_write_seconds", "What the last transaction took.", store.write_ms / 1e3)


def _spans(now: State) -> Iterator[Metric]:
    yield _counter("spans_exported", "Spans that the collector took.", now.spans.exported)
    yield _counter("spans_failed", "Spans that the collector did not take.", now.spans.failed)
    yield _counter("spans_dropped", "Spans dropped for want of room.", now.spans.dropped)
    yield _gauge("spans_held", "Spans queued or on the way.", now.spans.held)
