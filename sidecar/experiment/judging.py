"""The judge in the running observer: each finished call is told to its shadows' judges.

Rule: a call is only counted here. Evidence is evaluated when somebody asks, and now and then so
that decisions latch and a budget that is used up ends its shadow; never for a call. Nothing raises
on the data path. Counterparts: `app`, which calls; `judging_pair`, which reads a call for the
judge; `judging_blind`, which counts those that only the wire saw; `judge`, which is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sidecar.call import DRAWN, INELIGIBLE
from sidecar.compare.comparer import Comparer, Examination
from sidecar.compare.result import Comparison
from sidecar.experiment.blind import BlindCalls, chance
from sidecar.experiment.epoch import EpochCounts
from sidecar.experiment.ledger import Ledger, ShadowCounts
from sidecar.experiment.pair_reader import PairReader
from sidecar.judge.counts import Coverage
from sidecar.judge.judge import Judge
from sidecar.judge.labels import Label
from sidecar.judge.pair import JudgedPair
from sidecar.judge.report import State, Verdict
from sidecar.judge.settings import JudgeSettings
from sidecar.log import Log
from sidecar.settings.settings import Settings

if TYPE_CHECKING:
    from sidecar.experiment.pair import Pair

EVALUATE_SECONDS = 1.0
EVALUATE_SHARE = 200  # evaluating takes at most one part in so many of the process's time


class Judged:
    """One shadow with its judge."""

    def __init__(self, counts: ShadowCounts, judge: Judge, now_ns: int) -> None:
        self.counts = counts
        self.judge = judge
        self.epoch = EpochCounts(judge.epoch, counts.skipped)  # shown beside the verdict
        self.blind = 0.0  # calls to be compared that only the wire saw
        self.unsettled = 0  # connections whose calls the wire has not counted yet
        self._lost: dict[str, int] = {}  # as the judge was last told
        self.verdict = judge.verdict(now_ns, self.coverage)  # as last evaluated

    @property
    def name(self) -> str:
        """The shadow's name."""
        return self.counts.name

    def begin(self, judge: Judge) -> None:
        """Begin again with another judge: what was counted had other weights."""
        self.judge = judge
        self.judge.cover_from(self.coverage)
        self.epoch = EpochCounts(judge.epoch, self.counts.skipped)

    @property
    def coverage(self) -> Coverage:
        """Compared, of the calls whose fate is known and that were to be compared."""
        counts = self.counts
        known = counts.seen - counts.in_flight
        chosen = sum(counts.skipped[reason] for reason in INELIGIBLE)
        blind = round(self.blind)
        return Coverage(counts.compared, known - chosen + blind, blind)

    def observe(
        self, pair: JudgedPair, now_ns: int, unix_ns: int, scores: dict[str, float] | None = None
    ) -> None:
        """Count one pair, as evidence and for what is shown beside it."""
        counted = self.judge.observe(pair, now_ns, scores)
        if self.judge.epoch != self.epoch.number:
            self.epoch = EpochCounts(self.judge.epoch, self.counts.skipped)
            before = self.coverage  # this call, compared a moment ago, is the epoch's first
            self.judge.cover_from(before - Coverage(1, 1))
        if counted:
            self.epoch.add(pair, unix_ns)

    @property
    def _lost_now(self) -> dict[str, int]:
        """Calls that should have been compared and were not, but for those that a draw left out."""
        skipped = self.counts.skipped
        found = {r.value: n for r, n in skipped.items() if n and r not in INELIGIBLE | DRAWN}
        unseen = round(self.blind)
        return found | ({"unseen": unseen} if unseen else {})

    def evaluate(self, now_ns: int) -> Verdict:
        """Judge what has been counted so far."""
        lost = self._lost_now
        new = {why: n - self._lost.get(why, 0) for why, n in lost.items()}
        if any(n > 0 for n in new.values()):
            self.judge.lose({why: n for why, n in new.items() if n > 0}, now_ns)
            self._lost = lost
        verdict = self.judge.verdict(now_ns, self.coverage)
        if self.unsettled and verdict.state is State.PASS:
            reason = f"calls of {self.unsettled} connections are not counted yet: {verdict.reason}"
            verdict = replace(verdict, state=State.WATCHING, reason=reason)
        self.verdict = verdict
        return verdict


class Judging:
    """Every shadow's judge; controls have none, for they are what the noise is measured by."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        comparer: Comparer,
        now_ns: Callable[[], int],
        log: Log,
        *,
        instance: str,
        unix_offset_ns: int,
    ) -> None:
        """Begin to judge.

        Args:
            settings: the whole configuration.
            ledger: where coverage is read.
            comparer: reads what a comparison did not have to.
            now_ns: the monotonic clock.
            log: told of every change of a verdict.
            instance: names this process's life among all pods and restarts.
            unix_offset_ns: what to add to that clock to get Unix time.
        """
        self.settings: JudgeSettings = settings.judge
        self.instance = instance
        self.unix_offset_ns = unix_offset_ns
        self.failures = 0  # calls that could not be counted: a defect of ours
        self.listeners: list[Callable[[str, JudgedPair], None]] = []
        self._now_ns = now_ns
        self._log = log
        self._scored = bool(settings.capture.dir)  # whether somebody wants each call's scores
        self._rules = settings.compare.model_dump_json()
        self._control = next((s.name for s in settings.shadows if s.role == "control"), None)
        self.control_fraction = self._fraction_of(settings, 0.0)
        self._reader = PairReader(settings, comparer, self._control)
        self._fractions = {s.name: s.fraction for s in settings.shadows}
        self.blind = BlindCalls()
        self._lives = 0
        self._next_ns = 0
        self.shadows = {
            counts.name: Judged(counts, self._new_judge(), now_ns())
            for counts in ledger.shadows
            if counts.role == "shadow"
        }

    def _new_judge(self) -> Judge:
        return Judge(
            self.settings,
            f"{self.instance}.{self._lives}" if self._lives else self.instance,
            self._now_ns(),
            unix_offset_ns=self.unix_offset_ns,
            control_fraction=self.control_fraction,
            rules=self._rules,
        )

    def _fraction_of(self, settings: Settings, otherwise: float) -> float:
        return next((s.fraction for s in settings.shadows if s.name == self._control), otherwise)

    # ---- on the data path ---------------------------------------------------------------------

    def keep(self, pair: Pair, name: str, found: Examination) -> None:
        """Keep, of what a comparison just read, what criteria and slices are about."""
        if name not in self.shadows:
            return
        try:
            self._reader.keep(pair, name, found)
        except Exception as error:  # a payload must not end the observer
            self._failed(pair, error)

    def correlation_id(self, pair: Pair) -> str:
        """What a label names a call by; empty: its trace id.

        Raises:
            Exception: whatever a payload may cause; the caller counts it.
        """
        return self._reader.correlation_id(pair)

    def judge(self, pair: Pair) -> None:
        """Count a call whose every fate is known."""
        if pair.production is None:
            return
        for name, comparison in pair.compared.items():
            judged = self.shadows.get(name)
            if judged is None:
                continue
            try:
                self._count(judged, pair, comparison)
            except Exception as error:
                self._failed(pair, error)

    def _failed(self, pair: Pair, error: Exception) -> None:
        self.failures += 1
        if self.failures == 1:
            self._log.warning("not_judged", error=repr(error), method=pair.call.method)

    def _count(self, judged: Judged, pair: Pair, comparison: Comparison) -> None:
        judged_pair = pair.judged[judged.name] = self._reader.read(pair, judged.name)
        scores = pair.scores.setdefault(judged.name, {}) if self._scored else None
        unix_ns = pair.call.started_ns + self.unix_offset_ns
        judged.observe(judged_pair, self._now_ns(), unix_ns, scores)
        for listener in self.listeners:
            listener(judged.name, judged_pair)

    # ---- what the wire tells, about once a second -----------------------------------------------

    def stats(self, figures: Mapping[str, Any], fraction: float) -> None:
        """Count the calls that only the wire saw.

        Args:
            figures: the wire's own counters.
            fraction: the share of all calls that was to be compared.
        """
        self._miss(self.blind.since_last(figures), fraction)

    def attached(self, hello: Mapping[str, Any], fraction: float) -> None:
        """Count the calls that were lost with the session before."""
        self._miss(self.blind.attached(hello), fraction)

    def detached(self) -> None:
        """No wire is there to tell."""
        self.blind.detached()
        self._miss(0, 0.0)

    def unreadable(self, conn: int) -> None:
        """A connection cannot be read any more: until the wire has counted, nothing passes."""
        self.blind.unreadable(conn)
        self._miss(0, 0.0)

    def counted(self, conn: int, calls: int, seen: int, fraction: float) -> None:
        """Count the calls of a connection that were copied and not seen here."""
        self._miss(self.blind.counted(conn, calls, seen), fraction)

    def _miss(self, calls: int, fraction: float) -> None:
        for name, judged in self.shadows.items():
            judged.unsettled = self.blind.unsettled
            if calls:
                judged.blind += calls * chance(judged.counts, fraction * self._fractions[name])

    # ---- when somebody asks, and now and then ---------------------------------------------------

    def sweep(self) -> None:
        """Evaluate, unless that was done a moment ago. Called about once a second."""
        start = self._now_ns()
        if start < self._next_ns:
            return
        for judged in self.shadows.values():
            before = judged.verdict.state
            verdict = judged.evaluate(start)
            if verdict.state is not before:
                self._log.info(
                    "verdict", shadow=judged.name, state=verdict.state, reason=verdict.reason
                )
        took = self._now_ns() - start
        self._next_ns = start + max(int(EVALUATE_SECONDS * 0.9e9), took * EVALUATE_SHARE)

    def ended(self, name: str) -> bool:
        """Whether a shadow's budget is used up; a control ends with the last shadow."""
        judged = self.shadows.get(name)
        return self.all_ended if judged is None else judged.verdict.ended

    @property
    def all_ended(self) -> bool:
        """Whether there is a shadow, and every one's budget is used up."""
        return bool(self.shadows) and all(j.verdict.ended for j in self.shadows.values())

    def label(self, label: Label, shadow: str | None = None) -> None:
        """Tell what turned out to be true about a call, to one shadow's judge or to all."""
        now_ns = self._now_ns()
        for judged in self.shadows.values():
            if shadow in {None, judged.name}:
                judged.judge.label(label, now_ns)

    def change(self, settings: Settings) -> None:
        """Follow a change of the control's fraction: what was counted had other weights."""
        self._fractions |= {s.name: s.fraction for s in settings.shadows}
        fraction = self._fraction_of(settings, self.control_fraction)
        if fraction == self.control_fraction:
            return
        self.control_fraction = fraction
        self._lives += 1
        for judged in self.shadows.values():
            judged.begin(self._new_judge())
        self._log.info("evidence_restarted", reason="the control's fraction has changed")
