"""Metrics of distributions: how far outputs of both sides, and inputs over time, are apart.

Rule: as `metrics`; no figure of fewer values than the page says anything about, so that an alert
does not rest on chance. At most so many names as are counted. Counterparts: `report.drift`, which
makes the figures; `judge.distributions`, which counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from sidecar.experiment.state import State
from sidecar.report.drift import drift_of
from sidecar.serve.families import PREFIX


def drift(now: State) -> Iterator[Metric]:
    """Of the versions that are judged now."""
    labels = ("shadow", "of", "name")
    psi = GaugeMetricFamily(
        PREFIX + "drift_psi",
        "Population stability index: of an output between both sides, of an input between its "
        "first day and the latest hours.",
        labels=labels,
    )
    wasserstein = GaugeMetricFamily(
        PREFIX + "drift_wasserstein", "The same by Wasserstein's distance.", labels=labels
    )
    calls = GaugeMetricFamily(
        PREFIX + "drift_calls", "Calls whose values were looked at.", labels=("shadow",)
    )
    for shadow, own in now.judged.items():
        found = drift_of(own.epoch.distributions)
        calls.add_metric((shadow,), found.calls)
        for of, rows in (("output", found.outputs), ("input", found.inputs)):
            for row in rows:
                if row.is_told and row.psi is not None and row.wasserstein is not None:
                    psi.add_metric((shadow, of, row.name), row.psi)
                    wasserstein.add_metric((shadow, of, row.name), row.wasserstein)
    yield from (psi, wasserstein, calls)
