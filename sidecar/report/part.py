"""What one sidecar tells about one pair of versions: everything that a report adds up.

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
from sidecar.judge.distributions import Distributions
from sidecar.judge.evidence.histogram import Histogram
from sidecar.judge.report import State
from sidecar.judge.settings import JudgeSettings
from sidecar.judge.worst import Example


@dataclass(frozen=True, slots=True)
class Away:
    """Time in which nobody watched: an observer was killed, or ended, and another went on."""

    times: int = 0
    seconds: float = 0.0
    lost_calls: float = 0.0  # of those to be compared, as far as the wire counted them

    def plus(self, other: Away) -> Away:
        """Both together."""
        return Away(
            self.times + other.times,
            self.seconds + other.seconds,
            self.lost_calls + other.lost_calls,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """One sidecar's counts about one shadow, in one pair of versions."""

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
    distributions: Distributions = field(default_factory=Distributions)
    notices: tuple[str, ...] = ()  # what the sidecar knows of itself: see `notices.of_state`
    stands: tuple[State, str] | None = None  # the sidecar's own verdict now, and why
    unsure: str = ""  # why its calls are no ground for PASS, whatever those of others say
    is_current: bool = True  # of the pair of versions that answers now
    away: Away = Away()  # when this sidecar watched nothing
    observers: int = 1  # processes that share the wire's connections, each with its own counts
