"""The Grafana dashboard, as code.

Rule: a panel is a title, queries and a unit; everything else is the same for all. Its queries run
against a real Prometheus in a test. Counterparts: `sidecar.serve.metrics`, which names the
metrics, and `observability/rules.yaml`, which records some of the ratios.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WHO = 'namespace=~"$namespace", app=~"$app"'
BY = "namespace, app"
AGREEING = 'outcome=~"equal|both_error_same"'
COLORS = {"PASS": "green", "FAIL": "red", "WATCHING": "blue", "INCONCLUSIVE": "orange"}
NO_COLLECTOR = (
    "no collector is scraped: kubectl apply -k k8s/collect, PodMonitor shadow-sidecar-collect"
)
Target = tuple[str, str]
"""A query and the legend of its lines."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; widths are of 24 columns."""

    title: str
    targets: tuple[Target, ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    text: str = ""
    top: float | None = None  # the axis ends here
    stacked: bool = False
    empty: str = "no sidecar is scraped (PodMonitor shadow-sidecar), or it saw no call"
    repeat: str = ""  # one panel for each value of this variable, in rows of three


def _quantile(q: float, side: str) -> Target:
    rate = f'rate(shadow_sidecar_latency_seconds_bucket{{{WHO}, side="{side}"}}[$__rate_interval])'
    query = f"histogram_quantile({q}, sum by (le, shadow) ({rate}))"
    return query, f"{side} p{q * 100:g} ({{{{shadow}}}})"


def _rate(metric: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{WHO}{more}}}[$__rate_interval]))"


NO_CADVISOR = "the kubelet's cAdvisor is not scraped"


def _containers(kind: str, pods: str) -> Target:
    """cAdvisor's figure for each container of the pods."""
    where = f'namespace=~"$namespace", {pods}container!="", container!="POD"'
    if kind == "cpu":
        figure = f"rate(container_cpu_usage_seconds_total{{{where}}}[$__rate_interval])"
    else:
        figure = f"container_memory_working_set_bytes{{{where}}}"
    if not pods:  # those that carry the sidecar
        carrying = f"max by (namespace, pod) (shadow_sidecar_attached{{{WHO}}})"
        figure = f"{figure} and on (namespace, pod) {carrying}"
    return f"sum by (container) ({figure})", "{{container}}"


def _criterion(figure: str, name: str) -> Target:
    """One figure of the service's criterion."""
    where = f'{WHO}, criterion="$criterion"'
    return f"shadow_sidecar_service_criterion_{figure}{{{where}}}", f"{name} ({{{{shadow}}}})"


CANDIDATE = 'pod=~"$candidate_pods", '


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Verdict",
        (
            Panel(
                "Verdict",
                (
                    (
                        f"max by (shadow, state) (shadow_sidecar_service_verdict{{{WHO}}}) == 1",
                        "{{shadow}}: {{state}}",
                    ),
                ),
                kind="stat",
                text="Of the whole service, by its collector (k8s/collect).",
                empty=NO_COLLECTOR,
            ),
            Panel(
                "Coverage",
                (("shadow_sidecar:coverage:ratio_rate5m{" + WHO + "}", "{{app}}"),),
                unit="percentunit",
                kind="gauge",
                top=1,
                text="Compared calls among those that were eligible. A verdict speaks for these.",
            ),
            Panel(
                "Agreement",
                ((f"1 - shadow_sidecar:disagreement:ratio_rate5m{{{WHO}}}", "{{shadow}}"),),
                unit="percentunit",
                top=1,
            ),
        ),
    ),
    (
        "Criteria: the figure, its interval, which holds at every look, and what is allowed",
        (
            Panel(
                "Interval of $criterion",
                (
                    _criterion("upper_bound", "highest"),
                    _criterion("estimate", "estimate"),
                    _criterion("lower_bound", "lowest"),
                    _criterion("margin", "allowed"),
                ),
                repeat="criterion",
                text="PASS once the highest is below what is allowed, FAIL once the lowest is "
                "above it. Of the whole service, in the unit of the criterion's margin.",
                empty=NO_COLLECTOR,
            ),
        ),
    ),
    (
        "Each criterion's verdict",
        (
            Panel(
                "Verdict by criterion",
                (
                    (
                        "max by (shadow, criterion, state) "
                        f"(shadow_sidecar_service_criterion_verdict{{{WHO}}}) == 1",
                        "{{shadow}} {{criterion}}: {{state}}",
                    ),
                ),
                kind="stat",
                width=16,
            ),
            Panel(
                "Calls that the evidence rests on",
                ((f"sum by (app, shadow) (shadow_sidecar_service_calls{{{WHO}}})", "{{shadow}}"),),
                empty=NO_COLLECTOR,
            ),
            Panel(
                "Sidecars",
                (
                    (
                        f"sum by (shadow, how) (shadow_sidecar_service_sidecars{{{WHO}}})",
                        "{{shadow}} {{how}}",
                    ),
                    (f"sum(shadow_sidecar_service_not_injected{{{WHO}}})", "not injected"),
                ),
                text="While any is missing or left out nothing passes. Gone: still counted.",
                empty=NO_COLLECTOR,
            ),
            Panel(
                "Since everybody was asked",
                ((f"max by (app) (shadow_sidecar_service_staleness_seconds{{{WHO}}})", "{{app}}"),),
                unit="s",
                empty=NO_COLLECTOR,
            ),
        ),
    ),
    (
        "What was found",
        (
            Panel(
                "Comparisons by outcome",
                ((_rate("shadow_sidecar_comparisons_total", "outcome"), "{{outcome}}"),),
                unit="reqps",
                stacked=True,
            ),
            Panel(
                "Differences by output",
                (
                    (
                        _rate("shadow_sidecar_output_differences_total", "output, outcome"),
                        "{{output}} {{outcome}}",
                    ),
                ),
                unit="reqps",
                empty="nothing differed",
            ),
            Panel(
                "Calls",
                (
                    (_rate("shadow_sidecar_calls_seen_total", BY), "seen"),
                    (_rate("shadow_sidecar_calls_compared_total", BY), "compared"),
                ),
                unit="reqps",
            ),
        ),
    ),
    (
        "Both sides, on the same calls",
        (
            Panel("Latency, median", (_quantile(0.5, "production"), _quantile(0.5, "shadow")), "s"),
            Panel("Latency, p99", (_quantile(0.99, "production"), _quantile(0.99, "shadow")), "s"),
            Panel(
                "Errors",
                (
                    (
                        _rate(
                            "shadow_sidecar_comparisons_total",
                            "shadow",
                            ', outcome=~"shadow_error|both_error_.*"',
                        ),
                        "{{shadow}} fails",
                    ),
                    (
                        _rate(
                            "shadow_sidecar_comparisons_total",
                            "shadow",
                            ', outcome=~"production_error|both_error_.*"',
                        ),
                        "production fails ({{shadow}}'s calls)",
                    ),
                ),
                unit="reqps",
            ),
        ),
    ),
    (
        "The sidecar",
        (
            Panel(
                "Not compared, by reason",
                ((_rate("shadow_sidecar_calls_skipped_total", "reason") + " > 0", "{{reason}}"),),
                unit="reqps",
                empty="every call was compared",
                stacked=True,
            ),
            Panel(
                "Breaker",
                (
                    (
                        "max by (pod, shadow, state) "
                        f'(shadow_sidecar_breaker_state{{{WHO}, state!="closed"}})',
                        "{{pod}} {{shadow}} {{state}}",
                    ),
                ),
                top=1,
                text="1 while the breaker is open or half open.",
            ),
            Panel(
                "Connections",
                ((f"sum by (state) (shadow_sidecar_connections{{{WHO}}})", "{{state}}"),),
            ),
            Panel(
                "Queue",
                ((f"sum by (shadow) (shadow_sidecar_queue_calls{{{WHO}}})", "{{shadow}}"),),
            ),
            Panel(
                "Share of the calls that there is time for",
                ((f"min by (pod) (shadow_sidecar_pace_ratio{{{WHO}}})", "{{pod}}"),),
                unit="percentunit",
                top=1,
                text="Below 1 an observer or a shadow is behind, and calls are left out at random.",
            ),
            Panel(
                "Tap: not copied for want of room",
                ((_rate("shadow_sidecar_tap_gap_bytes_total", "pod"), "{{pod}} DATA"),),
                unit="Bps",
            ),
            Panel(
                "Spans",
                (
                    (_rate("shadow_sidecar_spans_exported_total", BY), "exported"),
                    (_rate("shadow_sidecar_spans_failed_total", BY), "failed"),
                    (_rate("shadow_sidecar_spans_dropped_total", BY), "dropped"),
                ),
            ),
        ),
    ),
    (
        "Containers (cAdvisor)",
        (
            Panel(
                "CPU: production's pods",
                (_containers("cpu", ""),),
                "cores",
                width=6,
                empty=NO_CADVISOR,
            ),
            Panel(
                "Memory: production's pods",
                (_containers("memory", ""),),
                "bytes",
                width=6,
                empty=NO_CADVISOR,
            ),
            Panel(
                "CPU: the candidate's",
                (_containers("cpu", CANDIDATE),),
                "cores",
                width=6,
                empty=NO_CADVISOR,
            ),
            Panel(
                "Memory: the candidate's",
                (_containers("memory", CANDIDATE),),
                "bytes",
                width=6,
                empty=NO_CADVISOR,
            ),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    """The dashboard's JSON model."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
                "panels": [],
            }
        )
        y, x = y + 1, 0
        for panel in row:
            if x + panel.width > 24:
                x, y = 0, y + 8
            panels.append(_panel(panel, len(panels) + 1, x, y))
            x += panel.width
        y += 8
    return {
        "uid": "shadow-sidecar",
        "title": "Shadow sidecar",
        "description": "May the new model version replace the old one?",
        "tags": ["shadow-sidecar"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": panels,
    }


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "custom": {}, "noValue": panel.empty}
    if panel.top is not None:
        defaults |= {"min": 0, "max": panel.top}
    if panel.stacked:
        defaults["custom"] = {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 30}
    options: dict[str, Any] = {}
    if panel.kind == "stat":
        options = {"textMode": "name", "colorMode": "background", "graphMode": "none"}
    overrides = [
        {
            "matcher": {"id": "byRegexp", "options": f".*: {word}"},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
        }
        for word, color in COLORS.items()
        if panel.kind == "stat"
    ]
    repeated = {"repeat": panel.repeat, "repeatDirection": "h", "maxPerRow": 3}
    return {
        "id": number,
        **(repeated if panel.repeat else {}),
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": 8},
        "fieldConfig": {"defaults": defaults, "overrides": overrides},
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + i),
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "expr": query,
                "legendFormat": legend,
                "instant": panel.kind != "timeseries",
                "range": panel.kind == "timeseries",
            }
            for i, (query, legend) in enumerate(panel.targets)
        ],
    }


def _variables() -> list[dict[str, Any]]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    common = {
        "type": "query",
        "datasource": source,
        "refresh": 2,
        "includeAll": True,
        "multi": True,
    }
    chosen = {"current": {"text": "All", "value": "$__all"}}
    return [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
        common
        | chosen
        | {"name": "namespace", "query": "label_values(shadow_sidecar_attached, namespace)"},
        common
        | chosen
        | {
            "name": "app",
            "query": 'label_values(shadow_sidecar_attached{namespace=~"$namespace"}, app)',
        },
        common
        | chosen
        | {
            "name": "criterion",
            "query": f"label_values(shadow_sidecar_service_criterion_margin{{{WHO}}}, criterion)",
        },
        {
            "name": "candidate_pods",
            "type": "textbox",
            "label": "Candidate's pods (pattern)",
            "query": ".*-candidate-.*",
            "current": {"text": ".*-candidate-.*", "value": ".*-candidate-.*"},
        },
    ]
