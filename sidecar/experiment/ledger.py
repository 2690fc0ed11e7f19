"""The book in which every call is accounted for. Pure.

Rule (law 3): for every shadow, and for the calls as a whole, seen = compared + the sum over skip
reasons + in flight, at every moment. A call's fate with a shadow is written once; the first entry
stands. Counterparts: `app`, which writes, and `serve`, the status page and the judge,
which read.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.call import Observation, SkipReason
from sidecar.compare.result import Comparison, Outcome
from sidecar.judge.evidence.histogram import Histogram
from sidecar.judge.pair import DEADLINE_EXCEEDED

OUTPUT_NAMES = 64  # names of differing outputs that are counted by themselves, for each shadow
OTHER_OUTPUT = "other"
NAME = 128  # characters of such a name


class Counts:
    """What became of the calls, as a whole or with one shadow."""

    __slots__ = ("compared", "in_flight", "seen", "skipped")

    def __init__(self) -> None:
        self.seen = 0
        self.compared = 0
        self.in_flight = 0
        # Every reason is there from the start, so that a rate over it begins at 0.
        self.skipped: dict[SkipReason, int] = dict.fromkeys(SkipReason, 0)

    def check(self) -> bool:
        """Whether law 3 holds."""
        accounted = self.compared + sum(self.skipped.values())
        return self.in_flight >= 0 and self.seen == accounted + self.in_flight


class ShadowCounts(Counts):
    """One shadow's calls, and what the comparisons found."""

    __slots__ = (
        "latency",
        "name",
        "outcomes",
        "output_outcomes",
        "production_latency",
        "role",
        "wait",
    )

    def __init__(self, name: str, role: str) -> None:
        super().__init__()
        self.name = name
        self.role = role
        self.outcomes: dict[Outcome, int] = dict.fromkeys(Outcome, 0)
        self.output_outcomes: dict[str, dict[Outcome, int]] = {}  # of outputs that differed
        # Of compared calls only: both sides are measured on the same calls.
        self.production_latency = Histogram()
        self.latency = Histogram()
        # What the observer adds: from the complete request until the copy was handed over.
        self.wait = Histogram()

    def add(self, comparison: Comparison, production: Observation, shadow: Observation) -> None:
        """Count what one comparison found."""
        self.outcomes[comparison.outcome] += 1
        self._time(production, shadow)
        for output in comparison.differing:
            name = output.name[:NAME]
            outcomes = self.output_outcomes.get(name)
            if outcomes is None:
                # Names come from the answers: what an answer can grow must have a bound.
                if len(self.output_outcomes) >= OUTPUT_NAMES:
                    name = OTHER_OUTPUT
                outcomes = self.output_outcomes.setdefault(name, {})
            outcomes[output.outcome] = outcomes.get(output.outcome, 0) + 1

    def _time(self, production: Observation, shadow: Observation) -> None:
        """How long both took, where both answered; how fast one failed is no latency."""
        if production.status != 0 or shadow.status not in {0, DEADLINE_EXCEEDED}:
            return
        self.production_latency.add(production.latency_ns)
        self.wait.add(max(0, shadow.started_ns - production.started_ns))
        if shadow.status == 0:
            self.latency.add(shadow.latency_ns)
        else:
            self.latency.add_longer(shadow.latency_ns)


class Entry:
    """One call's line in the book: a fate for each shadow."""

    __slots__ = ("_fates", "_ledger", "_undecided")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        # False: undecided, True: compared.
        self._fates: list[SkipReason | bool] = [False] * len(ledger.shadows)
        self._undecided = len(self._fates)

    @property
    def settled(self) -> bool:
        """Whether every shadow's fate is known."""
        return not self._undecided

    def skip(self, shadow: str, reason: SkipReason) -> bool:
        """Write that the call was not compared with a shadow; False if its fate was known."""
        return self._write(self._ledger.index[shadow], reason)

    def compare(
        self, shadow: str, comparison: Comparison, production: Observation, answer: Observation
    ) -> bool:
        """Write what a comparison with a shadow found; False if its fate was known."""
        index = self._ledger.index[shadow]
        if not self._write(index, True):
            return False
        self._ledger.shadows[index].add(comparison, production, answer)
        return True

    def _write(self, index: int, fate: SkipReason | bool) -> bool:
        if self._fates[index] is not False:
            return False
        self._fates[index] = fate
        counts = self._ledger.shadows[index]
        counts.in_flight -= 1
        if isinstance(fate, SkipReason):
            counts.skipped[fate] += 1
        else:
            counts.compared += 1
        self._undecided -= 1
        if not self._undecided:
            self._ledger.settle(self._fates)
        return True


class Ledger:
    """All calls since the observer began.

    A call as a whole is compared when it was compared with at least one shadow; else its reason
    is that of the first shadow. A control stands in for that only where no shadow is configured:
    how noisy production is says nothing about the candidate.
    """

    def __init__(self, shadows: Sequence[tuple[str, str]]) -> None:
        """Open the book.

        Args:
            shadows: name and role ("shadow" or "control") of each receiver, as configured.
        """
        self.calls = Counts()
        self.shadows = tuple(ShadowCounts(name, role) for name, role in shadows)
        self.index = {counts.name: i for i, counts in enumerate(self.shadows)}
        leading = [i for i, counts in enumerate(self.shadows) if counts.role == "shadow"]
        self._leading = leading or list(range(len(self.shadows)))

    def see(self) -> Entry:
        """Count a call whose header has been read; its fates are written into the entry."""
        self.calls.seen += 1
        self.calls.in_flight += 1
        for counts in self.shadows:
            counts.seen += 1
            counts.in_flight += 1
        if not self.shadows:
            self.settle(())
        return Entry(self)

    def refuse(self, reason: SkipReason, calls: int = 1) -> None:
        """Count calls that no shadow will get, in one step."""
        for counts in (self.calls, *self.shadows):
            counts.seen += calls
            counts.skipped[reason] += calls

    def refuse_each(self, reasons: Sequence[SkipReason], calls: int = 1) -> None:
        """The same, where each shadow has a reason of its own; in the order of `shadows`."""
        for counts, reason in zip(self.shadows, reasons, strict=True):
            counts.seen += calls
            counts.skipped[reason] += calls
        self.calls.seen += calls
        self.calls.skipped[reasons[self._leading[0]]] += calls

    def settle(self, fates: Sequence[SkipReason | bool]) -> None:
        """Close a call as a whole; called by its entry, once, when every fate is known."""
        self.calls.in_flight -= 1
        leading = [fates[i] for i in self._leading]
        reasons = [fate for fate in leading if isinstance(fate, SkipReason)]
        if len(reasons) < len(leading):
            self.calls.compared += 1
        else:
            self.calls.skipped[reasons[0] if reasons else SkipReason.NO_SHADOW] += 1

    def check(self) -> bool:
        """Whether law 3 holds for the calls as a whole and for every shadow."""
        return all(counts.check() for counts in (self.calls, *self.shadows))
