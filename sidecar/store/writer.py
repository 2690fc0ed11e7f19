"""Writes evidence from a thread of its own: who counts hands over and never waits.

Rule: one batch is on its way at a time; while the disk is slow or full the next one waits where it
is counted, and nothing is lost but time. A failure is counted, told once, and tried again. A
decision is appended to a text file at once; where the disk does not take it, it waits for the next
transaction. Counterparts: `evidence`, `decisions`, the files; `keeper`, which hands over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sidecar.log import Log
from sidecar.store.database import is_damage, set_aside
from sidecar.store.decisions import FAIL, Decided, Decisions
from sidecar.store.evidence import open_evidence
from sidecar.store.folder import PATIENCE_SECONDS
from sidecar.store.kept import Write


@dataclass(slots=True)
class StoreState:
    """What `/status`, the metrics and the page tell of the store."""

    file: str
    opened_unix_ns: int = 0
    writes: int = 0
    failures: int = 0  # transactions that could not be made
    error: str = ""  # of the latest failure; empty again after a success
    written_unix_ns: int = 0
    write_ms: float = 0.0  # that the latest transaction took, in its thread
    damaged: str = ""  # where a damaged file is now, or which experiment could not be read


class Writer:
    """One file's evidence, and the decisions about it."""

    def __init__(
        self, path: Path, decisions: Decisions, log: Log, clock: Callable[[], int]
    ) -> None:
        """Open the file; `start` begins to write.

        Args:
            path: a file that is ours alone.
            decisions: of its directory.
            log: told of damage and of failures.
            clock: Unix time in nanoseconds.

        Raises:
            StoreError: it cannot be used; says what to do.
        """
        self._log = log
        self._clock = clock
        self.state = StoreState(str(path), opened_unix_ns=clock())
        self.decisions = decisions
        self.evidence, self.rows, aside = open_evidence(path)  # the rows as they were then
        if aside is not None:
            self._aside(aside)
        decisions.reserve()
        self.committed = {row.number for row in self.rows}  # experiments that are on disk
        self.unwritten: list[Decided] = []  # decisions that the disk did not take yet
        self._work = threading.Condition()
        self._batch: Sequence[Write] | None = None
        self._ended: list[int] = []
        self._anew = False
        self._closing = False
        self._pending: dict[int, Write] = {}  # what the disk has not taken yet, by experiment
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    # ---- from the loop: nothing here waits, but for `close` -------------------------------------

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, batch: Sequence[Write]) -> bool:
        """Hand over what has changed; False while the last is still being written."""
        with self._work:
            if not self.idle:
                return False
            self._batch = batch
            self._work.notify()
        return True

    @property
    def idle(self) -> bool:
        """Whether `put` would take a batch."""
        return self._batch is None and not self._closing

    def wait(self, seconds: float) -> bool:
        """Wait until what was handed over was tried; False if that took longer."""
        with self._work:
            return self._work.wait_for(lambda: self._batch is None, seconds)

    def note(self, decided: Decided) -> None:
        """Write a decision down at once: into the page cache, which outlives the process."""
        try:
            self.decisions.append(decided)
        except OSError as error:
            self.unwritten.append(decided)
            self._failed(error)
            if decided.state == FAIL:
                self.decisions.mark(decided.identity, decided.number)

    def noted(self) -> list[Decided]:
        """Every decision of the directory, and those of ours that the disk did not take yet."""
        waiting = [*self.unwritten]  # first: else one that is written just now would be in neither
        return [*self.decisions.read(), *waiting]

    def ended(self) -> list[int]:
        """Numbers of experiments that somebody has ended since this was last asked."""
        with self._work:
            found, self._ended = self._ended, []
        return found

    def begins_anew(self) -> bool:
        """Whether the file is new, and must be told everything again; asked once."""
        anew, self._anew = self._anew, False
        return anew

    def close(self, batch: Sequence[Write] = ()) -> None:
        """Write what is left, end the thread and close the file."""
        self.wait(PATIENCE_SECONDS)
        with self._work:
            if batch and self._batch is None:
                self._batch = batch
            self._closing = True
            self._work.notify_all()
        self._thread.join(PATIENCE_SECONDS)
        if not self._thread.is_alive():
            self.evidence.close()

    # ---- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._work:
                self._work.wait_for(lambda: self._batch is not None or self._closing)
                batch = self._batch
                if batch is None:
                    return
            self._commit(batch)
            with self._work:
                self._batch = None
                self._work.notify_all()

    def _commit(self, batch: Sequence[Write]) -> None:
        began = time.monotonic()
        now = self._clock()
        try:
            # Also of experiments that have nothing new: else nothing to write would be a success.
            whole = self._due(batch)
            ended = self.evidence.write(whole, now)
            while self.unwritten:
                self.decisions.append(self.unwritten[0])
                if self.unwritten[0].state == FAIL:
                    self.decisions.unmark(self.evidence.identity, self.unwritten[0].number)
                del self.unwritten[0]
        except Exception as error:  # a defect of ours must not end the thread
            self._failed(error)
            if is_damage(error):
                self._begin_anew()
            return
        self._pending.clear()
        self.committed |= {write.row.number for write in whole}
        state = self.state
        if state.error:
            self._log.info("state_kept_again", file=state.file, failures=state.failures)
        state.writes, state.error, state.written_unix_ns = state.writes + 1, "", now
        state.write_ms = (time.monotonic() - began) * 1e3
        self.decisions.reserve()  # in case that it was needed
        if ended:
            with self._work:
                self._ended += ended

    def _due(self, batch: Sequence[Write]) -> list[Write]:
        """The batch, with the pieces of writes that failed."""
        for write in batch:
            before = self._pending.get(write.row.number)
            pieces = {**before.pieces, **write.pieces} if before else write.pieces
            self._pending[write.row.number] = replace(write, pieces=pieces)
        return list(self._pending.values())

    def _begin_anew(self) -> None:
        path = Path(self.state.file)
        try:
            self.evidence.close()
            aside = set_aside(path)
            identity = self.evidence.identity
            self.evidence, _, _ = open_evidence(path)
            self.evidence.name(identity)  # the same counts go on
        except Exception as error:
            self._failed(error)
            return
        self._pending.clear()
        self._aside(aside)
        self._anew = True

    # ---- telling --------------------------------------------------------------------------------

    def _failed(self, error: Exception) -> None:
        self.state.failures += 1
        if str(error) != self.state.error:
            self.state.error = str(error) or type(error).__name__
            self._log.warning("state_not_kept", file=self.state.file, error=self.state.error)

    def _aside(self, aside: Path) -> None:
        self.state.damaged = str(aside)
        self._log.error("damaged_state_set_aside", file=self.state.file, now=str(aside))
