from __future__ import annotations

import io
from random import Random

from prometheus_client.parser import text_string_to_metric_families

from sidecar.compare.comparer import Comparer
from sidecar.compare.readers.registry import Registry
from sidecar.experiment.app import Observer
from sidecar.log import Log
from sidecar.serve.metrics import BREAKER_STATES, Metrics
from sidecar.serve.observed import snapshot_of
from sidecar.settings.settings import Settings
from sidecar.telemetry.pairs import PairSpans


def observer() -> Observer:
    settings = Settings.model_validate(
        {
            "paused": True,
            "sample": {"fraction": 0.25},
            "shadows": [
                {"name": "candidate", "address": "127.0.0.1:9001"},
                {"name": "noise", "address": "127.0.0.1:9002", "role": "control"},
            ],
        }
    )
    draw = Random(1)
    spans = PairSpans(
        settings.telemetry,
        settings.shadows,
        lambda: 0,
        draw,
        environ={"OTEL_TRACES_EXPORTER": "none"},
    )
    comparer = Comparer(settings.compare, Registry())
    return Observer(settings, comparer, spans, lambda: 0, draw.random, Log("test", io.StringIO()))


def test_a_live_observer_is_read() -> None:
    watched = observer()
    watched.attached({"pid": 1})
    watched.stats({"connections_open": 2, "connections_opaque": 1, "bytes_from_client_total": 9})
    now = snapshot_of(watched)
    assert (now.attached, now.paused, now.sample, now.held_bytes) == (True, True, 0.25, 0)
    assert [(s.name, s.role, s.queued_calls, s.running) for s in now.shadows] == [
        ("candidate", "shadow", 0, 0),
        ("noise", "control", 0, 0),
    ]
    assert {shadow.breaker for shadow in now.shadows} == {"closed"} < set(BREAKER_STATES)
    assert now.connections == {"open": 2, "opaque": 1, "blind": 0}


def test_its_page_can_be_parsed_before_and_after_a_wire_is_there() -> None:
    watched = observer()
    metrics = Metrics(lambda: snapshot_of(watched))
    for figures in ({}, {"connections_open": 2, "tap_sessions": 1}):
        watched.stats(figures)
        body, _ = metrics.expose()
        names = {family.name for family in text_string_to_metric_families(body.decode())}
        assert "shadow_sidecar_calls_seen" in names
        assert ("shadow_sidecar_tap_sessions" in names) is bool(figures)
