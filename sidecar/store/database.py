"""One SQLite file: opened, checked, and told apart from what is not ours. One writer, WAL.

Rules: a damaged file is set aside under another name and a new one begun; a file of another schema
is refused, because a guess at what its counts mean would be evidence of nothing. A file that is
empty or gone is no new one where there was one before: an empty file beside it, NAME.made, says so.
Counterparts: `folder`, in which it lies; `evidence`, whose tables are in one.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sidecar.store.folder import NoRoomError, StoreError, create, refusal

BUSY_SECONDS = 2.0
WAL_BYTES = 16 << 20  # to which the log is cut back after a checkpoint
_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class ForeignError(StoreError):
    """The file is another version's, or another program's; it is left as it is."""


class DamagedError(Exception):
    """The file holds no such database, or one that contradicts itself."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file must be to be read."""

    application: int  # four bytes in its header
    version: int  # of the tables
    tables: str  # SQL that makes them


class Database:
    """An open file of one schema; made if it is not there."""

    def __init__(self, path: Path, schema: Schema) -> None:
        """Open.

        Raises:
            DamagedError: see `set_aside`.
            StoreError: another schema's, or it cannot be opened; the text says what to do.
        """
        self.path = path
        self.is_exclusive = False  # nobody else can look into it
        try:
            create(path)
        except OSError as error:
            raise refusal(path, error) from None
        try:
            try:
                self.sql = self._begin(schema)
            except sqlite3.OperationalError as error:
                if not is_no_room(error):
                    raise
                # No room for the index that processes share; what is there can still be read.
                self.is_exclusive = True
                self.sql = self._begin(schema)
        except sqlite3.Error as error:
            if is_damage(error):
                raise DamagedError(str(error)) from None
            why = NoRoomError if is_no_room(error) else StoreError
            raise why(f"{path}: {error}") from None

    def _begin(self, schema: Schema) -> sqlite3.Connection:
        sql = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(sql, schema)
        except BaseException:
            sql.close()
            raise
        return sql

    def _prepare(self, sql: sqlite3.Connection, schema: Schema) -> None:
        if self.is_exclusive:
            sql.execute("PRAGMA locking_mode=EXCLUSIVE")
        (application,) = sql.execute("PRAGMA application_id").fetchone()
        (version,) = sql.execute("PRAGMA user_version").fetchone()
        (tables,) = sql.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables:
            _check(self.path, schema, application, version)
        elif mark_of(self.path).exists():
            raise DamagedError(
                "empty or gone, and it was there before (a copy that failed, a power cut?): put "
                f"it back, or remove {mark_of(self.path)}, too, to begin anew"
            )
        sql.execute("PRAGMA journal_mode=WAL")
        sql.execute("PRAGMA synchronous=NORMAL")  # survives any kill; a power cut may cost seconds
        sql.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
        if not tables:
            sql.executescript(
                f"BEGIN; {schema.tables} PRAGMA application_id={schema.application}; "
                f"PRAGMA user_version={schema.version}; COMMIT;"
            )
            # It must outlive a power cut that its mark outlives.
            sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._mark()
            return
        self._mark()  # an older version made none
        (sound,) = sql.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise DamagedError(sound)

    def _mark(self) -> None:
        with contextlib.suppress(OSError):  # a full disk; the next who opens it tries again
            create(mark_of(self.path))

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing.

        Raises:
            sqlite3.Error: nothing was written.
        """
        self.sql.execute("BEGIN IMMEDIATE")
        try:
            yield self.sql
            self.sql.execute("COMMIT")
        except BaseException:
            if self.sql.in_transaction:
                self.sql.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close it; what was committed stays."""
        self.sql.close()


def open_database(path: Path, schema: Schema) -> tuple[Database, Path | None]:
    """Open a file; a damaged one is set aside.

    Returns:
        The database, and where the damaged file is now, if there was one.

    Raises:
        StoreError: another schema's, or it cannot be opened.
    """
    try:
        return Database(path, schema), None
    except DamagedError:
        aside = set_aside(path)
    try:
        return Database(path, schema), aside
    except DamagedError as error:
        raise StoreError(f"{path}: {error}") from None


def attach(path: Path, schema: Schema, mode: str = "ro") -> sqlite3.Connection:
    """Look into a file that another process may be writing.

    Args:
        path: the file; it is not made.
        schema: what it must be.
        mode: "ro", or "rw" to change something.

    Raises:
        StoreError: it is not there, is another schema's, or cannot be read.
    """
    try:
        sql = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        (application,) = sql.execute("PRAGMA application_id").fetchone()
        (version,) = sql.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from None
    try:
        _check(path, schema, application, version)
    except StoreError:
        sql.close()
        raise
    return sql


def mark_of(path: Path) -> Path:
    """The file that says that a database was made there."""
    return path.with_name(path.name + ".made")


def set_aside(path: Path) -> Path:
    """Give a damaged file and its companions another name; nothing of it is deleted.

    Raises:
        StoreError: the directory does not let us.
    """
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    try:
        path.rename(aside)
        for end in ("-wal", "-shm"):
            companion = path.with_name(path.name + end)
            if companion.exists():
                companion.rename(aside.with_name(aside.name + end))
        mark_of(path).unlink(missing_ok=True)  # what is made in its place is new
    except OSError as error:
        raise StoreError(f"{path} is damaged and cannot be set aside: {error}") from None
    return aside


def is_damage(error: Exception) -> bool:
    """Whether the file itself is broken, rather than the disk full or the database busy."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGED


def is_no_room(error: Exception) -> bool:
    """Whether it was the disk that did not take or give it."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _NO_ROOM


def _check(path: Path, schema: Schema, application: int, version: int) -> None:
    if application != schema.application:
        raise ForeignError(
            f"{path} is no file of shadow-sidecar's: move it away, or give --state another "
            "directory"
        )
    if version != schema.version:
        raise ForeignError(
            f"{path} was written by another version of shadow-sidecar (schema {version}; this one "
            f"reads {schema.version}): run that version, or move the file away to begin anew"
        )
