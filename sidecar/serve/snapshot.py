"""What the metrics page shows, gathered when somebody asks.

Rule: references to counts that are kept anyway; gathering costs nothing while nobody looks.
Counterpart: `metrics`, which writes it down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sidecar.experiment.ledger import Ledger
from sidecar.judge.report import Verdict
from sidecar.telemetry.exporter import SpanCounts


@dataclass(frozen=True, slots=True)
class ShadowState:
    """Where one shadow's calls stand."""

    name: str
    role: str
    queued_calls: int
    queued_bytes: int
    running: int
    breaker: str  # "closed", "open" or "half_open"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The observer, now."""

    ledger: Ledger
    shadows: Sequence[ShadowState] = ()
    attached: bool = False  # to a wire
    paused: bool = False
    sample: float = 1.0
    pace: float = 1.0  # share of the sampled calls that there is time for
    held_bytes: int = 0  # messages of calls in flight
    connections: Mapping[str, int] = field(default_factory=dict)  # by state: open, opaque, blind
    wire: Mapping[str, Any] = field(default_factory=dict)  # the wire's own figures; empty: unknown
    spans: SpanCounts = field(default_factory=SpanCounts)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)  # as last evaluated, by shadow
