"""Rows wait in a bounded queue and are written by a thread of their own.

Rule: `offer` never waits and never raises; what does not fit is counted as `capture_full`. A file
appears under its name by an atomic rename when it is whole. A crash loses the file that is open,
and the next start says how many rows that were. A full disk, or any other error of the folder,
ends capturing and nothing else. Counterparts: `columns`, which makes batches; `budget`; `reader`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from sidecar.capture.budget import OPEN, PREFIX, ROWS, SUFFIX, Lost, clean, make_room
from sidecar.capture.columns import Columns
from sidecar.capture.counts import CaptureCounts
from sidecar.capture.row import Row
from sidecar.capture.settings import CaptureSettings
from sidecar.fields import ConfigError
from sidecar.log import Log

BATCH_ROWS = 1024
BATCH_BYTES = 8 << 20
BATCH_SECONDS = 1.0
CLOSE_SECONDS = 5.0
_SLACK = 1 << 20  # what a file's footer and last batch may add to it


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
        lost = self._target.prepare(instance)
        if lost.files:
            log.warning("capture_lost", files=lost.files, rows=lost.rows, why="a writer crashed")
        self._queue: queue.SimpleQueue[Row | None] = queue.SimpleQueue()
        self._waiting_rows = 0  # written by `offer` and the thread in turn, under the lock
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._file: _File | None = None
        self._number = 0
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    def offer(self, row: Row) -> bool:
        """Let a pair wait to be written; False if there is no room, or no more capturing."""
        size = row.size
        with self._lock:
            if (
                self.counts.stopped
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
        """Write what waits, finish the file, and end; gives up after a few seconds."""
        self._queue.put(None)
        self._thread.join(CLOSE_SECONDS)

    # ---- in the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        ended = False
        while not ended:
            rows, ended = self._gather()
            try:
                if rows and not self.counts.stopped:
                    self._write(rows)
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
            self._file = _File(self._target, name, Columns(self._settings, rows), self._clock())
        self._file.write(rows)
        self.counts.open_rows = self._file.rows

    def _is_due(self, file: _File) -> bool:
        return (
            file.size >= self._settings.file_bytes
            or self._clock() - file.began >= self._settings.file_seconds
        )

    def _finish(self, file: _File) -> None:
        self._file = None
        file.finish()
        self.counts.rows += file.rows
        self.counts.misfits += file.columns.misfits
        self.counts.open_rows = 0
        self.counts.files += 1

    def _stop(self, error: Exception, rows: int) -> None:
        """End capturing for good: what is whole stays."""
        self.counts.failed += rows + (self._file.rows if self._file is not None else 0)
        self.counts.open_rows = 0
        if self._file is not None:
            self._file.abandon()
            self._file = None
        if not self.counts.stopped:
            self.counts.stopped = str(error) or type(error).__name__
            self._log.warning("capture_stopped", why=self.counts.stopped, dir=self._settings.dir)


class Target:
    """A folder on this machine, or one behind a file system that pyarrow reaches."""

    def __init__(self, text: str) -> None:
        self.local: Path | None = None
        self.files: pafs.FileSystem | None = None
        self.path = text
        if "://" not in text:
            self.local = Path(text)
            return
        try:
            self.files, self.path = pafs.FileSystem.from_uri(text)
        except (pa.ArrowException, ValueError, OSError) as error:
            raise ConfigError([f"capture.dir: {text!r}: {error}"]) from None
        if isinstance(self.files, pafs.LocalFileSystem):
            self.local, self.files = Path(self.path), None

    def prepare(self, instance: str) -> Lost:
        """Make the folder, and clear away what a crash has left."""
        if self.local is None:
            return Lost()
        try:
            self.local.mkdir(mode=0o700, parents=True, exist_ok=True)
            lost = clean(self.local, instance)
            if not os.access(self.local, os.W_OK | os.X_OK):
                raise PermissionError(13, "may not be written to")
        except OSError as error:
            raise ConfigError([f"capture.dir: {str(self.local)!r}: {error.strerror}"]) from None
        return lost

    def make_room(self, settings: CaptureSettings) -> int | None:
        """Keep to the budget; a store behind a network keeps its own."""
        if self.local is None:
            return 0
        return make_room(self.local, settings.bytes, settings.file_bytes, settings.full)


class _File:
    """The file that is being written."""

    def __init__(self, target: Target, name: str, columns: Columns, began: float) -> None:
        self.columns = columns
        self.began = began
        self.rows = 0
        self._raw: IO[bytes] | None = None
        self._sink: Any
        if target.local is None:
            # An object store shows an object when it is whole.
            assert target.files is not None
            self._sink = target.files.open_output_stream(f"{target.path}/{name}")
        else:
            self._whole = target.local / name
            self._open = target.local / (name + OPEN)
            descriptor = os.open(self._open, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._raw = os.fdopen(descriptor, "wb")
            fcntl.flock(self._raw, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sink = self._raw
        self._writer = pq.ParquetWriter(self._sink, columns.schema, compression="zstd")

    @property
    def size(self) -> int:
        """Bytes so far."""
        return int(self._sink.tell())

    def write(self, rows: list[Row]) -> None:
        self._writer.write_batch(self.columns.batch(rows))
        self.rows += len(rows)
        if self._raw is not None:
            count = self._open.with_name(self._open.name + ROWS)
            count.write_text(str(self.rows), encoding="ascii")

    def finish(self) -> None:
        """Make it whole, and show it under its name."""
        self._writer.close()
        if self._raw is None:
            self._sink.close()
            return
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._open.rename(self._whole)
        self._raw.close()
        self._open.with_name(self._open.name + ROWS).unlink(missing_ok=True)

    def abandon(self) -> None:
        """Leave nothing half written."""
        with contextlib.suppress(Exception):
            self._writer.close()
        with contextlib.suppress(Exception):
            self._sink.close()
        if self._raw is not None:
            for file in (self._open, self._open.with_name(self._open.name + ROWS)):
                with contextlib.suppress(OSError):
                    file.unlink(missing_ok=True)
