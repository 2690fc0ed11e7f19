"""One report, as typed and frozen data: all that its readers see. Pure.

Rule: nothing here decides. JSON, protobuf, the page and the terminal are readers of this; none of
them reads another one's text. Counterparts: `build`, which makes it of parts; `as_json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sidecar.judge.forecast import Forecast, overall
from sidecar.judge.report import State, Verdict
from sidecar.report.drift import Drift

EXIT_CODES = {State.PASS: 0, State.FAIL: 1, State.WATCHING: 3, State.INCONCLUSIVE: 4}


@dataclass(frozen=True, slots=True)
class Side:
    """One side's latencies of the calls that both answered, in milliseconds; None: no such."""

    count: int = 0
    mean_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    buckets: tuple[tuple[float, int], ...] = ()  # upper edge and count, ascending
    # Of the count, those that met the deadline: beyond every quantile, clipped in the mean.
    endless: int = 0


@dataclass(frozen=True, slots=True)
class Latency:
    """Both sides, of the same calls; and the control's, of those of them that it got."""

    production: Side = Side()
    shadow: Side = Side()
    control: Side = Side()


@dataclass(frozen=True, slots=True)
class Point:
    """Calls that began within one stretch of time."""

    unix_seconds: int
    compared: int
    differing: int
    failed: int


@dataclass(frozen=True, slots=True)
class OverTime:
    """Differences by time; stretches without calls are left out."""

    width_seconds: int = 1
    points: tuple[Point, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputRow:
    """One output over all calls."""

    name: str
    agree: int
    differ: int
    how: Mapping[str, int]  # by outcome, most often first
    largest: float  # score, in [0, 1]
    noise: bool  # it differs in nearly every call


@dataclass(frozen=True, slots=True)
class CallOutput:
    """An output that differs in one call; values only where the configuration allows them."""

    name: str
    outcome: str
    score: float
    production: str | None = None
    shadow: str | None = None


@dataclass(frozen=True, slots=True)
class CallInput:
    """A request's field, likewise."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call worth a look."""

    criterion: str
    slice: str  # empty: all traffic
    magnitude: float
    correlation_id: str
    unix_seconds: float
    method: str
    trace_id: str
    shadow_trace_id: str
    outcome: str
    detail: str
    production_ms: float
    shadow_ms: float
    outputs: tuple[CallOutput, ...] = ()
    inputs: tuple[CallInput, ...] = ()


@dataclass(frozen=True, slots=True)
class SidecarRow:
    """One sidecar, however many addresses it was reached by."""

    source: str
    instance: str
    calls: int
    began: float  # Unix seconds
    counted: bool  # False: older, or about other versions or rules


@dataclass(frozen=True, slots=True)
class VersionRow:
    """What is known of one pair of versions under one set of rules."""

    production: str  # "7", or "digits:7 faces:2"; empty: it tells none
    shadow: str
    rules: str  # digest of everything that changes what is counted
    current: bool  # it is what answers now: what verdict and gate are about
    state: str
    reason: str
    calls: int
    attempt: int  # which experiment on this candidate; 0: nobody counts them
    began: float  # Unix seconds
    sidecars: int


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """A service's verdict that was not the one before."""

    unix_seconds: float
    shadow: str
    experiment: str  # see `ServiceFacts`
    state: str
    reason: str
    calls: int


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What a collector knows of the service that a report is about."""

    names: tuple[str, ...]  # what it asks
    experiment: str  # short name of versions and rules; empty before versions are known
    attempt: int = 1  # which experiment about this candidate it is, counting decided ones
    staleness_seconds: float | None = None  # since everybody was asked; None: nobody was yet
    answering: int = 0  # sidecars that tell of this shadow
    silent: tuple[str, ...] = ()  # there, and saw no call
    not_injected: Mapping[str, str] = field(default_factory=dict)  # pod: why, where one is told
    gone: int = 0  # observers' lives that are over, and still count
    history: tuple[VerdictChange, ...] = ()  # newest first


@dataclass(frozen=True, slots=True)
class Report:
    """One shadow's verdict with everything a person wants to see with it."""

    shadow: str
    generated: float  # Unix seconds
    verdict: Verdict
    # The section `judge` as JSON has it, for it may come from a sidecar of another version.
    declared: Mapping[str, Any] = field(default_factory=dict)
    latency: Latency = Latency()
    over_time: OverTime = OverTime()
    forecasts: tuple[Forecast, ...] = ()  # of criteria that are undecided, as declared
    drift: Drift = field(default_factory=Drift)  # distributions, of a part of the calls
    outcomes: Mapping[str, int] = field(default_factory=dict)  # what comparisons found
    outputs: tuple[OutputRow, ...] = ()  # most differing first
    unread: Mapping[str, int] = field(default_factory=dict)  # calls compared as bytes, by method
    notices: tuple[str, ...] = ()  # what a person should know, with what to do about it
    skipped: Mapping[str, int] = field(default_factory=dict)  # why calls were not compared
    worst: tuple[CallRow, ...] = ()  # worst first within each criterion and slice
    sample: tuple[CallRow, ...] = ()  # a uniform sample of each criterion's calls
    sidecars: tuple[SidecarRow, ...] = ()
    versions: tuple[VersionRow, ...] = ()  # the current pair first
    attempt: int = 0  # which experiment on this candidate; 0: nobody counts them
    missing: Mapping[str, str] = field(default_factory=dict)  # address: why it could not be asked
    service: ServiceFacts | None = None  # None: no collector made it

    @property
    def state(self) -> State:
        """Where the verdict stands."""
        return self.verdict.state

    @property
    def forecast(self) -> Forecast | None:
        """When the whole verdict is decided, if things go on so; None: nobody can say."""
        return overall(self.forecasts, self.verdict)

    @property
    def exit_code(self) -> int:
        """What `report` and `gate` end with: 0 PASS, 1 FAIL, 3 WATCHING, 4 INCONCLUSIVE."""
        return EXIT_CODES[self.verdict.state]
