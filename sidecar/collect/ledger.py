"""What sidecars have counted, on disk, so that pods and the collector may come and go.

Tables (SQLite, write-ahead log):

    parts        shadow, instance, epoch (the key), sequence, source (address), seen (Unix seconds),
                 message: `ShadowCounts` of `shadow.v1`, deflated
    verdicts     number, unix, shadow, experiment, state, reason, calls: one row for each change
    experiments  key, told: `Experiment` as JSON

Rules: a row of `parts` is only ever replaced by one with a larger sequence, so what is pulled late
or twice changes nothing. A round is one transaction: after a crash the file holds a whole round or
none of it. Counterparts: `lives`, which remembers them; `service`, whose decisions it keeps;
`failures`, beside it, so that an older file that is put back forgets no FAIL.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from google.protobuf.message import DecodeError

from sidecar.collect.experiments import Experiment
from sidecar.collect.failures import Failures
from sidecar.collect.told import Told
from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.report.part import Part
from sidecar.report.report import VerdictChange
from sidecar.serve.convert import part_of_message
from sidecar.store.database import DamagedError, Database, Schema
from sidecar.store.folder import StoreError

MOST_VERDICTS = 10_000  # the latest
LEVEL = 1  # of zlib: counts shrink to a fifth with the quickest already
_LOOK_SECONDS = 0.1
_SCHEMA = Schema(
    application=int.from_bytes(b"SScl"),
    version=1,
    tables="""
CREATE TABLE parts (
    shadow TEXT NOT NULL, instance TEXT NOT NULL, epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL, source TEXT NOT NULL, seen REAL NOT NULL, message BLOB NOT NULL,
    PRIMARY KEY (shadow, instance, epoch));
CREATE TABLE verdicts (
    number INTEGER PRIMARY KEY, unix REAL NOT NULL, shadow TEXT NOT NULL, experiment TEXT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL, calls INTEGER NOT NULL);
CREATE TABLE experiments (key TEXT PRIMARY KEY, told TEXT NOT NULL);
""",
)


class LedgerError(Exception):
    """The file cannot be used; the text says which and why."""


class Unread(NamedTuple):
    """Counts that another version wrote, and this one cannot read."""

    source: str
    shadow: str
    rules: str
    models: dict[str, str]
    why: str


class Ledger:
    """The file. Any thread may use it, one at a time."""

    def __init__(self, path: Path, wait_seconds: float = 30.0) -> None:
        """Open or make it.

        Args:
            path: of the file; its directory is made.
            wait_seconds: for a collector that is still ending.

        Raises:
            LedgerError: it is not ours, is broken, was emptied or taken away, is in use, or cannot
                be written. It is never replaced: a FAIL that stands in it must not be forgotten.
        """
        self._path = path
        self._failures = Failures(path.with_name(f"{path.name}.failed"))
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # One collector a file: two would each count what the other has not heard.
            self._alone = _locked(path.with_name(f"{path.name}.lock"), wait_seconds)
        except OSError as error:
            raise LedgerError(f"{path}: {error.strerror or error}") from None
        try:
            self._base = Database(path, _SCHEMA)
        except (StoreError, DamagedError) as error:
            os.close(self._alone)
            text = str(error)
            said = text if text.startswith(str(path)) else f"{path}: {text}"
            raise LedgerError(said.replace("--state", "--data")) from None

    def close(self) -> None:
        """Close the file, after a write that is under way."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._base.close()
            os.close(self._alone)

    def parts(self) -> tuple[list[tuple[float, Part]], list[Unread]]:
        """Every part with when it was last heard of in Unix seconds, and those of other versions.

        What another version of ours wrote stays in the file, for that version to come back to.

        Raises:
            LedgerError: a row is no counts at all.
        """
        found: list[tuple[float, Part]] = []
        unread: list[Unread] = []
        with closing(self._base.sql.execute("SELECT source, seen, message FROM parts")) as rows:
            for source, seen, message in rows:
                try:
                    told = pb.ShadowCounts.FromString(zlib.decompress(message))
                except (DecodeError, zlib.error) as error:
                    raise LedgerError(f"{self._path}: counts of {source}: {error}") from None
                try:
                    found.append((seen, part_of_message(told, source)))
                except Exception as error:  # settings or blocks that this version does not know
                    why = " ".join(str(error).split())[:200]
                    models = dict(told.snapshot.models)
                    unread.append(Unread(source, told.shadow, told.snapshot.rules, models, why))
        return found, unread

    def experiments(self) -> list[Experiment]:
        """Every experiment, and what failed whatever this file says.

        Raises:
            LedgerError: a row cannot be read.
        """
        found = self._rows()
        known = {one.key: one for one in found}
        try:
            failed = self._failures.read()
        except OSError as error:
            raise LedgerError(f"{self._failures.path}: {error.strerror or error}") from None
        for one in failed:
            if one.key in known:
                known[one.key].failed = known[one.key].failed or one.failed
            else:
                found.append(one)
        return found

    def _rows(self) -> list[Experiment]:
        found = []
        for key, told in self._base.sql.execute("SELECT key, told FROM experiments").fetchall():
            try:
                found.append(Experiment.from_dict(key, json.loads(told)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise LedgerError(f"{self._path}: experiment {key}: {error!r}") from None
        return found

    def history(self, most: int = 200) -> list[VerdictChange]:
        """The latest changes of verdicts, newest first."""
        with self._lock:
            rows = self._base.sql.execute(
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
        experiments = list(experiments)
        decided = [(one.key, json.dumps(one.to_dict())) for one in experiments]
        rows = [
            (c.unix_seconds, c.shadow, c.experiment, c.state, c.reason, c.calls) for c in changes
        ]
        try:
            self._failures.note(experiments)
        except OSError as error:
            raise LedgerError(f"{self._failures.path}: {error.strerror or error}") from None
        try:
            with self._lock, self._base.transaction() as base:
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
                        "DELETE FROM verdicts WHERE number <= "
                        "(SELECT max(number) FROM verdicts) - ?",
                        (MOST_VERDICTS,),
                    )
        except sqlite3.Error as error:
            raise LedgerError(f"{self._path}: {error}") from None


def _locked(path: Path, wait_seconds: float) -> int:
    """The lock's file, held until it is closed.

    Raises:
        OSError: it cannot be made, or another process holds it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < until:
                time.sleep(_LOOK_SECONDS)
                continue
            os.close(handle)
            raise OSError("locked: another collector uses it") from None
        return handle
