"""The sidecar's own harmlessness, measured while it runs: production's latency with the tee and
without.

Rule: in random slices of time nothing is copied for a shadow, so that production is as it would be
without one; which slices those are is drawn before anything of their calls is known, so leaving
them out favours nobody, and they do not count against coverage. When it is proven that production
is slower with the tee by more than `production.max_added_ms`, the tee pauses itself, as an operator
would, until an operator has it go on. The draw hangs on the wire's life and the machine's clock
alone: observers that share a wire rest together.

A period has 1/`production.rest` slices of a second. Two of them are drawn; the first of the two
goes without the tee, the other is what it is held against. Counterparts: `observe.timing`, which
times calls; `judge.evidence.added`, what it proves; `operation`, which tells the wire.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from sidecar.experiment.operation import Operation
from sidecar.experiment.state import AddedLatency, Proof
from sidecar.judge.evidence.added import Added
from sidecar.log import Log
from sidecar.observe.timing import RESTED, WORKED, Timing
from sidecar.tee.settings import ProductionSettings

SLICE_NS: Final = 1_000_000_000
EDGE_NS: Final = 50_000_000  # from a slice's beginning: until the wire has heard, and a bit
LATE_NS: Final = 400_000_000  # who learns so late that a slice has begun leaves the period out
LEAST_CALLS: Final = 5  # of each slice; with fewer, the period says nothing


def drawn(life: str, period: int, slices: int) -> tuple[int, int]:
    """The two slices of a period: without the tee, and with it."""
    rested, worked = random.Random(f"{life}:{period}").sample(range(slices), 2)
    return rested, worked


class Harmless:
    """Rests, times, and pauses the tee where it does harm."""

    def __init__(
        self,
        settings: ProductionSettings,
        operation: Operation,
        log: Log,
        receivers: Callable[[], int],
    ) -> None:
        """Begin.

        Args:
            settings: how often, and how much is too much.
            operation: through which the tee rests and is paused.
            log: told of harm.
            receivers: how many shadows there are.
        """
        self.timing = Timing()
        self._settings = settings
        self._operation = operation
        self._log = log
        self._receivers = receivers
        self._added = Added(settings.max_added_ms)
        self._slices = max(2, round(1 / settings.rest)) if settings.rest else 0
        self._life = ""
        self._since_ns = 0  # attached to the wire since then; 0: to none
        self._period = -1
        self._harmed = self._harmed_ns = 0

    @property
    def state(self) -> AddedLatency:
        """What is known."""
        word: Proof = "measuring" if self._added.estimate().pairs else "waiting"
        if not self._slices:
            word = "off"
        elif self._operation.harmed:
            word = "harmed"
        return AddedLatency(
            word,
            1 / self._slices if self._slices else 0.0,
            self._settings.max_added_ms,
            self._added.estimate(),
            self._harmed,
            self._harmed_ns,
        )

    def attached(self, life: str, now_ns: int) -> None:
        """A wire is there to be asked."""
        self._life, self._since_ns = life, now_ns
        self._over()

    def detached(self) -> None:
        """None is."""
        self._since_ns = 0
        self._over()

    def tick(self, now_ns: int) -> float:
        """Do what is due.

        Returns:
            Seconds until something is due again.
        """
        if not self._slices:
            return 3600.0
        number, within = divmod(now_ns, SLICE_NS)
        until = SLICE_NS - within
        early = now_ns - self._since_ns < self._settings.rest_after_seconds * 1e9
        if not self._since_ns or early or not self._operation.is_on or not self._receivers():
            self._over()
            return until / 1e9
        period, at = divmod(number, self._slices)
        if period != self._period:
            self._close(now_ns)
            self._period = period
        rested, worked = drawn(self._life, period, self._slices)
        self._operation.rest(at == rested, now_ns)
        for slice_, when in ((RESTED, rested), (WORKED, worked)):
            if at == when and within < LATE_NS and not self.timing.until_ns[slice_]:
                self.timing.open(slice_, now_ns + EDGE_NS, now_ns + until)
        return until / 1e9

    def _over(self) -> None:
        self.timing.clear()
        self._period = -1
        self._operation.rest(False, 0)

    def _close(self, now_ns: int) -> None:
        """Count the period that is over."""
        timing = self.timing
        without, with_ = timing.mean_ns(RESTED), timing.mean_ns(WORKED)
        enough = min(timing.calls) >= LEAST_CALLS
        timing.clear()
        if not enough or without is None or with_ is None:
            return
        if self._added.add(with_ / 1e6, without / 1e6):
            self._harmed += 1
            self._harmed_ns = now_ns
            self._operation.harm()
            found = self._added.estimate()
            self._log.warning(
                "production_harmed",
                added_ms=_rounded(found.median_ms),
                at_least_ms=_rounded(found.low_ms),
                allowed_ms=self._settings.max_added_ms,
                pairs=found.pairs,
                effect="paused, until SetPolicy or the configuration says paused: false",
            )


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 3)
