"""Rows wait in a bounded queue and are written by a thread of their own.

Rule: `offer` never waits and never raises; what does not fit is counted as `capture_full`. A file
appears under its name by an atomic rename when it is whole. A crash loses the file that is open,
and the next start says how many rows that were. A full disk, or any other error of the folder,
stops capturing and nothing else; it is tried again after a while, with a file of one batch, and
what stopped it is told until that file is whole. A row that no column can hold is counted as failed
and left out.
Counterparts: `columns`, which makes batches; `open_file`; `budget`; `reader`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from sidecar.capture.budget import PREFIX, SUFFIX
from sidecar.capture.columns import UNFIT, Columns
from sidecar.capture.counts import CaptureCounts
from sidecar.capture.open_file import OpenFile
from sidecar.capture.row import Row
from sidecar.capture.settings import CaptureSettings
from sidecar.capture.target import Target
from sidecar.log import Log

BATCH_ROWS = 1024
BATCH_BYTES = 8 << 20
BATCH_SECONDS = 1.0
CLOSE_SECONDS = 5.0
AGAIN_SECONDS = 30.0  # between two tries at a folder that takes nothing


class Capture:
    """Writes pairs to one folder until it is closed."""

    def __init__(
        self,
        settings: CaptureSettings,
        instance: str,
        log: Log,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make the folder ready and begin.

        Args:
            settings: `dir` must not be empty.
            instance: names this process's life; a part of the files' names.
            log: told of what stops capturing, and of what a crash has lost.
            clock: Unix time in seconds.

        Raises:
            ConfigError: the folder cannot be made or written to.
        """
        self.counts = CaptureCounts()
        self._settings = settings
        self._instance = instance
        self._log = log
        self._clock = clock
        self._target = Target(settings.dir)
        lost = self._target.prepare()
        if lost.files:
            log.warning("capture_lost", files=lost.files, rows=lost.rows, why="a writer crashed")
        self._queue: queue.SimpleQueue[Row | None] = queue.SimpleQueue()
        self._waiting_rows = 0  # written by `offer` and the thread in turn, under the lock
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._closed = False
        self._stopped_at = 0.0
        self._file: OpenFile | None = None
        self._number = 0
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    def offer(self, row: Row) -> bool:
        """Let a pair wait to be written; False if there is no room, or it has stopped."""
        size = row.size
        with self._lock:
            if (
                self._closed
                or not self._is_tried()
                or self._waiting_rows >= self._settings.queue_rows
                or self._waiting_bytes + size > self._settings.queue_bytes
            ):
                self.counts.capture_full += 1
                return False
            self._waiting_rows += 1
            self._waiting_bytes += size
        self._queue.put(row)
        return True

    def close(self) -> None:
        """Write what waits, finish the file, and end; gives up after a few seconds, and says so."""
        with self._lock:
            self._closed = True
        self._queue.put(None)
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            rows = self._waiting_rows + self.counts.open_rows
            self._log.warning("capture_unfinished", rows=rows, why="the folder is too slow")

    # ---- in the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        ended = False
        while not ended:
            rows, ended = self._gather()
            try:
                if rows and self._is_tried():
                    self._write(rows)
                else:
                    self.counts.failed += len(rows)
                if self._file is not None and (ended or self._is_due(self._file)):
                    self._finish(self._file)
            except Exception as error:  # whatever a disk or a value may do, production goes on
                self._stop(error, len(rows))

    def _gather(self) -> tuple[list[Row], bool]:
        """Take what waits: a batch, or what came in a second."""
        rows: list[Row] = []
        size = 0
        until = time.monotonic() + BATCH_SECONDS
        ended = False
        while len(rows) < BATCH_ROWS and size < BATCH_BYTES:
            try:
                row = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if row is None:
                ended = True
                break
            rows.append(row)
            size += row.size
        if rows:
            with self._lock:
                self._waiting_rows -= len(rows)
                self._waiting_bytes -= size
        return rows, ended

    def _write(self, rows: list[Row]) -> None:
        if self._file is None:
            room = self._target.make_room(self._settings)
            if room is None:
                raise OSError(f"capture.bytes ({self._settings.bytes:,}) are taken")
            self.counts.deleted += room
            self._number += 1
            now = time.strftime("%Y%m%dT%H%M%S", time.gmtime(self._clock()))
            name = f"{PREFIX}{now}-{self._instance}-{self._number:06d}{SUFFIX}"
            columns = Columns(self._settings, rows)
            self._file = OpenFile(self._target, name, columns, self._clock())
        columns = self._file.columns
        try:
            batch = columns.batch(rows)
        except UNFIT:
            fitting = columns.fitting(rows)
            self.counts.failed += len(rows) - len(fitting)
            batch = columns.batch(fitting)
        self._file.write(batch)
        self.counts.open_rows = self._file.rows

    def _is_due(self, file: OpenFile) -> bool:
        return (
            bool(self.counts.stopped)
            or file.size >= self._settings.file_bytes
            or self._clock() - file.began >= self._settings.file_seconds
        )

    def _finish(self, file: OpenFile) -> None:
        self._file = None
        file.finish()
        self.counts.rows += file.rows
        self.counts.misfits += file.columns.misfits
        self.counts.open_rows = 0
        self.counts.files += 1
        if self.counts.stopped:
            self.counts.stopped = ""
            self._log.info("capture_goes_on", dir=self._settings.dir, failed=self.counts.failed)

    def _is_tried(self) -> bool:
        """Whether rows are written: not for a while after an error. A clock may have been set."""
        since = abs(self._clock() - self._stopped_at)
        return not self.counts.stopped or since >= AGAIN_SECONDS

    def _stop(self, error: Exception, rows: int) -> None:
        """Write nothing for a while: what is whole stays."""
        self._stopped_at = self._clock()
        self.counts.failed += rows + (self._file.rows if self._file is not None else 0)
        self.counts.open_rows = 0
        if self._file is not None:
            self._file.abandon()
            self._file = None
        if not self.counts.stopped:
            self.counts.stopped = str(error) or type(error).__name__
            self._log.warning("capture_stopped", why=self.counts.stopped, dir=self._settings.dir)
