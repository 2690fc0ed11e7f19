"""Gathers a snapshot from a live observer. Counterpart: `admin.status`, the same for people."""

from __future__ import annotations

from sidecar.experiment.app import Observer
from sidecar.serve.snapshot import ShadowState, Snapshot


def snapshot_of(observer: Observer) -> Snapshot:
    """Read an observer's state, now."""
    stats = observer.wire_stats
    here = [connection.state for connection in observer.connections.values()]
    return Snapshot(
        ledger=observer.ledger,
        shadows=[
            ShadowState(
                name,
                shadow.settings.role,
                shadow.queued_calls,
                shadow.queued_bytes,
                shadow.running,
                shadow.breaker_state,
            )
            for name, shadow in observer.shadows.items()
        ],
        attached=observer.wire_hello is not None,
        paused=observer.settings.paused,
        sample=observer.settings.sample.fraction,
        pace=observer.pace.share,
        held_bytes=observer.held_bytes,
        connections={
            "open": stats.get("connections_open", 0),
            "opaque": stats.get("connections_opaque", 0) + here.count("opaque"),
            "blind": stats.get("connections_blind", 0) + here.count("blind"),
        },
        wire=stats,
        spans=observer.spans.counts,
        verdicts={name: judged.verdict for name, judged in observer.judging.shadows.items()},
    )
