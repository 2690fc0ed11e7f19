"""Metrics of the processes: the wire, spans, captured files, kept evidence.

Rule: as `metrics`. Counterparts: `wire.stats`; `call_metrics`, the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)

from sidecar.experiment.state import State
from sidecar.serve.families import PREFIX, counter, gauge

# The wire's figure, our name, what it says.
_WIRE_COUNTERS = (
    ("connections_total", "wire_connections", "Connections accepted."),
    ("opaque_total", "wire_connections_opaque", "Connections that are not HTTP/2."),
    ("blind_total", "wire_connections_blind", "Connections whose copy lost sync."),
    ("blind_calls_total", "wire_blind_calls", "Of these, calls that nobody was shown."),
    ("calls_total", "wire_calls", "Calls forwarded, copied or not."),
    (
        "assumed_calls_total",
        "wire_assumed_calls",
        "Of the blind: as many as fit unread bytes.",
    ),
    (
        "uncounted_total",
        "wire_connections_uncounted",
        "Connections of too many frames.",
    ),
    ("opaque_bytes_total", "wire_opaque_bytes", "Bytes of connections that are not HTTP/2."),
    ("left_total", "wire_connections_left", "Clients gone before production was reached."),
    ("lingered_total", "wire_connections_lingered", "Connections closed after production's end."),
    ("strangers_total", "tap_strangers", "Other users' processes turned away from the tap."),
    ("errors_total", "wire_errors", "Mistakes of the wire's own; each is in its log."),
    ("refused_total", "wire_connections_refused", "Connections that production refused."),
    ("rejected_total", "wire_connections_rejected", "Connections over the configured bound."),
    ("tap_bytes_total", "tap_bytes", "Bytes copied to the observer."),
    ("tap_gap_frames_total", "tap_gap_frames", "DATA frames not copied for want of room."),
    ("tap_gap_bytes_total", "tap_gap_bytes", "Bytes of DATA not copied for want of room."),
    ("goaways_total", "wire_goaways", "Blind connections asked to reconnect."),
)
_WIRE_GAUGES = (
    ("connections_opaque", "wire_connections_opaque_open", "Open, and not HTTP/2."),
    ("opaque_bytes", "wire_opaque_open_bytes", "Bytes of those, so far."),
    ("waiting_bytes", "wire_waiting_bytes", "Bytes that one side sent and the other did not take."),
    ("tap_sessions", "tap_sessions", "Observers attached to the wire."),
    ("tap_buffered_bytes", "tap_buffered_bytes", "Copied bytes waiting for an observer."),
)
_WIRE_BYTES = (("client", "bytes_from_client_total"), ("server", "bytes_from_server_total"))


def wire(now: State) -> Iterator[Metric]:
    """What the wire tells of itself."""
    connections = GaugeMetricFamily(
        PREFIX + "connections", "Connections by state; open counts all.", labels=("state",)
    )
    for state, count in now.connections.items():
        connections.add_metric((state,), count)
    yield connections
    # Without a wire its figures are unknown: a 0 would look like a restart.
    for key, name, text in _WIRE_COUNTERS:
        if key in now.wire:
            yield counter(name, text, now.wire[key])
    for key, name, text in _WIRE_GAUGES:
        if key in now.wire:
            yield gauge(name, text, now.wire[key])
    forwarded = CounterMetricFamily(
        PREFIX + "wire_bytes", "Bytes forwarded, by the side that sent them.", labels=("side",)
    )
    for side, key in _WIRE_BYTES:
        if key in now.wire:
            forwarded.add_metric((side,), now.wire[key])
    yield forwarded


def spans(now: State) -> Iterator[Metric]:
    """What became of spans."""
    yield counter("spans_exported", "Spans that the collector took.", now.spans.exported)
    yield counter("spans_failed", "Spans that the collector did not take.", now.spans.failed)
    yield counter("spans_dropped", "Spans dropped for want of room.", now.spans.dropped)
    yield gauge("spans_held", "Spans queued or on the way.", now.spans.held)


def capture(now: State) -> Iterator[Metric]:
    """What was captured; nothing where nothing is."""
    counts = now.capture
    if counts is None:
        return
    yield counter("capture_rows", "Captured pairs in whole files.", counts.rows)
    yield counter("capture_full", "Pairs with no room in the queue.", counts.capture_full)
    yield counter("capture_failed", "Pairs that could not be written.", counts.failed)
    yield gauge(
        "capture_stopped",
        "Whether capturing has stopped; it is tried again.",
        int(bool(counts.stopped)),
    )


def store(now: State) -> Iterator[Metric]:
    """Whether evidence is kept."""
    store = now.store
    if store is None:
        yield gauge("store_failing", "Whether evidence is not kept.", int(bool(now.kept_nowhere)))
        return
    yield counter("store_writes", "Transactions that kept evidence.", store.writes)
    yield counter("store_failures", "Transactions that could not be made.", store.failures)
    yield gauge("store_failing", "Whether evidence is not kept.", int(bool(store.error)))
    yield gauge("store_damaged", "Whether kept evidence was lost.", int(bool(store.damaged)))
    yield gauge(
        "store_written_seconds",
        "Unix time of the last transaction.",
        store.written_unix_ns / 1e9,
    )
    yield gauge("store_write_seconds", "What the last transaction took.", store.write_ms / 1e3)
