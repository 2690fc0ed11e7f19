"""How a family of metrics without labels is written, and what all names begin with.

Counterparts: `call_metrics` and `process_metrics`, which name them; `metrics`, the page.
"""

from __future__ import annotations

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

PREFIX = "shadow_sidecar_"


def gauge(name: str, text: str, value: float) -> Metric:
    """A figure that goes up and down."""
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def counter(name: str, text: str, value: float) -> Metric:
    """A figure that only grows."""
    return CounterMetricFamily(PREFIX + name, text, value=value)
