"""What is shown beside a verdict: counts of the very calls that the evidence rests on. Pure.

Rule: a call is counted here if and only if the judge counted it, and all of it begins again when
the judge's evidence does, so that latency, outcomes, outputs and errors cover the same calls as
the criterion next to them. Counterparts: `judging`, which counts; `report.part`, which carries it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.call import SkipReason
from sidecar.compare.readers.opaque import OPAQUE
from sidecar.compare.result import Outcome
from sidecar.experiment.ledger import NAME, OTHER_OUTPUT, OUTPUT_NAMES
from sidecar.experiment.timeline import Timeline
from sidecar.judge.distributions import Distributions
from sidecar.judge.evidence.histogram import Histogram
from sidecar.judge.pair import DEADLINE_EXCEEDED, JudgedPair

NOISE_CALLS = 50  # with fewer, always differing may be chance
NOISE_SHARE = 0.95
METHODS = 64  # names that are counted by themselves; the rest are OTHER_OUTPUT


@dataclass(slots=True)
class OutputCounts:
    """One output over the calls: how often it agreed, how it differed, and the most it did."""

    agree: int = 0
    differ: dict[str, int] = field(default_factory=dict)  # by `Outcome`
    largest: float = 0.0  # the largest score, in [0, 1]

    @classmethod
    def blank(cls) -> OutputCounts:
        """See `judge.codec`."""
        return cls()

    @property
    def differing(self) -> int:
        """Calls in which it differed."""
        return sum(self.differ.values())

    @property
    def seems_noise(self) -> bool:
        """Whether it differs in nearly every call, whatever the input: an id, a time, a counter."""
        calls = self.agree + self.differing
        return calls >= NOISE_CALLS and self.differing >= NOISE_SHARE * calls

    def merge(self, other: OutputCounts) -> None:
        """Add another's counts to this one's."""
        self.agree += other.agree
        self.largest = max(self.largest, other.largest)
        for outcome, n in other.differ.items():
            self.differ[outcome] = self.differ.get(outcome, 0) + n


class EpochCounts:
    """Counts since the evidence began."""

    def __init__(self, number: int) -> None:
        """Begin.

        Args:
            number: the judge's epoch.
        """
        self.number = number
        self.skipped: dict[SkipReason, int] = {}
        self.outcomes: dict[Outcome, int] = {}
        self.outputs: dict[str, OutputCounts] = {}
        self.readers: dict[str, str] = {}  # by method: who read its answers
        self._unread = BoundedCounts(METHODS)
        # Where both sides answered, or the shadow missed its deadline: how fast it failed is no
        # latency. As the judge counts it.
        self.production_latency = Histogram()
        self.shadow_latency = Histogram()
        self.control_latency = Histogram()
        self.timeline = Timeline()
        self.distributions = Distributions()

    @property
    def unread(self) -> dict[str, int]:
        """Calls compared as bytes, by method."""
        return self._unread.counts

    def add(self, pair: JudgedPair, unix_ns: int) -> None:
        """Count one pair that the judge has counted."""
        if pair.drawn is not None:
            self.distributions.add(pair.drawn, unix_ns)
        comparison = pair.comparison
        outcome = comparison.outcome
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.timeline.add(unix_ns, differs=not comparison.agrees, failed=pair.failed)
        if pair.answered and (not pair.failed or pair.shadow_status == DEADLINE_EXCEEDED):
            self.production_latency.add(pair.production_latency_ns)
            if pair.failed:
                self.shadow_latency.add_longer(pair.shadow_latency_ns)
            else:
                self.shadow_latency.add(pair.shadow_latency_ns)
        control = pair.control_times
        if control is not None and control.late:
            self.control_latency.add_longer(control.answer)
        elif control is not None and not control.failed:
            self.control_latency.add(control.answer)
        if comparison.reader:
            self.readers[_bounded(self.readers, pair.method, METHODS)] = comparison.reader
        if comparison.reader == OPAQUE:
            self._unread.count(pair.method)
            return  # bytes are no outputs
        for output in comparison.outputs:
            name = _bounded(self.outputs, output.name.rpartition("]")[2], OUTPUT_NAMES)
            counts = self.outputs.get(name)
            if counts is None:
                counts = self.outputs[name] = OutputCounts()
            if output.outcome is Outcome.EQUAL:
                counts.agree += 1
            else:
                counts.differ[output.outcome] = counts.differ.get(output.outcome, 0) + 1
                counts.largest = max(counts.largest, output.score)


class BoundedCounts:
    """Counts by name, where names come from outside: so many, and the rest together."""

    def __init__(self, most: int) -> None:
        self.counts: dict[str, int] = {}
        self._most = most

    @classmethod
    def blank(cls) -> BoundedCounts:
        """See `judge.codec`."""
        return cls(0)

    def count(self, name: str) -> None:
        """Count one."""
        known = _bounded(self.counts, name, self._most)
        self.counts[known] = self.counts.get(known, 0) + 1


def _bounded(known: Mapping[str, object], name: str, most: int) -> str:
    """A name that may be counted: names come from answers, and must have a bound."""
    name = name[:NAME]
    return name if name in known or len(known) < most else OTHER_OUTPUT
