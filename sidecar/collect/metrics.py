"""The service's verdict for Prometheus, written when it is scraped.

Rule: one series a shadow, however many pods there are; pods are counted here and named on the page.
Counterparts: `collector`, which is read; `serve.metrics`, a pod's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as Source

from sidecar.collect.collector import Collector
from sidecar.judge.report import State
from sidecar.report.report import Report

PREFIX = "shadow_sidecar_service_"
_BOUNDS = ("lower_bound", "upper_bound")


def registry_of(collector: Collector) -> CollectorRegistry:
    """The metrics page of a collector."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Observed(collector))
    ProcessCollector(registry=registry)
    return registry


class _Observed(Source):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        reports = self._collector.now()
        yield from _verdicts(reports)
        yield from _criteria(reports)
        yield _sidecars(reports)
        yield from self._rounds()

    def _rounds(self) -> Iterator[Metric]:
        rounds = CounterMetricFamily(
            f"{PREFIX}rounds", "Rounds of questions, by whether all answered.", labels=("result",)
        )
        for result, count in self._collector.rounds.items():
            rounds.add_metric((result,), count)
        yield rounds
        unwritten = GaugeMetricFamily(
            f"{PREFIX}unwritten", "1 while the disk does not take what was heard."
        )
        unwritten.add_metric((), float(bool(self._collector.unwritten)))
        yield unwritten
        last, age = self._collector.service.lives.last, self._collector.age
        if last is None or age is None:
            return
        for name, text, value in (
            ("staleness_seconds", "Since the last round.", age),
            ("round_seconds", "That the last round of questions took.", last.took_seconds),
            ("not_injected", "Pods that asked for the sidecar and do not have it.",
             len(last.not_injected)),
        ):  # fmt: skip
            gauge = GaugeMetricFamily(PREFIX + name, text)
            gauge.add_metric((), value)
            yield gauge


def _verdicts(reports: dict[str, Report]) -> Iterator[Metric]:
    verdict = GaugeMetricFamily(
        f"{PREFIX}verdict",
        "1 for the state that the service's verdict is in.",
        labels=("shadow", "state"),
    )
    calls = GaugeMetricFamily(
        f"{PREFIX}calls", "Calls that the verdict is about.", labels=("shadow",)
    )
    coverage = GaugeMetricFamily(
        f"{PREFIX}coverage", "Compared of eligible calls.", labels=("shadow",)
    )
    attempt = GaugeMetricFamily(
        f"{PREFIX}attempt", "Which experiment about this candidate it is.", labels=("shadow",)
    )
    for name, report in reports.items():
        for state in State:
            verdict.add_metric((name, state.value), float(report.state is state))
        calls.add_metric((name,), report.verdict.calls)
        if report.verdict.coverage is not None:
            coverage.add_metric((name,), report.verdict.coverage)
        if report.service is not None:
            attempt.add_metric((name,), report.service.attempt)
    yield from (verdict, calls, coverage, attempt)


def _criteria(reports: dict[str, Report]) -> Iterator[Metric]:
    labels = ("shadow", "criterion")
    verdict = GaugeMetricFamily(
        f"{PREFIX}criterion_verdict",
        "1 for the state that a criterion is in.",
        labels=(*labels, "state"),
    )
    figures = {
        name: GaugeMetricFamily(f"{PREFIX}criterion_{name}", text, labels=labels)
        for name, text in (
            ("estimate", "The figure, in the margin's unit."),
            ("margin", "What is allowed."),
            ("lower_bound", "The least that it can be, at every look."),
            ("upper_bound", "The most."),
        )
    }
    for name, report in reports.items():
        for one in report.verdict.criteria:
            for state in State:
                verdict.add_metric((name, one.name, state.value), float(one.state is state))
            known = {"estimate": one.estimate, "margin": one.margin}
            known |= dict(zip(_BOUNDS, one.interval or (None, None), strict=True))
            for figure, value in known.items():
                if value is not None:
                    figures[figure].add_metric((name, one.name), value)
    yield verdict
    yield from figures.values()


def _sidecars(reports: dict[str, Report]) -> Metric:
    found = GaugeMetricFamily(
        f"{PREFIX}sidecars",
        "Sidecars: that answer, that are missing from the sum or left out of it, that saw no call, "
        "and that are gone and still count.",
        labels=("shadow", "how"),
    )
    for name, report in reports.items():
        facts = report.service
        if facts is None:
            continue
        for how, count in (
            ("answering", facts.answering),
            ("missing", len(report.missing)),
            ("left_out", report.verdict.left_out),
            ("silent", len(facts.silent)),
            ("gone", facts.gone),
        ):
            found.add_metric((name, how), count)
    return found
