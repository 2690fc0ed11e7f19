from __future__ import annotations

import re
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from sidecar.call import SkipReason
from sidecar.compare.result import Outcome
from sidecar.experiment.ledger import Ledger
from sidecar.experiment.state import ReceiverState, State
from sidecar.serve.families import PREFIX
from sidecar.serve.metrics import Metrics
from sidecar.settings.settings import Settings
from sidecar.tee.settings import ShadowSettings
from sidecar.telemetry.exporter import SpanCounts
from tests.telemetry.calls import DIFFERS, EQUAL, observation

RECEIVERS = [("candidate", "shadow"), ("noise", "control")]
WIRE = {
    "connections_open": 4,
    "connections_total": 9,
    "connections_opaque": 1,
    "connections_blind": 1,
    "opaque_total": 1,
    "blind_total": 2,
    "blind_calls_total": 3,
    "refused_total": 4,
    "rejected_total": 5,
    "bytes_from_client_total": 600,
    "bytes_from_server_total": 700,
    "tap_bytes_total": 1300,
    "tap_gap_frames_total": 8,
    "tap_gap_bytes_total": 900,
    "tap_sessions": 1,
    "tap_buffered_bytes": 11,
    "goaways_total": 12,
}


def receiver(
    name: str, role: str, calls: int, size: int, running: int, breaker: str
) -> ReceiverState:
    settings = ShadowSettings.model_validate({"name": name, "role": role, "address": "h:1"})
    return ReceiverState(settings, calls, size, running, breaker)


def state_of(book: Ledger, **given: Any) -> State:
    settings = Settings.model_validate({"sample": {"fraction": 0.5}})
    return State(
        settings=settings,
        ledger=book,
        judged={},
        now_ns=0,
        unix_offset_ns=0,
        **given,
    )


SHADOWS = (
    receiver("candidate", "shadow", 3, 300, 2, "half_open"),
    receiver("noise", "control", 0, 0, 0, "closed"),
)


def ledger() -> Ledger:
    book = Ledger(RECEIVERS)
    production, shadow = observation(), observation(ended_ns=301_200_000)
    for comparison in (EQUAL, EQUAL, DIFFERS):
        entry = book.see()
        entry.compare("candidate", comparison, production, shadow)
        entry.skip("noise", SkipReason.NOT_SAMPLED)
    book.see()
    book.refuse(SkipReason.METHOD)
    return book


def families(state: State) -> dict[str, Metric]:
    body, content_type = Metrics(lambda: state).expose()
    assert content_type.startswith("text/plain; version=")
    return {family.name: family for family in text_string_to_metric_families(body.decode())}


def value(found: dict[str, Metric], sample: str, **labels: str) -> float:
    (one,) = [
        each.value
        for family in found.values()
        for each in family.samples
        if each.name == PREFIX + sample and each.labels == labels
    ]
    return float(one)


@pytest.fixture(scope="module")
def page() -> dict[str, Metric]:
    return families(
        state_of(
            ledger(),
            receivers=SHADOWS,
            attached=True,
            held_bytes=17,
            connections={"open": 4, "opaque": 1, "blind": 1},
            wire=WIRE,
            spans=SpanCounts(exported=6, failed=2, dropped=1, held=3),
        )
    )


def test_calls_are_accounted_for_on_the_page_too(page: dict[str, Metric]) -> None:
    skipped = [s.value for s in page[PREFIX + "calls_skipped"].samples]
    assert value(page, "calls_seen_total") == 5
    assert value(page, "calls_compared_total") == 3
    assert value(page, "calls_in_flight") == 1
    assert 3 + sum(skipped) + 1 == 5
    assert value(page, "calls_skipped_total", reason="method") == 1


def test_each_shadow_has_its_own_counts(page: dict[str, Metric]) -> None:
    candidate = {"shadow": "candidate", "role": "shadow"}
    noise = {"shadow": "noise", "role": "control"}
    assert value(page, "shadow_calls_compared_total", **candidate) == 3
    assert value(page, "shadow_calls_compared_total", **noise) == 0
    assert value(page, "shadow_calls_skipped_total", **noise, reason="not_sampled") == 3
    assert value(page, "shadow_calls_in_flight", **candidate) == 1
    assert value(page, "comparisons_total", **candidate, outcome="value") == 1
    assert value(page, "comparisons_total", **candidate, outcome="equal") == 2
    differing = {"output": "scores", "outcome": "value"}
    assert value(page, "output_differences_total", **candidate, **differing) == 1


def test_every_reason_and_outcome_is_there_from_the_start() -> None:
    fresh = families(state_of(Ledger(RECEIVERS)))
    for reason in SkipReason:
        assert value(fresh, "calls_skipped_total", reason=reason.value) == 0
        for name, role in RECEIVERS:
            labels = {"shadow": name, "role": role, "reason": reason.value}
            assert value(fresh, "shadow_calls_skipped_total", **labels) == 0
    for outcome in Outcome:
        for name, role in RECEIVERS:
            labels = {"shadow": name, "role": role, "outcome": outcome.value}
            assert value(fresh, "comparisons_total", **labels) == 0


def test_both_sides_latencies_are_histograms(page: dict[str, Metric]) -> None:
    labels = {"shadow": "candidate", "role": "shadow"}
    for side, below, above, seconds in (
        ("production", "0.005", "0.0025", 3 * 0.0038),
        ("shadow", "0.5", "0.25", 3 * 0.3),
    ):
        side_labels = {**labels, "side": side}
        assert value(page, "latency_seconds_bucket", **side_labels, le=above) == 0
        assert value(page, "latency_seconds_bucket", **side_labels, le=below) == 3
        assert value(page, "latency_seconds_bucket", **side_labels, le="+Inf") == 3
        assert value(page, "latency_seconds_count", **side_labels) == 3
        assert value(page, "latency_seconds_sum", **side_labels) == pytest.approx(seconds)


def test_the_shadows_state(page: dict[str, Metric]) -> None:
    labels = {"shadow": "candidate", "role": "shadow"}
    assert value(page, "queue_calls", **labels) == 3
    assert value(page, "queue_bytes", **labels) == 300
    assert value(page, "running_calls", **labels) == 2
    states = {
        state: value(page, "breaker_state", **labels, state=state)
        for state in ("closed", "open", "half_open")
    }
    assert states == {"closed": 0, "open": 0, "half_open": 1}
    assert (value(page, "attached"), value(page, "paused")) == (1, 0)
    assert (value(page, "sample_ratio"), value(page, "held_bytes")) == (0.5, 17)


def test_every_figure_of_the_wire_is_on_the_page(page: dict[str, Metric]) -> None:
    assert value(page, "connections", state="open") == 4
    assert value(page, "connections", state="opaque") == 1
    assert value(page, "connections", state="blind") == 1
    assert value(page, "wire_connections_total") == 9
    assert value(page, "wire_connections_opaque_total") == 1
    assert value(page, "wire_connections_blind_total") == 2
    assert value(page, "wire_blind_calls_total") == 3
    assert value(page, "wire_connections_refused_total") == 4
    assert value(page, "wire_connections_rejected_total") == 5
    assert value(page, "wire_bytes_total", side="client") == 600
    assert value(page, "wire_bytes_total", side="server") == 700
    assert value(page, "tap_bytes_total") == 1300
    assert value(page, "tap_gap_frames_total") == 8
    assert value(page, "tap_gap_bytes_total") == 900
    assert value(page, "tap_sessions") == 1
    assert value(page, "tap_buffered_bytes") == 11
    assert value(page, "wire_goaways_total") == 12


def test_without_a_wire_its_figures_are_unknown_not_zero() -> None:
    fresh = families(state_of(Ledger(RECEIVERS)))
    assert PREFIX + "wire_connections" not in fresh
    assert not fresh[PREFIX + "wire_bytes"].samples


def test_spans_are_accounted_for(page: dict[str, Metric]) -> None:
    assert value(page, "spans_exported_total") == 6
    assert value(page, "spans_failed_total") == 2
    assert value(page, "spans_dropped_total") == 1
    assert value(page, "spans_held") == 3


def test_the_processs_own_figures_are_there(page: dict[str, Metric]) -> None:
    assert page["process_resident_memory_bytes"].samples[0].value > 0


def test_names_follow_prometheus_conventions(page: dict[str, Metric]) -> None:
    ours = [family for name, family in page.items() if name.startswith(PREFIX)]
    assert len(ours) > 30
    for family in ours:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", family.name)
        assert family.documentation.endswith(".")
        # promtool's rules: counters end in _total and nothing else does; no type in the name; base
        # units only.
        totals = [sample for sample in family.samples if sample.name.endswith("_total")]
        assert len(totals) == (len(family.samples) if family.type == "counter" else 0)
        assert not re.search(r"_(counter|gauge|histogram|count|sum|bucket)$", family.name)
        assert not re.search(r"(milli|micro|nano|kilo|mega|percent|minutes)", family.name)
        for sample in family.samples:
            assert "" not in sample.labels.values()


def test_the_page_is_written_anew_at_every_scrape() -> None:
    book = Ledger(RECEIVERS)
    metrics = Metrics(lambda: state_of(book))
    before, _ = metrics.expose()
    book.refuse(SkipReason.PAUSED)
    after, _ = metrics.expose()
    assert b"shadow_sidecar_calls_seen_total 0.0" in before
    assert b"shadow_sidecar_calls_seen_total 1.0" in after
