"""What one sidecar tells about one shadow: everything that a report adds up.

Rule: every field is additive or mergeable, and no payload value is in it that the
configuration does not reveal. Counterparts:
`live`, which reads it off a running observer; `build`, which makes a report of any number of them;
`admin.convert`, which carries it between processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sidecar.experiment.epoch import OutputCounts
from sidecar.experiment.timeline import Timeline
from sidecar.judge.counts import CellKey, Snapshot
from sidecar.judge.evidence.histogram import Histogram
from sidecar.judge.report import State
from sidecar.judge.settings import JudgeSettings
from sidecar.judge.worst import Example


@dataclass(frozen=True, slots=True)
class Part:
    """One sidecar's counts about one shadow."""

    source: str  # where it was pulled from; empty for a sidecar's own
    shadow: str
    settings: JudgeSettings
    control_fraction: float
    snapshot: Snapshot
    outcomes: Mapping[str, int]
    skipped: Mapping[str, int]
    production_latency: Histogram
    shadow_latency: Histogram
    timeline: Timeline
    outputs: Mapping[str, OutputCounts]
    unread: Mapping[str, int]  # calls compared as bytes, by method
    worst: Mapping[CellKey, Sequence[Example]]
    sample: Mapping[CellKey, Sequence[Example]]
    control_latency: Histogram = field(default_factory=Histogram)
    notices: tuple[str, ...] = ()  # what the sidecar knows of itself: see `notices.of_state`
    stands: tuple[State, str] | None = None  # the sidecar's own decision, and why
    observers: int = 1  # processes that share the wire's connections, each with its own counts
