"""What the experiment shows of itself: one typed, frozen object, made when somebody asks.

Rule: whoever serves people or machines reads this and nothing else of the experiment. Counts,
timelines and judges inside are references to the living ones, to be read and not kept.
Counterparts: `app`, which fills it in; `serve/`, which reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from sidecar.capture.counts import CaptureCounts
from sidecar.experiment.judged import Judged
from sidecar.experiment.ledger import Ledger
from sidecar.experiment.recent import RecentPairs
from sidecar.experiment.skipped import SkipLog
from sidecar.judge.evidence.added import UNKNOWN, Estimate
from sidecar.settings.settings import Settings
from sidecar.store.writer import StoreState
from sidecar.tee.settings import ShadowSettings
from sidecar.telemetry.exporter import SpanCounts
from sidecar.telemetry.pairs import Exemplar


@dataclass(frozen=True, slots=True)
class Failing:
    """A receiver that does not answer as it should, since its last good answer."""

    since_ns: int  # monotonic, of the first failure
    calls: int  # that failed since
    cause: str  # the latest: status and detail, as a client of it sees them


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """One shadow or control, now."""

    settings: ShadowSettings  # in force
    queued_calls: int
    queued_bytes: int
    running: int
    breaker: str  # "closed", "open" or "half_open"
    failing: Failing | None = None
    starting: bool = False  # not reached yet, and waited for

    @property
    def name(self) -> str:
        """Its name."""
        return self.settings.name

    @property
    def role(self) -> str:
        """Shadow or control."""
        return self.settings.role


@dataclass(frozen=True, slots=True)
class ConfigurationState:
    """What the configuration asks for beyond what is in force."""

    needs_restart: tuple[str, ...] = ()  # keys that differ and are not live
    refused: tuple[str, ...] = ()  # what is wrong with it: nothing of it was taken over


Proof: TypeAlias = Literal["off", "waiting", "measuring", "harmed"]


@dataclass(frozen=True, slots=True)
class AddedLatency:
    """What is known of production's latency with the tee, over that without."""

    state: Proof = "off"
    rest: float = 0.0  # share of time in which the tee rests
    max_added_ms: float = 0.0
    estimate: Estimate = UNKNOWN
    harmed: int = 0  # how often harm was proven
    harmed_ns: int = 0  # when last, monotonic; 0: never


@dataclass(frozen=True, slots=True)
class State:
    """The experiment, now."""

    settings: Settings  # in force
    ledger: Ledger
    judged: Mapping[str, Judged]  # by shadow; controls have no judge
    now_ns: int  # monotonic
    unix_offset_ns: int  # to be added to a monotonic time for Unix time
    recent: RecentPairs = field(default_factory=RecentPairs)
    skips: SkipLog = field(default_factory=SkipLog)
    control_fraction: float = 0.0  # share of the calls that the control gets; 0 without one
    receivers: tuple[ReceiverState, ...] = ()
    configuration: ConfigurationState = ConfigurationState()
    attached: bool = False  # to a wire
    ended: bool = False  # no further call is shadowed
    pace: float = 1.0  # share of the sampled calls that there is time for
    pace_limit: str = ""  # whose time it is
    held_bytes: int = 0  # messages of calls in flight, the shadows' unfinished answers included
    table_bytes: int = 0  # header tables of open connections, in the same budget
    background_died: int = 0  # tasks and threads that ended with an error: a defect of ours
    not_judged: int = 0  # compared calls that could not be counted: a defect of ours
    connections: Mapping[str, int] = field(default_factory=dict)  # by state: open, opaque, blind
    blind_calls: int = 0  # that the wire counted, of this observer's, and that were not seen here
    unsettled: int = 0  # connections whose calls the wire has not counted yet
    read_calls: int = 0  # whose request was read whole
    traced_calls: int = 0  # of them, those that came with a trace context
    opaque: Mapping[str, int] = field(default_factory=dict)  # connections nobody reads, by reason
    wire: Mapping[str, Any] = field(default_factory=dict)  # the wire's own figures; empty: unknown
    spans: SpanCounts = field(default_factory=SpanCounts)
    production: AddedLatency = AddedLatency()  # its latency with the tee, over that without
    store: StoreState | None = None  # None: nothing is kept
    kept_nowhere: str = ""  # why nothing is kept, where it was to be
    capture: CaptureCounts | None = None  # None: nothing is captured
    exemplars: Mapping[tuple[str, str], Exemplar] = field(default_factory=dict)  # see `PairSpans`

    @property
    def unix_seconds(self) -> float:
        """Now, as Unix time."""
        return (self.now_ns + self.unix_offset_ns) / 1e9

    def receiver(self, name: str) -> ReceiverState:
        """One of the receivers.

        Raises:
            KeyError: nobody has that name.
        """
        for receiver in self.receivers:
            if receiver.name == name:
                return receiver
        raise KeyError(name)
