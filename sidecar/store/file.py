"""The database: experiments, labels and gaps. One writer, any number of readers (WAL).

Rule: a damaged file is set aside under another name and a new one begun; a file of another schema
is refused, because a guess at what its counts mean would be evidence of nothing. Counterparts:
`keeper`, which writes; `reading`, which reads.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from sidecar.store.folder import StoreError, create
from sidecar.store.kept import Kept, Key, Write

APPLICATION = 0x53484457  # "SHDW", in the file's header
SCHEMA = 1
BUSY_SECONDS = 2.0
DECIDED = ("PASS", "FAIL")

_TABLES = """
CREATE TABLE experiments (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, production TEXT NOT NULL, shadow TEXT NOT NULL,
    digest TEXT NOT NULL, attempt INTEGER NOT NULL, instance TEXT NOT NULL, epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL, began_unix_ns INTEGER NOT NULL, written_unix_ns INTEGER NOT NULL,
    decided_unix_ns INTEGER NOT NULL, calls INTEGER NOT NULL, state TEXT NOT NULL,
    reason TEXT NOT NULL, ended TEXT NOT NULL, evidence TEXT NOT NULL
);
CREATE INDEX by_name ON experiments (name, digest);
CREATE TABLE labels (
    experiment INTEGER NOT NULL, correlation_id TEXT NOT NULL, known TEXT NOT NULL,
    PRIMARY KEY (experiment, correlation_id)
) WITHOUT ROWID;
CREATE TABLE gaps (
    experiment INTEGER NOT NULL, from_unix_ns INTEGER NOT NULL, to_unix_ns INTEGER NOT NULL
);
"""
_COLUMNS = (
    "id, name, production, shadow, digest, attempt, instance, epoch, sequence, began_unix_ns, "
    "written_unix_ns, decided_unix_ns, calls, state, reason, ended, evidence"
)


class DamagedError(Exception):
    """The file holds no such database, or one that contradicts itself."""


class EvidenceFile:
    """The open database of one process."""

    def __init__(self, path: Path) -> None:
        """Open, and make what is not there.

        Raises:
            DamagedError: see `set_aside`.
            StoreError: another schema's, or it cannot be opened.
        """
        self.path = path
        try:
            create(path)
            self._db = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.OperationalError) as error:
            raise StoreError(f"{path}: {error}: give --state another directory") from None
        try:
            self._begin()
        except sqlite3.DatabaseError as error:
            self._db.close()
            if not is_damage(error):
                raise StoreError(f"{path}: {error}") from None
            raise DamagedError(str(error)) from None
        except (DamagedError, StoreError):
            self._db.close()
            raise

    def _begin(self) -> None:
        db = self._db
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (schema,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and (application != APPLICATION or schema != SCHEMA):
            raise StoreError(
                f"{self.path} was written by another version of shadow-sidecar (schema {schema}; "
                f"this one reads {SCHEMA}): run that version, or move the file away to begin anew"
            )
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        if not tables:
            db.executescript(
                f"BEGIN; {_TABLES} PRAGMA application_id={APPLICATION}; "
                f"PRAGMA user_version={SCHEMA}; COMMIT;"
            )
            return
        (sound,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise DamagedError(sound)

    def load(self, name: str, digest: str) -> Kept | None:
        """The experiment of that name and rules that was written last and lives."""
        row = self._db.execute(
            f"SELECT {_COLUMNS} FROM experiments WHERE name=? AND digest=? AND ended='' "
            "ORDER BY written_unix_ns DESC, id DESC LIMIT 1",
            (name, digest),
        ).fetchone()
        return None if row is None else _kept(self._db, row)

    def is_known(self, write: Write) -> bool:
        """Whether there is a row of that evidence, living or not."""
        found = self._db.execute(
            "SELECT 1 FROM experiments WHERE name=? AND instance=? AND epoch=?",
            (write.key.name, write.instance, write.epoch),
        ).fetchone()
        return found is not None

    def labels(self, kept: Kept) -> dict[str, str]:
        """Every label row of an experiment."""
        return dict(
            self._db.execute(
                "SELECT l.correlation_id, l.known FROM labels l JOIN experiments e "
                "ON e.id = l.experiment WHERE e.instance=? AND e.epoch=? AND e.name=?",
                (kept.instance, kept.epoch, kept.key.name),
            ).fetchall()
        )

    def attempt(self, key: Key) -> int:
        """Which attempt on this candidate a new experiment would be.

        A candidate is the shadow's name and version. An experiment that was decided or reset was
        an attempt; one that was neither is still the same look at the same question.
        """
        (spent,) = self._db.execute(
            "SELECT count(*) FROM experiments WHERE name=? AND shadow=? "
            "AND (state IN ('PASS', 'FAIL') OR ended != '') AND NOT (digest=? AND ended='' "
            "AND production=?)",
            (key.name, key.shadow, key.digest, key.production),
        ).fetchone()
        return int(spent) + 1

    def write(self, writes: Iterable[Write], unix_ns: int) -> list[Key]:
        """Replace what is kept of experiments, in one transaction.

        Returns:
            Those that somebody has reset since; of them nothing was written.

        Raises:
            sqlite3.Error: nothing was written.
        """
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            reset = [write.key for write in writes if not self._write(write, unix_ns)]
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return reset

    def _write(self, write: Write, unix_ns: int) -> bool:
        db, key = self._db, write.key
        row = db.execute(
            "SELECT id, ended FROM experiments WHERE name=? AND instance=? AND epoch=?",
            (key.name, write.instance, write.epoch),
        ).fetchone()
        if row is not None and row[1]:
            return False
        if row is None:
            number = db.execute(
                "INSERT INTO experiments (name, production, shadow, digest, attempt, instance, "
                "epoch, sequence, began_unix_ns, written_unix_ns, decided_unix_ns, calls, state, "
                "reason, ended, evidence) VALUES (?,?,?,?,?,?,?,0,?,0,0,0,'','','','{}')",
                (
                    *key,
                    write.attempt or self.attempt(key),
                    write.instance,
                    write.epoch,
                    write.began_unix_ns,
                ),
            ).lastrowid
        else:
            number = row[0]
        decided = write.state in DECIDED
        db.execute(
            "UPDATE experiments SET production=?, shadow=?, sequence=?, written_unix_ns=?, "
            "decided_unix_ns=CASE WHEN ? THEN max(decided_unix_ns, CASE WHEN decided_unix_ns "
            "THEN 0 ELSE ? END) ELSE 0 END, calls=?, state=?, reason=?, evidence=? WHERE id=?",
            (
                key.production,
                key.shadow,
                write.sequence,
                unix_ns,
                decided,
                unix_ns,
                write.calls,
                write.state,
                write.reason,
                json.dumps(write.evidence),
                number,
            ),
        )
        db.executemany(
            "DELETE FROM labels WHERE experiment=? AND correlation_id=?",
            [(number, name) for name, known in write.labels.items() if known is None],
        )
        db.executemany(
            "INSERT OR REPLACE INTO labels VALUES (?,?,?)",
            [(number, name, known) for name, known in write.labels.items() if known is not None],
        )
        return True

    def continued(self, kept: Kept, unix_ns: int) -> None:
        """Note that an experiment was not watched from its last write until now."""
        self._db.execute(
            "INSERT INTO gaps SELECT id, ?, ? FROM experiments WHERE name=? AND instance=? "
            "AND epoch=?",
            (kept.written_unix_ns, unix_ns, kept.key.name, kept.instance, kept.epoch),
        )

    def close(self) -> None:
        """Close the database; what was committed stays."""
        self._db.close()


def open_file(path: Path) -> tuple[EvidenceFile, Path | None]:
    """Open a database; a damaged one is set aside.

    Returns:
        The file, and where the damaged one is now, if there was one.

    Raises:
        StoreError: another schema's, or it cannot be opened.
    """
    try:
        return EvidenceFile(path), None
    except DamagedError:
        aside = set_aside(path)
    try:
        return EvidenceFile(path), aside
    except DamagedError as error:
        raise StoreError(f"{path}: {error}") from None


def set_aside(path: Path) -> Path:
    """Give a damaged file and its companions another name; nothing of it is deleted."""
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    try:
        path.rename(aside)
        for end in ("-wal", "-shm"):
            companion = path.with_name(path.name + end)
            if companion.exists():
                companion.rename(aside.with_name(aside.name + end))
    except OSError as error:
        raise StoreError(f"{path} is damaged and cannot be set aside: {error}") from None
    return aside


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken, rather than the disk full or the database busy."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }


def all_rows(db: sqlite3.Connection, name: str | None = None) -> list[Kept]:
    """Every experiment, newest first; of one name if it is given."""
    where, given = ("", ()) if name is None else (" WHERE name=?", (name,))
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM experiments{where} ORDER BY began_unix_ns DESC, id DESC", given
    ).fetchall()
    return [_kept(db, row) for row in rows]


def _kept(db: sqlite3.Connection, row: Sequence[object]) -> Kept:
    number, name, production, shadow, digest, attempt, instance, epoch, sequence = row[:9]
    began, written, decided, calls, state, reason, ended, evidence = row[9:]
    gaps = db.execute(
        "SELECT from_unix_ns, to_unix_ns FROM gaps WHERE experiment=? ORDER BY from_unix_ns",
        (number,),
    ).fetchall()
    return Kept(
        key=Key(str(name), str(production), str(shadow), str(digest)),
        attempt=_whole(attempt),
        instance=str(instance),
        epoch=_whole(epoch),
        sequence=_whole(sequence),
        began_unix_ns=_whole(began),
        written_unix_ns=_whole(written),
        decided_unix_ns=_whole(decided),
        calls=_whole(calls),
        state=str(state),
        reason=str(reason),
        ended=str(ended),
        evidence=json.loads(str(evidence)),
        gaps=tuple((int(a), int(b)) for a, b in gaps),
    )


def _whole(value: object) -> int:
    return int(str(value))
