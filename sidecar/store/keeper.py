"""Keeps evidence from a thread of its own: the observer's loop hands over and never waits.

Rule: one batch is on its way at a time; while the disk is slow or full the next one waits where it
is counted, and nothing is lost but time. A failure is counted, told once, and tried again. A
decision is written to a small file at once, before anybody is told of it, so that a process
killed in the same second cannot take it back. Counterparts: `file`; `experiment.keeping`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sidecar.log import Log
from sidecar.store.file import EvidenceFile, is_damage, open_file, set_aside
from sidecar.store.folder import PATIENCE_SECONDS, Place, StoreError, claim
from sidecar.store.kept import Kept, Key, LabelRows, Write


@dataclass(slots=True)
class KeeperState:
    """What `/status` tells of the store."""

    file: str
    writes: int = 0
    failures: int = 0  # transactions that could not be made
    error: str = ""  # of the latest failure; empty again after a success
    written_unix_ns: int = 0
    set_aside: str = ""  # where a damaged file is now


class Keeper:
    """One process's evidence on disk."""

    def __init__(
        self, folder: Path, log: Log, *, places: int = 1, patience: float = PATIENCE_SECONDS
    ) -> None:
        """Claim a file of the directory and open it.

        Args:
            folder: a directory of ours; see `folder.own`.
            log: told of damage and of failures.
            places: how many processes share the directory.
            patience: seconds to wait for a file that a dying process still holds.

        Raises:
            StoreError: it cannot be used; says what to do.
        """
        self._log = log
        self._place: Place = claim(folder, places, patience)
        try:
            self._file, aside = open_file(self._place.path)
        except StoreError:
            self._place.leave()
            raise
        self.state = KeeperState(str(self._place.path))
        if aside is not None:
            self._aside(aside)
        self._work = threading.Condition()
        self._batch: Sequence[Write] | None = None
        self._reset: list[Key] = []
        self._all_labels = False
        self._closing = False
        self._pending: dict[tuple[str, str, int], dict[str, str | None]] = {}
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._thread.start()

    # ---- before calls are seen ------------------------------------------------------------------

    def load(self, name: str, digest: str, unix_ns: int) -> tuple[Kept, dict[str, str]] | None:
        """The experiment to continue, and its label rows; a gap until now is noted."""
        try:
            kept = self._file.load(name, digest)
            kept = self._decided(name, digest, kept)
            if kept is None:
                return None
            self._file.continued(kept, unix_ns)
            return kept, self._file.labels(kept)
        except (sqlite3.Error, ValueError) as error:
            self._failed(error)
            return None

    def attempt(self, key: Key) -> int:
        """Which attempt on a candidate a new experiment is; 1 where that cannot be read."""
        try:
            return self._file.attempt(key)
        except sqlite3.Error as error:
            self._failed(error)
            return 1

    # ---- while calls are seen: nothing here waits -----------------------------------------------

    def put(self, batch: Sequence[Write]) -> bool:
        """Hand over the newest state; False while the last is still being written."""
        with self._work:
            if self._batch is not None or self._closing:
                return False
            self._batch = batch
            self._work.notify()
            return True

    @property
    def idle(self) -> bool:
        """Whether `put` would take a batch."""
        return self._batch is None and not self._closing

    def decided(self, write: Write) -> None:
        """Write a decision down at once: into the page cache, which outlives the process."""
        path = self._decision(write.key.name)
        part = path.with_suffix(".part")
        try:
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with open(handle, "w", encoding="utf-8") as file:
                json.dump(asdict(replace(write, labels={})), file)
            part.rename(path)
        except OSError as error:
            self._failed(error)

    def resets(self) -> list[Key]:
        """Experiments that somebody has reset since this was last asked."""
        with self._work:
            found, self._reset = self._reset, []
        return found

    def wants_all_labels(self) -> bool:
        """Whether the file is new and must be told every label again; asked once."""
        wanted, self._all_labels = self._all_labels, False
        return wanted

    def close(self, batch: Sequence[Write] = ()) -> None:
        """Write what is left and end the thread."""
        with self._work:
            self._work.wait_for(lambda: self._batch is None, timeout=PATIENCE_SECONDS)
            if batch:
                self._batch = batch
            self._closing = True
            self._work.notify_all()
        self._thread.join(PATIENCE_SECONDS)
        if not self._thread.is_alive():
            self._file.close()
        self._place.leave()

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
        whole = [replace(write, labels=self._merged(write)) for write in batch]
        now = time.time_ns()
        try:
            reset = self._file.write(whole, now)
        except sqlite3.Error as error:
            self._failed(error)
            if is_damage(error):
                self._begin_anew()
            return
        except Exception as error:  # a defect of ours must not end the thread
            self._failed(error)
            return
        self._pending.clear()
        state = self.state
        if state.error:
            self._log.info("state_kept_again", file=state.file, failures=state.failures)
        state.writes, state.error, state.written_unix_ns = state.writes + 1, "", now
        if reset:
            with self._work:
                self._reset += reset

    def _merged(self, write: Write) -> LabelRows:
        """This write's label rows, with those of writes that failed."""
        pending = self._pending.setdefault((write.key.name, write.instance, write.epoch), {})
        pending.update(write.labels)
        return pending

    def _begin_anew(self) -> None:
        path = Path(self.state.file)
        try:
            self._file.close()
            aside = set_aside(path)
            self._file = EvidenceFile(path)
        except Exception as error:
            self._failed(error)
            return
        self._aside(aside)
        self._all_labels = True

    # ---- telling --------------------------------------------------------------------------------

    def _failed(self, error: Exception) -> None:
        self.state.failures += 1
        if str(error) != self.state.error:
            self.state.error = str(error) or type(error).__name__
            self._log.warning("state_not_kept", file=self.state.file, error=self.state.error)

    def _aside(self, aside: Path) -> None:
        self.state.set_aside = str(aside)
        self._log.warning("damaged_state_set_aside", file=self.state.file, now=str(aside))

    def _decision(self, name: str) -> Path:
        return self._place.path.with_suffix(f".{name}.decided")

    def _decided(self, name: str, digest: str, kept: Kept | None) -> Kept | None:
        """The row, or the decision that was made after it was written."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            told = json.loads(self._decision(name).read_text(encoding="utf-8"))
            write = Write(**{**told, "key": Key(*told["key"])})
            known = kept is not None and (kept.instance, kept.epoch) == (
                write.instance,
                write.epoch,
            )
            ended = not known and self._file.is_known(write)
            newer = kept is None or not known or kept.sequence < write.sequence
            if write.key.digest == digest and newer and not ended:
                self._file.write([write], time.time_ns())
                return self._file.load(name, digest)
        return kept
