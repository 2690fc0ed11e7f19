"""Which experiments one process goes on with, and what was decided about them.

Rule: a decision is written down before anybody is told of it, so that a process killed in the same
second cannot take it back. A FAIL stands although its evidence is lost, or another process of the
directory came to it. Counterparts: `writer`, which writes; `decisions`; `experiment.keeping`, which
asks.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from pathlib import Path

from sidecar.log import Log
from sidecar.store.database import DamagedError
from sidecar.store.decisions import (
    BEGUN,
    FAIL,
    RESET,
    Decided,
    Decisions,
    attempt_of,
    row_of,
    standing,
)
from sidecar.store.evidence import identities
from sidecar.store.folder import PATIENCE_SECONDS, StoreError, claim
from sidecar.store.kept import Kept, Key, Pieces, Row, Write
from sidecar.store.writer import StoreState, Writer

STEM = "evidence"


class Keeper:
    """One process's evidence on disk."""

    def __init__(
        self,
        folder: Path,
        log: Log,
        *,
        places: int = 1,
        beside: Container[str] = (),
        patience: float = PATIENCE_SECONDS,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Claim a file of the directory and open it.

        Args:
            folder: a directory of ours; see `folder.own`.
            log: told of damage and of failures.
            places: how many processes share the directory.
            beside: names of all shadows that are judged; see `decisions.attempt_of`.
            patience: seconds to wait for a file that a dying process still holds.
            clock: Unix time in nanoseconds.

        Raises:
            StoreError: it cannot be used; says what to do.
        """
        self._log = log
        self._clock = clock
        self._place = claim(folder, STEM, places, patience)
        try:
            self._writer = Writer(self._place.path, Decisions(folder), log, clock)
        except StoreError:
            self._place.leave()
            raise
        self._decided = self._writer.noted()
        self._beside = beside
        rows = self._writer.rows
        self._rows = {row.number: row for row in rows}  # as handed over last
        self._numbers = max(self._rows, default=0)
        self._before_unix_ns = max((row.written_unix_ns for row in rows), default=0)
        for number in self._writer.decisions.marked(self.identity):
            self._failed_before(number)
        self._writer.start()

    # ---- which experiment -----------------------------------------------------------------------

    @property
    def state(self) -> StoreState:
        """What is told of the store."""
        return self._writer.state

    @property
    def identity(self) -> str:
        """Names this file's counts among all pods', as long as the file lives."""
        return self._writer.evidence.identity

    def next_number(self) -> int:
        """A number for a new experiment, which no other of this file ever had."""
        self._numbers += 1
        return self._numbers

    @property
    def before_unix_ns(self) -> int:
        """The latest transaction before this process; 0 in a new file."""
        return self._before_unix_ns

    def living(self, name: str, digest: str) -> list[Row]:
        """Experiments of a shadow under given rules that can be continued, latest seen first."""
        for row in list(self._rows.values()):
            if (later := self._later(row)) is not None and later.key != row.key:
                self._rows[row.number] = replace(row, key=later.key)  # its versions were learned
        found = [
            row
            for row in self._rows.values()
            if row.key.name == name and row.key.digest == digest and not row.ended
        ]
        return sorted(found, key=lambda row: (-row.seen_unix_ns, -row.number))

    def latest(self, name: str, digest: str) -> bool:
        """Whether no experiment of a shadow under other rules was written since."""
        written: dict[bool, int] = {}
        for row in self._rows.values():
            if row.key.name == name:
                ours = row.key.digest == digest
                written[ours] = max(written.get(ours, 0), row.written_unix_ns)
        return written.get(True, 0) >= written.get(False, 0)

    def load(self, key: Key) -> Kept | None:
        """The experiment of that key to continue, if there is one.

        A FAIL whose evidence is lost, or that another process of the directory came to, stands
        without pieces. Reads the file: milliseconds, and once a key.
        """
        living = [row for row in self._rows.values() if row.key == key and not row.ended]
        kept = self._loaded(living[-1]) if living else None
        decided = standing(self._decided, key)
        if kept is not None:
            row = kept.row
            later = self._later(row)
            if later is not None:
                kept = _decided(kept, later)
            elif decided is not None and decided.state == "FAIL" and row.state != "FAIL":
                kept = _decided(kept, decided)
            return kept
        if decided is not None and decided.state == "FAIL":
            row = replace(row_of(decided), number=self.next_number())
            return _decided(Kept(row, {}), decided)
        return None

    def _later(self, row: Row) -> Decided | None:
        """The decision that was made about a row after it was written, whatever its key was."""
        ours = [
            d
            for d in self._decided
            if (d.identity, d.number) == (self.identity, row.number) and d.is_decision
        ]
        return ours[-1] if ours and ours[-1].sequence > row.sequence else None

    def has(self, number: int) -> bool:
        """Whether an experiment is on disk."""
        return number in self._writer.committed

    def _loaded(self, row: Row) -> Kept | None:
        try:
            return self._writer.evidence.load(row.number)
        except (DamagedError, StoreError, sqlite3.Error, ValueError, KeyError) as error:
            self._lose(row, error)
            return None

    def unusable(self, row: Row, error: Exception) -> None:
        """An experiment was read and makes no sense: it is ended, and that is told."""
        self._lose(row, error)

    def _lose(self, row: Row, error: Exception) -> None:
        self.state.damaged = f"experiment {row.number} of {self.state.file}: {error}"
        self._log.error("evidence_damaged", file=self.state.file, error=str(error))
        self._rows[row.number] = replace(row, ended="damaged")
        with contextlib.suppress(DamagedError, sqlite3.Error):
            self._writer.evidence.end(row.number, "damaged")

    def end(self, row: Row, why: str) -> None:
        """End an experiment that is not to be continued: it was an attempt, and nothing stands."""
        self._log.warning("evidence_ended", shadow=row.key.name, calls=row.calls, why=why)
        self._note(self._line(row, RESET, why))
        self._rows[row.number] = replace(row, ended=why)
        with contextlib.suppress(DamagedError, sqlite3.Error):
            self._writer.evidence.end(row.number, why)

    def attempt(self, key: Key, number: int = 0) -> int:
        """Which attempt on its candidate an experiment is, or would be if it began now."""
        # One that was begun and killed before it was written is the same question still.
        unwritten = {
            (d.identity, d.number)
            for d in self._decided
            if d.key == key
            and d.state == BEGUN
            and d.identity == self.identity
            and d.number not in self._rows
        }
        return attempt_of(
            [*self._older(key, number), *self._decided],
            key,
            identities(self._place.path),
            self._beside,
            unwritten | {(self.identity, number)},
        )

    def _older(self, key: Key, number: int) -> list[Decided]:
        """Other experiments with calls, in case an older version wrote down no begin."""
        return [
            self._line(row, BEGUN)
            for row in self._rows.values()
            if row.calls and row.number != number and row.key != key and not row.ended
        ]

    def begun(self, row: Row) -> int:
        """Give an experiment its number among all attempts, and write it down: with its first call.

        Returns:
            Which attempt it is from now on.
        """
        with self._writer.decisions.alone():
            self._decided = self._writer.noted()
            attempt = self.attempt(row.key, row.number)
            mine = (self.identity, row.number, row.key)
            if mine not in {(d.identity, d.number, d.key) for d in self._decided}:
                self._note(self._line(replace(row, attempt=attempt), BEGUN))
        return attempt

    # ---- while calls are seen: nothing here waits -----------------------------------------------

    def put(self, batch: Sequence[Write]) -> bool:
        """Hand over what has changed; False while the last is still being written."""
        if not self._writer.put(batch):
            return False
        for write in batch:
            self._rows[write.row.number] = write.row
        return True

    @property
    def idle(self) -> bool:
        """Whether `put` would take a batch."""
        return self._writer.idle

    def wait(self, seconds: float) -> bool:
        """Wait until what was handed over was tried; False if that took longer."""
        return self._writer.wait(seconds)

    def decided(self, row: Row, pieces: Pieces) -> None:
        """Write a decision down at once: into the page cache, which outlives the process."""
        unix_ns = row.decided_unix_ns or self._clock()
        self._note(replace(self._line(row, row.state, row.reason), unix_ns=unix_ns, pieces=pieces))

    def ended(self) -> list[int]:
        """Numbers of experiments that somebody has ended since this was last asked."""
        found = self._writer.ended()
        if found:
            self._decided = self._writer.noted()
            for number in found:
                if number in self._rows:
                    self._rows[number] = replace(self._rows[number], ended="reset")
        return found

    def begins_anew(self) -> bool:
        """Whether the file is new, and must be told everything again; asked once."""
        return self._writer.begins_anew()

    def close(self, batch: Sequence[Write] = ()) -> None:
        """Write what is left and end the thread."""
        self._writer.close(batch)
        self._place.leave()

    # ---- decisions ------------------------------------------------------------------------------

    def _note(self, decided: Decided) -> None:
        self._decided.append(decided)
        self._writer.note(decided)

    def _line(self, row: Row, state: str, reason: str = "") -> Decided:
        return Decided(
            key=row.key,
            attempt=row.attempt,
            identity=self.identity,
            number=row.number,
            sequence=row.sequence,
            unix_ns=self._clock(),
            state=state,
            reason=reason,
        )

    def _failed_before(self, number: int) -> None:
        """Write down the FAIL of an earlier life that the disk did not take, but for its mark."""
        ours = [d for d in self._decided if (d.identity, d.number) == (self.identity, number)]
        row = self._rows.get(number) or (row_of(ours[-1]) if ours else None)
        if row is None or any(d.state in {FAIL, RESET} for d in ours):
            return
        if ours:
            row = replace(row, key=ours[-1].key)  # its versions may have been learned since
        reason = "it failed, and the disk did not take why"
        self._note(replace(self._line(row, FAIL, reason), sequence=row.sequence + 1))
        if not self._writer.unwritten:
            self._writer.decisions.unmark(self.identity, number)


def _decided(kept: Kept, decided: Decided) -> Kept:
    """The experiment with a decision that was made after it was last written."""
    row = replace(
        kept.row,
        key=decided.key,
        state=decided.state,
        reason=decided.reason,
        decided_unix_ns=decided.unix_ns,
        attempt=max(kept.row.attempt, decided.attempt),
    )
    return Kept(row, {**kept.pieces, **(decided.pieces or {})})
