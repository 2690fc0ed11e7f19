from __future__ import annotations

import logging

import pytest
from opentelemetry.sdk.resources import Resource

from sidecar.fields import ConfigError
from sidecar.telemetry.environment import environment_errors, make_queue, make_resource
from sidecar.telemetry.exporter import SpanCounts
from tests.telemetry.test_exporter import call

RESOURCE = Resource({"service.name": "test"})
POD = {"POD_NAME": "model-7f", "POD_NAMESPACE": "shop", "NODE_NAME": "node-3"}


@pytest.fixture(autouse=True)
def _no_otel(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)


def test_the_resource_names_the_service_the_pod_and_the_models_versions() -> None:
    attributes = make_resource(POD, {"candidate": "2.1", "noise": ""}).attributes
    assert attributes["service.name"] == "shadow-sidecar"
    assert attributes["k8s.pod.name"] == "model-7f"
    assert attributes["k8s.namespace.name"] == "shop"
    assert attributes["k8s.node.name"] == "node-3"
    assert attributes["shadow.version.candidate"] == "2.1"
    assert "shadow.version.noise" not in attributes
    assert attributes["telemetry.sdk.language"] == "python"


def test_outside_a_pod_nothing_is_said_of_one() -> None:
    attributes = make_resource({}, {}).attributes
    assert not [name for name in attributes if name.startswith("k8s.")]


def test_every_instance_has_an_id_of_its_own() -> None:
    ids = {make_resource(POD, {}).attributes["service.instance.id"] for _ in range(3)}
    assert len(ids) == 3


def test_the_standard_variables_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "digits-shadow")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=other,team=ml")
    attributes = make_resource(POD, {}).attributes
    assert attributes["service.name"] == "digits-shadow"
    assert attributes["k8s.pod.name"] == "other"
    assert attributes["team"] == "ml"


@pytest.mark.parametrize(
    "environ",
    [{"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "TRUE"}],
)
def test_exporting_can_be_turned_off(environ: dict[str, str]) -> None:
    queue = make_queue(environ, lambda: RESOURCE, capacity=1)
    assert queue.offer(call("a"))
    assert queue.counts == SpanCounts()


def test_every_wrong_variable_is_told_at_once() -> None:
    environ = {
        "OTEL_TRACES_EXPORTER": "zipkin",
        "OTEL_METRICS_EXPORTER": "otlp,statsd",
        "OTEL_METRIC_EXPORT_INTERVAL": "often",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_BSP_SCHEDULE_DELAY": "soon",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "0",
    }
    with pytest.raises(ConfigError) as error:
        make_queue(environ, lambda: RESOURCE, capacity=1)
    assert error.value.errors == [
        "OTEL_TRACES_EXPORTER: 'zipkin': must be otlp or none",
        "OTEL_METRICS_EXPORTER: 'statsd': must be otlp, prometheus (always there) or none",
        "OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json': must be grpc or http/protobuf",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: must be cumulative: counts are since "
        "the start",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '0': must be a whole number above 0",
        "OTEL_BSP_SCHEDULE_DELAY: 'soon': must be a whole number above 0",
        "OTEL_METRIC_EXPORT_INTERVAL: 'often': must be a whole number above 0",
    ]


def test_the_signals_own_protocol_goes_before_the_general_one() -> None:
    assert not environment_errors(
        {
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        }
    )


def test_the_exporters_own_log_is_kept_from_ours() -> None:
    make_queue({}, lambda: RESOURCE, capacity=1).shutdown()
    assert not logging.getLogger("opentelemetry.exporter.otlp").propagate
