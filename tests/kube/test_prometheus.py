"""Rules and dashboard with the real Prometheus, scraping a real sidecar."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from sidecar.kube.admission import OUTCOMES
from tests.collect.command import collecting
from tests.collector import Collector
from tests.kube.argo import filled
from tests.kube.manifests_in import K8S, ROOT, need
from tests.processes import (
    Process,
    drained,
    free_port,
    http_json,
    http_text,
    is_ready,
    server,
    sidecar_run,
)

RULES = next(yaml.safe_load_all((K8S / "observability" / "rules.yaml").read_text()))["spec"]
DASHBOARD = json.loads((K8S / "observability" / "dashboard.json").read_text())
QUERIES = [t["expr"] for p in DASHBOARD["panels"] for t in p.get("targets", ())]
RULE_QUERIES = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
ANALYSES = K8S / "rollouts" / "argo" / "analysis.yaml"
# Named here and exported elsewhere: cAdvisor's, and Prometheus's own.
FOREIGN = {"container_cpu_usage_seconds_total", "container_memory_working_set_bytes", "up"}
COVERAGE = "shadow_sidecar:coverage:ratio_rate5m"
CALLS = 20
# So that four scrapes lie in every rate: seen by what Prometheus answers, not by the clock.
SCRAPES = 4


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules as Prometheus reads them."""
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    groups = [{k: v for k, v in g.items() if k != "interval"} for g in RULES["groups"]]
    file.write_text(yaml.safe_dump({"groups": groups}))
    return file


@pytest.mark.interop
def test_promtool_accepts_the_rules(rules: Path) -> None:
    need("promtool")
    done = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    labels = {"namespace": "models", "app": "digits", "pod": "digits-1"} | labels
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return {"series": f"{name}{{{inside}}}", "values": values}


def alert(time: str, name: str, **labels: str) -> dict[str, Any]:
    """One expectation: with labels the alert fires, without it does not."""
    expected = [{"exp_labels": labels}] if labels else []
    return {"eval_time": time, "alertname": name, "exp_alerts": expected}


@pytest.mark.interop
def test_the_alerts_fire_when_they_should_and_not_before(rules: Path) -> None:
    """Half of the eligible calls compared, a quarter of those failing, one connection blind."""
    need("promtool")
    stripped = yaml.safe_load(rules.read_text())
    for group in stripped["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)  # their words are not what is tested
    rules.with_name("bare.yaml").write_text(yaml.safe_dump(stripped))
    who = {"namespace": "models", "app": "digits"}
    shadow = {"shadow": "candidate"}
    inputs = [
        series("shadow_sidecar_calls_seen_total", "0+600x60"),
        series("shadow_sidecar_calls_skipped_total", "0+120x60", reason="not_sampled"),
        series("shadow_sidecar_calls_skipped_total", "0+240x60", reason="queue_full"),
        series("shadow_sidecar_calls_compared_total", "0+240x60"),
        series("shadow_sidecar_comparisons_total", "0+180x60", outcome="equal", **shadow),
        series("shadow_sidecar_comparisons_total", "0+60x60", outcome="shadow_error", **shadow),
        series("shadow_sidecar_connections", "1x60", state="blind"),
        series("shadow_sidecar_connections", "9x60", state="open"),
        series("shadow_sidecar_service_verdict", "0x29 1x30", state="FAIL", **shadow),
        series("shadow_sidecar_service_sidecars", "0x9 1x50", how="missing", **shadow),
        series("shadow_sidecar_service_sidecars", "2x60", how="answering", **shadow),
        series("shadow_sidecar_service_sidecars", "1x60", how="silent", **shadow),
        series("shadow_sidecar_service_not_injected", "0x29 1x30"),
        series("shadow_sidecar_service_staleness_seconds", "7x29 0+60x30"),
        series("shadow_sidecar_service_unwritten", "0x60"),
        series("shadow_sidecar_webhook_reviews_total", "0x29 0+1x30", outcome="warned"),
        series("shadow_sidecar_breaker_state", "0x60", state="open", **shadow),
        series("up", "1x29 0x30", container="shadow-observer"),
        series("shadow_sidecar_spans_dropped_total", "0x60"),
        series("shadow_sidecar_spans_failed_total", "0x60"),
    ]
    up = {**who, "pod": "digits-1", "container": "shadow-observer"}
    test = {
        "rule_files": ["bare.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": inputs,
                "promql_expr_test": [
                    {
                        "expr": f"shadow_sidecar:{name}",
                        "eval_time": "20m",
                        "exp_samples": [{"labels": labels, "value": value}],
                    }
                    for name, labels, value in (
                        (
                            "coverage:ratio_rate5m",
                            'shadow_sidecar:coverage:ratio_rate5m{app="digits",namespace="models"}',
                            0.5,
                        ),
                        (
                            "disagreement:ratio_rate5m",
                            "shadow_sidecar:disagreement:ratio_rate5m"
                            '{app="digits",namespace="models",shadow="candidate"}',
                            0.25,
                        ),
                    )
                ],
                "alert_rule_test": [
                    alert("5m", "ShadowCoverageLow"),
                    alert("20m", "ShadowCoverageLow", severity="warning", **who),
                    alert("20m", "ShadowFailing", severity="warning", **who, **shadow),
                    alert("10m", "ShadowBlindConnections"),
                    alert("20m", "ShadowBlindConnections", severity="warning", **who),
                    alert("20m", "ShadowVerdictFail"),
                    alert("31m", "ShadowVerdictFail", severity="critical", **who, **shadow),
                    alert("20m", "ShadowServiceIncomplete"),
                    alert("40m", "ShadowServiceIncomplete", severity="warning", **who, **shadow),
                    alert("20m", "ShadowSeesNothing"),
                    alert("40m", "ShadowSeesNothing", severity="warning", **who, **shadow),
                    alert("30m", "ShadowNotInjected"),
                    alert("40m", "ShadowNotInjected", severity="warning", **who),
                    alert("30m", "ShadowCollectorStale"),
                    alert("50m", "ShadowCollectorStale", severity="warning", **who),
                    alert("20m", "ShadowWebhookRefuses"),
                    alert("40m", "ShadowWebhookRefuses", severity="warning"),
                    alert("20m", "ShadowObserverDown"),
                    alert("40m", "ShadowObserverDown", severity="warning", **up),
                    alert("40m", "ShadowBreakerOpen"),
                    alert("40m", "ShadowSpansLost"),
                ],
            }
        ],
    }
    file = rules.with_name("test.yaml")
    file.write_text(yaml.safe_dump(test))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


class Prometheus:
    """A running Prometheus's query page."""

    def __init__(self, address: str) -> None:
        self.address = address

    def query(self, text: str) -> list[dict[str, Any]]:
        """The samples of an instant query, or an assertion with Prometheus's complaint."""
        path = "/api/v1/query?" + urllib.parse.urlencode({"query": text})
        try:
            answer = json.loads(http_text(self.address, path))
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{text}: {error.read().decode()}") from None
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def value(self, text: str) -> float | None:
        """The one value of a query."""
        found = self.query(text)
        return float(found[0]["value"][1]) if found else None


def panel(title: str) -> list[str]:
    """The queries of a panel of the dashboard."""
    return [
        t["expr"] for p in DASHBOARD["panels"] if p["title"] == title for t in p.get("targets", ())
    ]


def grafana(query: str, criterion: str = "disagreement") -> str:
    """The query as Grafana would send it."""
    for variable, value in (
        ("$__rate_interval", "1m"),
        ("$namespace", ".*"),
        ("$app", ".*"),
        ("$criterion", criterion),
        ("$candidate_pods", ".*"),
    ):
        query = query.replace(variable, value)
    assert "$" not in query
    return query


@pytest.fixture(scope="module")
def scraped(rules: Path) -> Iterator[tuple[Prometheus, str]]:
    """A sidecar that has compared some calls, and a Prometheus that has scraped it often enough."""
    need("prometheus", "promtool")
    from contextlib import ExitStack

    with ExitStack() as stack:
        upstream, shadow = (stack.enter_context(server("bytes")) for _ in range(2))
        addresses = [s.wait_ready()["address"] for s in (upstream, shadow)]
        traces = stack.enter_context(Collector())
        sidecar = stack.enter_context(
            sidecar_run(
                addresses[0],
                [f"candidate={addresses[1]}"],
                "--set=telemetry.agreeing_fraction=1",
                env=traces.environ,
            )
        )
        ready = sidecar.wait_ready()
        http = ready["http"]
        sidecar.wait_until(is_ready(http))
        labels = {"namespace": "models", "app": "digits", "pod": "digits-1"}
        labels |= {"container": "shadow-observer"}
        collector = stack.enter_context(collecting(rules.parent / "l", [f"http://{http}"])).address
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [
                {
                    "job_name": "shadow",
                    "static_configs": [{"targets": [http], "labels": labels}],
                },
                {
                    "job_name": "collect",
                    "static_configs": [
                        {"targets": [collector], "labels": {"namespace": "models", "app": "digits"}}
                    ],
                },
            ],
        }
        file = rules.with_name("prometheus.yaml")
        file.write_text(yaml.safe_dump(config))
        address = f"127.0.0.1:{free_port()}"
        process = stack.enter_context(
            Process(
                [
                    "prometheus",
                    f"--config.file={file}",
                    "--enable-feature=exemplar-storage",
                    f"--storage.tsdb.path={rules.parent}/data",
                    f"--web.listen-address={address}",
                ]
            )
        )
        prometheus = Prometheus(address)
        process.wait_until(lambda: answers(prometheus))
        # A rate begins with a scrape from before the calls.
        process.wait_until(lambda: prometheus.value("shadow_sidecar_calls_seen_total") == 0)
        with grpc.insecure_channel(ready["listen"][0]) as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                "/test.Bytes/Unary"
            )
            for number in range(CALLS):
                call(b"x" * number)
        sidecar.wait_until(drained(http, seen=CALLS))
        seen = f"count_over_time((shadow_sidecar_calls_seen_total == {CALLS})[1m:1s])"
        process.wait_until(lambda: (prometheus.value(seen) or 0) >= SCRAPES)
        process.wait_until(lambda: prometheus.value(COVERAGE) is not None)
        process.wait_until(lambda: prometheus.value("shadow_sidecar_service_calls") == CALLS)
        yield prometheus, http


def answers(prometheus: Prometheus) -> bool:
    try:
        return bool(http_text(prometheus.address, "/-/ready"))
    except OSError:
        return False


@pytest.mark.interop
def test_every_query_of_the_dashboard_and_the_rules_runs(
    scraped: tuple[Prometheus, str],
) -> None:
    prometheus, _ = scraped
    for query in (*map(grafana, QUERIES), *RULE_QUERIES):
        prometheus.query(query)
    assert prometheus.value(COVERAGE) == 1
    assert prometheus.value("shadow_sidecar_calls_compared_total") == CALLS


@pytest.mark.interop
def test_every_metric_that_is_asked_for_is_there(scraped: tuple[Prometheus, str]) -> None:
    prometheus, _ = scraped
    asked = {
        name
        for query in (*QUERIES, *RULE_QUERIES)
        for name in re.findall(r"\b((?:shadow_sidecar|container|process)_[a-z_]+)\b", query)
    }
    assert len(asked) > 15
    missing = {
        name for name in asked - FOREIGN if not prometheus.query(f"last_over_time({name}[5m])")
    }
    assert missing == {
        "shadow_sidecar_output_differences_total",  # nothing differed here
        "shadow_sidecar_webhook_reviews_total",  # no webhook runs here; see test_webhook
    }


@pytest.mark.interop
def test_the_dashboard_shows_the_sidecars_verdict_and_each_criterions_interval(
    scraped: tuple[Prometheus, str],
) -> None:
    prometheus, http = scraped
    verdict = http_json(http, "/verdict")
    shown = [
        result["metric"]
        for query in panel("Verdict")
        for result in prometheus.query(grafana(query))
    ]
    assert shown == [{"shadow": "candidate", "state": verdict["state"]}]
    assert verdict["state"] == "WATCHING"
    (judged,) = prometheus.query("shadow_sidecar_service_calls")
    assert float(judged["value"][1]) == CALLS
    same = next(c for c in verdict["criteria"] if c["name"] == "disagreement")
    figures = [
        prometheus.value(grafana(query, criterion="disagreement"))
        for query in panel("Interval of $criterion")
    ]
    low, high = same["interval"]
    assert figures[1::2] == pytest.approx([same["estimate"], same["margin"]])
    # The first attempt of a service keeps a part of the error for later ones: a wider interval.
    assert figures[2] <= low <= high <= figures[0]


@pytest.mark.interop
def test_the_rollouts_query_for_a_canary_that_fails_runs(scraped: tuple[Prometheus, str]) -> None:
    template = next(
        document["spec"]
        for document in yaml.safe_load_all(ANALYSES.read_text())
        if document["metadata"]["name"] == "shadow-guard"
    )
    metric = next(m for m in template["metrics"] if "prometheus" in m["provider"])
    query = metric["provider"]["prometheus"]["query"]
    assert set(re.findall(r"\w+(?=\{)", query)) == {"shadow_sidecar_comparisons_total"}
    assert scraped[0].value(filled(query, {"shadow": "candidate"})) == 0
    assert scraped[0].query(filled(query, {"shadow": "no-such"})) == []


@pytest.mark.interop
def test_prometheus_keeps_an_exemplar_that_names_a_comparisons_trace(
    scraped: tuple[Prometheus, str],
) -> None:
    prometheus, http = scraped
    asked = {"query": "shadow_sidecar_comparisons_total", "start": "0", "end": str(2**32)}
    path = "/api/v1/query_exemplars?" + urllib.parse.urlencode(asked)
    (found,) = json.loads(http_text(prometheus.address, path))["data"]
    assert found["seriesLabels"]["outcome"] == "equal"
    traces = {pair["trace_id"] for pair in json.loads(http_text(http, f"/pairs?limit={CALLS}"))}
    named = {exemplar["labels"]["trace_id"] for exemplar in found["exemplars"]}
    assert named
    assert named <= traces


def test_who_accepts_openmetrics_gets_it_and_it_parses(scraped: tuple[Prometheus, str]) -> None:
    """The official parser, which refuses what the text format lets pass."""
    asked = urllib.request.Request(
        f"http://{scraped[1]}/metrics", headers={"Accept": "application/openmetrics-text"}
    )
    with urllib.request.urlopen(asked) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        text = answer.read().decode()
    assert text.endswith("# EOF\n")
    parsed = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # it has no types
    samples = [s for f in parsed for s in f.samples]
    with_exemplar = [s for s in samples if s.exemplar]
    assert {s.name for s in with_exemplar} == {"shadow_sidecar_comparisons_total"}
    assert set(with_exemplar[0].exemplar.labels) == {"trace_id", "span_id"}


@pytest.mark.interop
def test_promtool_accepts_the_metrics_page(scraped: tuple[Prometheus, str]) -> None:
    page = http_text(scraped[1], "/metrics")
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_runbook_and_every_panel_says_why_it_may_be_empty() -> None:
    text = (ROOT / "docs" / "runbooks.md").read_text()
    chapters = re.findall(r"^## (\w+)$", text, re.MULTILINE)
    alerts = [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]
    assert sorted(chapters) == sorted(rule["alert"] for rule in alerts)
    for rule in alerts:
        where = f"docs/runbooks.md#{rule['alert'].lower()}"
        assert rule["annotations"]["runbook"] == where
    for chapter in text.split("\n## ")[1:]:
        assert "- Look:" in chapter
        assert "- Do:" in chapter
    for panel in DASHBOARD["panels"]:
        assert panel["type"] == "row" or panel["fieldConfig"]["defaults"]["noValue"]


def test_the_webhook_counts_what_the_alert_asks_for() -> None:
    outcomes = re.search(r'outcome=~"([\w|]+)"', str(RULES).partition("ShadowWebhookRefuses")[2])
    assert outcomes
    assert set(outcomes[1].split("|")) <= set(OUTCOMES)
