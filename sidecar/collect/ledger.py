"""What sidecars have counted, on disk, so that pods and the collector may come and go.

Tables (SQLite, write-ahead log):

    parts      shadow, instance, epoch (the key), sequence, source (address), seen (Unix seconds),
               message: `ShadowCounts` of `shadow.v1`
    verdicts   number, unix, shadow, experiment, state, reason, calls: one row for each change
    failed     experiment (the key), unix, shadow, reason: a FAIL, which stands

Rule: a row of `parts` is only ever replaced by one with a larger sequence, so what is pulled late
or twice changes nothing. Counterpart: `service`, which adds the parts up.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from google.protobuf.message import DecodeError

from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.report.part import Part
from sidecar.serve.convert import counts_message, part_of_message

MOST_VERDICTS = 10_000  # the latest
_SCHEMA = """
CREATE TABLE IF NOT EXISTS parts (
    shadow TEXT NOT NULL, instance TEXT NOT NULL, epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL, source TEXT NOT NULL, seen REAL NOT NULL, message BLOB NOT NULL,
    PRIMARY KEY (shadow, instance, epoch)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verdicts (
    number INTEGER PRIMARY KEY, unix REAL NOT NULL, shadow TEXT NOT NULL, experiment TEXT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL, calls INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS failed (
    experiment TEXT PRIMARY KEY, unix REAL NOT NULL, shadow TEXT NOT NULL, reason TEXT NOT NULL);
"""


class LedgerError(Exception):
    """The file cannot be used; the text says which and why."""


class Change(NamedTuple):
    """A verdict that was not the one before."""

    unix: float
    shadow: str
    experiment: str
    state: str
    reason: str
    calls: int


class Ledger:
    """The file. Any thread may use it, one at a time."""

    def __init__(self, path: Path) -> None:
        """Open or make it.

        Raises:
            LedgerError: it is not ours, is broken, or cannot be written. It is never replaced: a
                FAIL that stands in it must not be forgotten.
        """
        self._path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, check_same_thread=False, timeout=5)
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = NORMAL")
            self._base.executescript(_SCHEMA)
            (sound,) = self._base.execute("PRAGMA quick_check").fetchone()
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(f"{path}: {error}") from None
        if sound != "ok":
            raise LedgerError(f"{path}: {sound}")

    def close(self) -> None:
        """Close the file, after a write that is under way."""
        with self._lock:
            self._base.close()

    def parts(self) -> list[tuple[float, Part]]:
        """Every part, and when it was last heard of in Unix seconds.

        Raises:
            LedgerError: a row cannot be read: an older or newer version wrote it.
        """
        found = []
        with closing(self._base.execute("SELECT source, seen, message FROM parts")) as rows:
            for source, seen, message in rows:
                try:
                    part = part_of_message(pb.ShadowCounts.FromString(message), source)
                except (ValueError, IndexError, DecodeError) as error:
                    why = " ".join(str(error).split())
                    raise LedgerError(f"{self._path}: counts of {source}: {why}") from None
                found.append((seen, part))
        return found

    def keep(self, parts: Iterable[Part], seen: float) -> None:
        """Write the parts that are newer than what is there.

        Raises:
            LedgerError: nothing was written.
        """
        rows = [
            (
                part.shadow,
                part.snapshot.key.instance,
                part.snapshot.key.epoch,
                part.snapshot.sequence,
                part.source,
                seen,
                counts_message(part).SerializeToString(),
            )
            for part in parts
        ]
        self._write(
            "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "sequence = excluded.sequence, source = excluded.source, seen = excluded.seen, "
            "message = excluded.message WHERE excluded.sequence > sequence",
            rows,
        )

    def forget(self, shadow: str, keys: Iterable[tuple[str, int]]) -> None:
        """Take parts out, by instance and epoch.

        Raises:
            LedgerError: nothing was written.
        """
        self._write(
            "DELETE FROM parts WHERE shadow = ? AND instance = ? AND epoch = ?",
            [(shadow, *key) for key in keys],
        )

    def changed(self, change: Change) -> None:
        """Note a verdict that is another than before; a FAIL stands from now on.

        Raises:
            LedgerError: nothing was written.
        """
        self._write(
            "INSERT INTO verdicts (unix, shadow, experiment, state, reason, calls) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [change],
        )
        self._write(
            "DELETE FROM verdicts WHERE number <= (SELECT max(number) FROM verdicts) - ?",
            [(MOST_VERDICTS,)],
        )
        if change.state == "FAIL" and change.experiment:
            self._write(
                "INSERT OR IGNORE INTO failed VALUES (?, ?, ?, ?)",
                [(change.experiment, change.unix, change.shadow, change.reason)],
            )

    def failed(self) -> dict[str, str]:
        """Experiments that failed, and why."""
        return dict(self._base.execute("SELECT experiment, reason FROM failed").fetchall())

    def history(self, shadow: str | None = None, most: int = 200) -> list[Change]:
        """The latest changes, newest first."""
        with self._lock:
            rows = self._base.execute(
                "SELECT unix, shadow, experiment, state, reason, calls FROM verdicts "
                "WHERE ? IS NULL OR shadow = ? ORDER BY number DESC LIMIT ?",
                (shadow, shadow, most),
            ).fetchall()
        return [Change(*row) for row in rows]

    def _write(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        try:
            with self._lock, self._base:
                self._base.executemany(statement, rows)
        except sqlite3.Error as error:
            raise LedgerError(f"{self._path}: {error}") from None
