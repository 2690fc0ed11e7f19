"""Prometheus's families as OpenTelemetry's metrics, so that both say the same. Pure.

Rule: names and labels stay as they are scraped, without the ending `_total`, which a collector adds
again (https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/); counts
are cumulative since the process's start. Counterparts: `push`, which sends; `serve.metrics` and
`collect.metrics`, which count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Exemplar as Told
from prometheus_client.samples import Sample, Timestamp

import sidecar

CUMULATIVE = AggregationTemporality.CUMULATIVE


def metrics_data(
    families: Iterable[Family], resource: Resource, *, began_unix_ns: int, unix_ns: int
) -> MetricsData:
    """Everything that a registry collects, as one export.

    Args:
        families: as `CollectorRegistry.collect` gives them.
        resource: who counts.
        began_unix_ns: when counting began, in nanoseconds of Unix time.
        unix_ns: now.
    """
    made = [_metric(family, began_unix_ns, unix_ns) for family in families]
    scope = InstrumentationScope("shadow-sidecar", sidecar.__version__)
    told = ScopeMetrics(scope, [metric for metric in made if metric is not None], "")
    return MetricsData([ResourceMetrics(resource, [told], "")])


def _metric(family: Family, began: int, now: int) -> Metric | None:
    samples = [s for s in family.samples if not s.name.endswith("_created")]
    if not samples:
        return None
    data: Sum | Gauge | Histogram
    if family.type == "histogram":
        data = Histogram(list(_histograms(samples, began, now)), CUMULATIVE)
    else:
        points = [
            NumberDataPoint(s.labels, began, now, float(s.value), _exemplars([s.exemplar], now))
            for s in samples
        ]
        data = Sum(points, CUMULATIVE, True) if family.type == "counter" else Gauge(points)
    return Metric(family.name, family.documentation, family.unit, data)


def _histograms(samples: Iterable[Sample], began: int, now: int) -> Iterator[HistogramDataPoint]:
    """One point for each set of labels; a bucket of theirs counts the smaller ones, too."""
    buckets: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in samples:
        key = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
        if sample.name.endswith("_bucket"):
            buckets.setdefault(key, []).append(sample)
        elif sample.name.endswith("_sum"):
            sums[key] = sample.value
    for key, found in buckets.items():
        edges = [float(sample.labels["le"]) for sample in found]
        counts = [int(sample.value) for sample in found]
        own = [counts[0], *(b - a for a, b in pairwise(counts))]
        yield HistogramDataPoint(
            attributes=_labels(key),
            start_time_unix_nano=began,
            time_unix_nano=now,
            count=counts[-1],
            sum=sums.get(key, 0.0),
            bucket_counts=own,
            explicit_bounds=edges[:-1],  # the last is infinite
            min=None,  # type: ignore[arg-type]  # not known: what is sent leaves it out
            max=None,  # type: ignore[arg-type]  # the same
            exemplars=_exemplars([sample.exemplar for sample in found], now),
        )


def _labels(key: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    return dict(key)


def _exemplars(told: Iterable[Told | None], now: int) -> list[Exemplar]:
    found = []
    for one in told:
        if one is None or "trace_id" not in one.labels:
            continue
        rest = {k: v for k, v in one.labels.items() if k not in {"trace_id", "span_id"}}
        span = one.labels.get("span_id")
        found.append(
            Exemplar(
                rest,
                one.value,
                _nanoseconds(one.timestamp, now),
                int(span, 16) if span else None,
                int(one.labels["trace_id"], 16),
            )
        )
    return found


def _nanoseconds(at: float | Timestamp | None, now: int) -> int:
    return now if at is None else int(float(at) * 1e9)
