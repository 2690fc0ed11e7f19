"""Metrics of calls and of what is made of them: counts, findings, latency, queues, verdicts.

Rule: as `metrics`. Counterparts: `experiment.ledger`, which counts; `process_metrics`, the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.samples import Exemplar

from sidecar.experiment.ledger import Counts
from sidecar.experiment.state import State
from sidecar.judge.evidence.histogram import COARSE_NS, Histogram
from sidecar.judge.report import State as VerdictState
from sidecar.serve.families import PREFIX, counter, gauge
from sidecar.telemetry.pairs import Exemplar as TracedCall

BREAKER_STATES = ("closed", "open", "half_open")
_SHADOW = ("shadow", "role")


def calls(now: State) -> Iterator[Metric]:
    """Every call, by what became of it."""
    calls = now.ledger.calls
    yield counter("calls_seen", "Calls whose request header was read.", calls.seen)
    yield counter("calls_compared", "Calls compared with a shadow.", calls.compared)
    yield gauge("calls_in_flight", "Calls whose fate is open.", calls.in_flight)
    skipped = CounterMetricFamily(
        PREFIX + "calls_skipped", "Calls not compared with any shadow.", labels=("reason",)
    )
    for reason, count in calls.skipped.items():
        skipped.add_metric((reason.value,), count)
    yield skipped


def shadow_calls(now: State) -> Iterator[Metric]:
    """The same of each shadow."""
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


def findings(now: State) -> Iterator[Metric]:
    """What comparisons found, and how long both sides took."""
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


def states(now: State) -> Iterator[Metric]:
    """Where the tee stands: queues, breakers, what it holds."""
    yield gauge("attached", "1 while attached to a wire.", now.attached)
    yield gauge("paused", "1 while the operator has paused the tee.", now.settings.paused)
    yield from _added(now)
    fraction = now.settings.sample.fraction
    yield gauge("sample_ratio", "Share of the matching calls that is shadowed.", fraction)
    yield gauge("pace_ratio", "Share of those that there is time for.", now.pace)
    yield gauge("held_bytes", "Messages held of calls in flight.", now.held_bytes)
    yield counter(
        "background_died", "Tasks and threads that ended with an error.", now.background_died
    )
    yield gauge("table_bytes", "Header tables of open connections.", now.table_bytes)
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
    yield gauge("production_added_pairs", "Pairs of slices that rests on.", found.estimate.pairs)
    yield counter("production_harmed", "How often harm to production was proven.", found.harmed)


def verdicts(now: State) -> Iterator[Metric]:
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
