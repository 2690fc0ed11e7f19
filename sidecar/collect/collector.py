"""The wheel: ask, keep, judge, note what changed; again and again.

Rules: nothing that a pod, the resolver or the disk does ends it. A decision is shown only once it
is on disk, so that no crash makes a FAIL forgotten that somebody has seen; while the disk takes
nothing, nothing passes, and it is said. Counts of a pod that is there are written once a minute,
for it still has them; those of one that is gone at once. It never works more than half of the
time. Counterparts: `poll`, `ledger`, `service`; `pages`, which reads `reports`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from sidecar.collect.experiments import Experiments
from sidecar.collect.ledger import Ledger, LedgerError
from sidecar.collect.lives import Heard, Lives
from sidecar.collect.nameless import Nameless
from sidecar.collect.poll import Poller
from sidecar.collect.service import Service
from sidecar.collect.told import Told
from sidecar.judge.counts import SnapshotKey
from sidecar.judge.report import State
from sidecar.log import Log
from sidecar.report.build import empty_report
from sidecar.report.part import Part
from sidecar.report.report import Report, VerdictChange

MOST_UNWRITTEN = 2_000  # parts; the newest of each are in memory all the same
MOST_CHANGES = 1_000
WRITE_SECONDS = 60.0
HISTORY = 200
STALE_ROUNDS = 3
SLACK_SECONDS = 30.0


class Collector:
    """Polls a service and keeps its verdict."""

    def __init__(
        self,
        services: Sequence[str],
        poller: Poller,
        ledger: Ledger,
        log: Log,
        *,
        every_seconds: float = 10.0,
        allow_missing: bool = False,
        other_shadows: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take over what the ledger has.

        Raises:
            LedgerError: it cannot be read.
        """
        self._poller, self._ledger = poller, ledger
        self._log, self._every, self._clock = log, every_seconds, clock
        decided = ledger.experiments()
        self.service = Service(
            tuple(services),
            allow_missing,
            Lives(other_shadows),
            experiments=Experiments(decided),
            nameless=Nameless(decided),
        )
        parts, unread = ledger.parts()
        self.service.lives.remember(parts)
        for one in unread:
            self.service.cannot_read(one.shadow, one.rules, one.models)
            log.warning("counts of another version are left out", source=one.source, why=one.why)
        self._history = ledger.history(HISTORY)
        self._states: dict[str, VerdictChange] = {}
        for change in reversed(self._history):
            self._states[change.shadow] = change
        self._unwritten: dict[tuple[str, SnapshotKey], Told] = {}
        self._written: dict[tuple[str, SnapshotKey], float] = {}
        self._changes: list[VerdictChange] = []  # not written yet
        self._gone: list[Part] = []
        # A round that is cancelled ends in its thread all the same.
        self._turning = threading.Lock()
        self.rounds = {"good": 0, "short": 0, "failed": 0}
        self.unwritten = ""  # why the ledger was not written; empty when it was
        self.reports = self._judge(note=False)  # with nobody asked yet: nothing to remember

    async def run(self) -> None:
        """Turn until cancelled."""
        while True:
            began = time.monotonic()
            await self.turn()
            took = time.monotonic() - began
            await asyncio.sleep(max(0.1, took, self._every - took))

    async def turn(self) -> None:
        """One round."""
        try:
            heard = await self._poller.round()
        except Exception as error:  # one round is lost, and said; the next may be better
            self.rounds["failed"] += 1
            self._log.warning("nobody could be asked", error=f"{type(error).__name__}: {error}")
            why = " ".join(str(error).split()) or type(error).__name__
            heard = Heard(self._clock(), [], dict.fromkeys(self.service.names, why))
        else:
            short = heard.missing or heard.not_injected
            self.rounds["short" if short else "good"] += 1
        # In a thread: with many pods it takes seconds, and who asks wants an answer meanwhile.
        await asyncio.to_thread(self._digest, heard)

    def _digest(self, heard: Heard) -> None:
        with self._turning:
            self._take(heard)

    def _take(self, heard: Heard) -> None:
        news, gone = self.service.hear(heard)
        for told in news:
            self._unwritten[told.part.shadow, told.part.snapshot.key] = told
        for part in gone:
            self._unwritten.pop((part.shadow, part.snapshot.key), None)
        self._gone += gone
        reports = self._judge()
        self._write({(told.part.shadow, told.part.snapshot.key) for told in heard.told})
        if self.unwritten:
            reports = {name: self._unkept(report) for name, report in reports.items()}
        self.reports = reports

    def _judge(self, *, note: bool = True) -> dict[str, Report]:
        """Make every report anew, and note the verdicts that are others than before."""
        now = self._clock()
        made: dict[str, Report] = {}
        for shadow in self.service.lives.shadows:
            try:
                report = self.service.report(shadow, now, self._history)
            except Exception as error:  # a defect of ours, or a lie: no verdict, and it is said
                why = f"{type(error).__name__}: {' '.join(str(error).split())}"
                self._log.error("could not be judged", shadow=shadow, error=why)
                reason = f"the counts cannot be added: {why}"
                report = replace(
                    empty_report(self.service.lives.missing(shadow), now, reason), shadow=shadow
                )
            if note:
                report = self._noted(report, now)
            made[shadow] = report
        return made

    def _noted(self, report: Report, now: float) -> Report:
        verdict, facts = report.verdict, report.service
        change = VerdictChange(
            now,
            report.shadow,
            facts.experiment if facts else "",
            verdict.state.value,
            verdict.reason,
            verdict.calls,
        )
        before = self._states.get(report.shadow)
        if before and (before.experiment, before.state) == (change.experiment, change.state):
            return report
        self._states[report.shadow] = change
        self._changes.append(change)
        self._history = [change, *self._history][:HISTORY]
        self._log.info("verdict", shadow=change.shadow, state=change.state, reason=change.reason)
        if facts is None:
            return report
        return replace(report, service=replace(facts, history=(change, *facts.history)))

    def _write(self, here: set[tuple[str, SnapshotKey]]) -> None:
        """Bring the disk up to date; what it does not take is kept for the next round."""
        now = self._clock()
        due = {
            key: told
            for key, told in self._unwritten.items()
            if key not in here or now - self._written.get(key, 0.0) >= WRITE_SECONDS
        }
        decided = [*self.service.experiments, *self.service.nameless.failed.values()]
        try:
            self._ledger.write(list(due.values()), now, self._gone, self._changes, decided)
        except LedgerError as error:
            if not self.unwritten:
                self._log.warning("not kept on disk", error=str(error))
            self.unwritten = str(error)
            while len(self._unwritten) > MOST_UNWRITTEN:
                del self._unwritten[next(iter(self._unwritten))]
            del self._changes[:-MOST_CHANGES], self._gone[:-MOST_UNWRITTEN]
            return
        for key in due:
            del self._unwritten[key]
            self._written[key] = now
        self._written = {key: at for key, at in self._written.items() if key in here}
        self._gone.clear()
        self._changes.clear()
        self.unwritten = ""

    def _unkept(self, report: Report) -> Report:
        """While nothing can be kept, nothing passes: a restart would forget why."""
        said = f"not kept on disk: {self.unwritten}"
        verdict = report.verdict
        if verdict.state is State.PASS:
            reason = f"{said}; otherwise: {verdict.reason}"
            verdict = replace(verdict, state=State.INCONCLUSIVE, reason=reason)
        return replace(report, verdict=verdict, notices=(*report.notices, said))

    def flush(self) -> None:
        """Write everything that is not on disk yet: before the process ends."""
        with self._turning:
            self._write(set())

    def now(self) -> dict[str, Report]:
        """The reports, each with its age: what nobody asked about for some rounds is no PASS."""
        age = self.age
        return {name: _aged(report, age, self._most_age) for name, report in self.reports.items()}

    @property
    def age(self) -> float | None:
        """Seconds since everybody was asked; None before that."""
        last = self.service.lives.last
        return None if last is None else max(0.0, self._clock() - last.unix)

    @property
    def _most_age(self) -> float:
        took = self.service.lives.last.took_seconds if self.service.lives.last else 0.0
        return STALE_ROUNDS * max(self._every, 2 * took) + SLACK_SECONDS

    @property
    def missing(self) -> dict[str, str]:
        """Who could not be asked in the latest round, and why."""
        last = self.service.lives.last
        return {**last.missing, **last.not_injected} if last else {}

    @property
    def history(self) -> list[VerdictChange]:
        """The latest changes of verdicts, newest first."""
        return self._history


def _aged(report: Report, age: float | None, most_age: float) -> Report:
    if report.service is not None:
        report = replace(report, service=replace(report.service, staleness_seconds=age))
    if age is None or age <= most_age or report.state is not State.PASS:
        return report
    verdict = replace(
        report.verdict, state=State.INCONCLUSIVE, reason=f"nobody was asked for {age:.0f} s"
    )
    return replace(report, verdict=verdict)
