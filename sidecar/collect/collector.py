"""The wheel: ask, keep, judge, note what changed; again and again.

Rule: nothing that a pod, the resolver or the disk does ends it. What could not be written is tried
again with the next round, and is said; until then a restart would forget it. Counterparts: `poll`,
`ledger`, `service`; `pages`, which reads `reports`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from sidecar.collect.ledger import Change, Ledger, LedgerError
from sidecar.collect.poll import ask_all
from sidecar.collect.service import Heard, Service
from sidecar.judge.counts import SnapshotKey
from sidecar.log import Log
from sidecar.report.part import Part
from sidecar.serve.client import Reach

MOST_UNWRITTEN = 20_000  # parts; the newest of each are in memory all the same


class Collector:
    """Polls a service and keeps its verdict."""

    def __init__(
        self,
        services: Sequence[str],
        reach: Reach,
        ledger: Ledger,
        log: Log,
        *,
        every_seconds: float = 10.0,
        allow_missing: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take over what the ledger has.

        Raises:
            LedgerError: it cannot be read.
        """
        self._services, self._reach, self._ledger = services, reach, ledger
        self._log, self._every, self._clock = log, every_seconds, clock
        self.service = Service(allow_missing=allow_missing, failed=ledger.failed())
        self.service.remember(ledger.parts())
        self._states = {change.shadow: change for change in reversed(ledger.history())}
        self._unwritten: dict[tuple[str, SnapshotKey], Part] = {}
        self._changes: list[Change] = []  # not written yet
        self._gone: list[Part] = []
        self.rounds = {"good": 0, "short": 0, "failed": 0}
        self.unwritten = ""  # why the ledger was not written; empty when it was
        self.reports: dict[str, dict[str, Any]] = {}
        self._judge(note=False)  # with nobody asked yet: nothing to remember

    async def run(self) -> None:
        """Turn until cancelled."""
        while True:
            began = time.monotonic()
            await self.turn()
            await asyncio.sleep(max(0.1, self._every - (time.monotonic() - began)))

    async def turn(self) -> None:
        """One round."""
        try:
            heard = await ask_all(self._services, self._reach, self._clock)
        except Exception as error:  # one round is lost, and said; the next may be better
            self.rounds["failed"] += 1
            self._log.warning("nobody could be asked", error=f"{type(error).__name__}: {error}")
            why = " ".join(str(error).split()) or type(error).__name__
            heard = Heard(self._clock(), [], dict.fromkeys(self._services, why))
        else:
            self.rounds["short" if heard.missing else "good"] += 1
        news, gone = self.service.hear(heard)
        for part in news:
            self._unwritten[part.shadow, part.snapshot.key] = part
        for part in gone:
            self._unwritten.pop((part.shadow, part.snapshot.key), None)
        self._gone += gone
        self._judge()
        await asyncio.to_thread(self._write)

    def _judge(self, *, note: bool = True) -> None:
        """Make every report anew, and note the verdicts that are others than before."""
        now = self._clock()
        reports = {}
        for shadow in self.service.shadows:
            report = self.service.report(shadow, now)
            if self.unwritten:
                report["notices"] = [*report["notices"], f"not kept on disk: {self.unwritten}"]
            reports[shadow] = report
            verdict, experiment = report["verdict"], report["service"]["experiment"]
            change = Change(
                now, shadow, experiment, str(verdict["state"]), verdict["reason"], verdict["calls"]
            )
            before = self._states.get(shadow)
            if note and (before is None or before[2:4] != change[2:4]):
                self._states[shadow] = change
                self._changes.append(change)
                self._log.info("verdict", shadow=shadow, state=change.state, reason=change.reason)
        self.reports = reports

    def _write(self) -> None:
        """Bring the disk up to date; what it does not take is kept for the next round."""
        seen = self.service.last.unix if self.service.last else self._clock()
        try:
            self._ledger.keep(list(self._unwritten.values()), seen)
            for part in self._gone:
                self._ledger.forget(part.shadow, [part.snapshot.key])
            while self._changes:
                self._ledger.changed(self._changes[0])
                del self._changes[0]
        except LedgerError as error:
            if not self.unwritten:
                self._log.warning("not kept on disk", error=str(error))
            self.unwritten = str(error)
            while len(self._unwritten) > MOST_UNWRITTEN:
                del self._unwritten[next(iter(self._unwritten))]
            del self._changes[:-MOST_UNWRITTEN], self._gone[:-MOST_UNWRITTEN]
            return
        self._unwritten.clear()
        self._gone.clear()
        self.unwritten = ""

    @property
    def history(self) -> list[Change]:
        """The latest changes of verdicts, newest first."""
        return self._ledger.history()
