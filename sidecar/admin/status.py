"""`/status`: the ledger, the connections and the shadows as one JSON object."""

from __future__ import annotations

from typing import Any

from sidecar.app import Observer


def status(observer: Observer) -> dict[str, Any]:
    """The state right now; `seen = compared + sum(skipped) + in_flight`, for every shadow too."""
    stats = observer.wire_stats
    opaque_here = sum(c.state == "opaque" for c in observer.connections.values())
    blind_here = sum(c.state == "blind" for c in observer.connections.values())
    return {
        "attached": observer.wire_hello is not None,
        "paused": observer.settings.paused,
        "sample": observer.settings.sample.fraction,
        "calls": observer.ledger.calls(),
        "connections": {
            "open": stats.get("connections_open", 0),
            "opaque": stats.get("connections_opaque", 0) + opaque_here,
            "blind": stats.get("connections_blind", 0) + blind_here,
        },
        "held_bytes": observer.held_bytes + observer.reading_bytes,
        "wire": stats,
        "shadows": {
            name: {
                "address": shadow.settings.address,
                "role": shadow.settings.role,
                **observer.ledger.of(name),
                "queue": {"calls": shadow.queued_calls, "bytes": shadow.queued_bytes},
                "running": shadow.running,
                "breaker": shadow.breaker_state,
            }
            for name, shadow in observer.shadows.items()
        },
    }
