"""What sidecars have counted, on disk, so that pods and the collector may come and go.

Tables (SQLite, write-ahead log):

    parts        shadow, instance, epoch (the key), sequence, source (address), seen (Unix seconds),
                 message: `ShadowCounts` of `shadow.v1`, deflated
    verdicts     number, unix, shadow, experiment, state, reason, calls: one row for each change
    experiments  key, told: `Experiment` as JSON

Rules: a row of `parts` is only ever replaced by one with a larger sequence, so what is pulled late
or twice changes nothing. A round is one transaction: after a crash the file holds a whole round or
none of it. Counterpart: `service`, which adds the parts up.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from google.protobuf.message import DecodeError

from sidecar.collect.experiments import Experiment
from sidecar.collect.told import Told
from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.report.part import Part
from sidecar.report.report import VerdictChange
from sidecar.serve.convert import part_of_message

FORMAT = 1
MOST_VERDICTS = 10_000  # the latest
LEVEL = 1  # of zlib: counts shrink to a fifth with the quickest already
_SCHEMA = """
CREATE TABLE IF NOT EXISTS parts (
    shadow TEXT NOT NULL, instance TEXT NOT NULL, epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL, source TEXT NOT NULL, seen REAL NOT NULL, message BLOB NOT NULL,
    PRIMARY KEY (shadow, instance, epoch));
CREATE TABLE IF NOT EXISTS verdicts (
    number INTEGER PRIMARY KEY, unix REAL NOT NULL, shadow TEXT NOT NULL, experiment TEXT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL, calls INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS experiments (key TEXT PRIMARY KEY, told TEXT NOT NULL);
"""


class LedgerError(Exception):
    """The file cannot be used; the text says which and why."""


class Ledger:
    """The file. Any thread may use it, one at a time."""

    def __init__(self, path: Path, wait_seconds: float = 30.0) -> None:
        """Open or make it.

        Raises:
            LedgerError: it is not ours, is broken, is in use, or cannot be written. It is never
                replaced: a FAIL that stands in it must not be forgotten.
        """
        self._path = path
        self._lock = threading.Lock()
        base = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            base = sqlite3.connect(path, check_same_thread=False, timeout=wait_seconds)
            # One collector a file: two would each count what the other has not heard.
            base.execute("PRAGMA locking_mode = EXCLUSIVE")
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = NORMAL")
            (found,) = base.execute("PRAGMA user_version").fetchone()
            if found not in {0, FORMAT}:
                raise LedgerError(f"{path}: format {found}, not {FORMAT}: of another version")
            base.executescript(_SCHEMA)
            base.execute(f"PRAGMA user_version = {FORMAT}")
            base.commit()
            (sound,) = base.execute("PRAGMA quick_check").fetchone()
            if sound != "ok":
                raise LedgerError(f"{path}: {sound}")
        except (OSError, sqlite3.Error, LedgerError) as error:
            if base is not None:
                base.close()
            raise LedgerError(
                str(error) if isinstance(error, LedgerError) else f"{path}: {error}"
            ) from None
        self._base = base

    def close(self) -> None:
        """Close the file, after a write that is under way."""
        with self._lock, contextlib.suppress(sqlite3.Error):
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
                    raw = zlib.decompress(message)
                    part = part_of_message(pb.ShadowCounts.FromString(raw), source)
                except (
                    ValueError,
                    KeyError,
                    IndexError,
                    TypeError,
                    DecodeError,
                    zlib.error,
                ) as error:
                    why = " ".join(str(error).split())
                    raise LedgerError(f"{self._path}: counts of {source}: {why}") from None
                found.append((seen, part))
        return found

    def experiments(self) -> list[Experiment]:
        """Every experiment.

        Raises:
            LedgerError: a row cannot be read.
        """
        found = []
        for key, told in self._base.execute("SELECT key, told FROM experiments").fetchall():
            try:
                found.append(Experiment.from_dict(key, json.loads(told)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise LedgerError(f"{self._path}: experiment {key}: {error!r}") from None
        return found

    def history(self, most: int = 200) -> list[VerdictChange]:
        """The latest changes of verdicts, newest first."""
        with self._lock:
            rows = self._base.execute(
                "SELECT unix, shadow, experiment, state, reason, calls FROM verdicts "
                "ORDER BY number DESC LIMIT ?",
                (most,),
            ).fetchall()
        return [VerdictChange(*row) for row in rows]

    def write(
        self,
        parts: Sequence[Told],
        seen: float,
        gone: Iterable[Part] = (),
        changes: Sequence[VerdictChange] = (),
        experiments: Iterable[Experiment] = (),
    ) -> None:
        """Write a round: the parts that are newer than what is there, and what was decided.

        Raises:
            LedgerError: nothing of it was written.
        """
        kept = [
            (
                told.part.shadow,
                told.part.snapshot.key.instance,
                told.part.snapshot.key.epoch,
                told.part.snapshot.sequence,
                told.part.source,
                seen,
                zlib.compress(told.raw, LEVEL),
            )
            for told in parts
        ]
        lost = [(part.shadow, *part.snapshot.key) for part in gone]
        decided = [(one.key, json.dumps(one.to_dict())) for one in experiments]
        rows = [
            (c.unix_seconds, c.shadow, c.experiment, c.state, c.reason, c.calls) for c in changes
        ]
        try:
            with self._lock, self._base as base:
                base.executemany(
                    "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                    "sequence = excluded.sequence, source = excluded.source, seen = excluded.seen, "
                    "message = excluded.message WHERE excluded.sequence > sequence",
                    kept,
                )
                base.executemany(
                    "DELETE FROM parts WHERE shadow = ? AND instance = ? AND epoch = ?", lost
                )
                base.executemany(
                    "INSERT INTO experiments VALUES (?, ?) "
                    "ON CONFLICT DO UPDATE SET told = excluded.told WHERE told != excluded.told",
                    decided,
                )
                base.executemany(
                    "INSERT INTO verdicts (unix, shadow, experiment, state, reason, calls) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    rows,
                )
                if rows:
                    base.execute(
                        "DELETE FROM verdicts WHERE number <= (SELECT max(number) FROM verdicts) - ?",
                        (MOST_VERDICTS,),
                    )
        except sqlite3.Error as error:
            raise LedgerError(f"{self._path}: {error}") from None
