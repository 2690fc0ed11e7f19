"""The tables of experiments and their pieces.

    about        identity: names this file among all pods' and processes' files, for ever
    experiments  a row each, with the number of its pieces and a checksum
    pieces       experiment, path, value, checksum

Rule: what is read is what was written, or an error: every row and piece has its checksum, because
a bit that flips inside a number is no damage that SQLite could see. Counterparts: `writer`, which
writes; `keeper`; `reading`.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sidecar.store.database import (
    DamagedError,
    Database,
    Schema,
    attach,
    is_damage,
    is_no_room,
    open_database,
    set_aside,
)
from sidecar.store.folder import StoreError
from sidecar.store.kept import Kept, Key, Row, Value, Write

MOST_EXPERIMENTS = 200  # the newest; decisions of older ones stay in `decisions`

SCHEMA = Schema(
    application=0x53484457,  # "SHDW"
    version=1,
    tables="""
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE experiments (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, production TEXT NOT NULL,
    shadow TEXT NOT NULL, digest TEXT NOT NULL, attempt INTEGER NOT NULL,
    sequence INTEGER NOT NULL, began_unix_ns INTEGER NOT NULL, seen_unix_ns INTEGER NOT NULL,
    calls INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
    decided_unix_ns INTEGER NOT NULL, written_unix_ns INTEGER NOT NULL, ended TEXT NOT NULL,
    pieces INTEGER NOT NULL, checksum INTEGER NOT NULL
);
CREATE INDEX by_key ON experiments (name, production, shadow, digest);
CREATE TABLE pieces (
    experiment INTEGER NOT NULL, path TEXT NOT NULL, value NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (experiment, path)
) WITHOUT ROWID;
""",
)
_COLUMNS = (
    "number, name, production, shadow, digest, attempt, sequence, began_unix_ns, seen_unix_ns, "
    "calls, state, reason, decided_unix_ns, written_unix_ns, ended, pieces, checksum"
)
_WIDTH = _COLUMNS.count(",") + 1


class Evidence:
    """The experiments of one file."""

    def __init__(self, database: Database) -> None:
        """Take it over, and drop what is old.

        Raises:
            DamagedError: a row is not what was written.
            sqlite3.Error: it cannot be read.
        """
        self._database = database
        sql = database.sql
        found = sql.execute("SELECT value FROM about WHERE name='identity'").fetchone()
        self.identity = str(found[0]) if found else secrets.token_hex(6)
        if not found:
            self.name(self.identity)
        old = sql.execute(
            "SELECT number FROM experiments ORDER BY ended='' DESC, written_unix_ns DESC, "
            "number DESC LIMIT -1 OFFSET ?",
            (MOST_EXPERIMENTS,),
        ).fetchall()
        if old:
            try:
                self._drop(old)
            except sqlite3.Error as error:
                if not is_no_room(error):
                    raise

    def _drop(self, numbers: Sequence[tuple[int]]) -> None:
        with self._database.transaction() as sql:
            for table, column in (("pieces", "experiment"), ("experiments", "number")):
                sql.executemany(f"DELETE FROM {table} WHERE {column}=?", numbers)

    def name(self, identity: str) -> None:
        """Give the file its identity."""
        self._database.sql.execute(
            "INSERT OR REPLACE INTO about VALUES ('identity', ?)", (identity,)
        )
        self.identity = identity

    def load(self, number: int) -> Kept:
        """One experiment, whole, without waiting for a transaction that is being made.

        Raises: as the function `load`.
        """
        if self._database.is_exclusive:
            return load_from(self._database.sql, number)
        return load(self._database.path, number)

    def rows(self) -> list[Row]:
        """Every experiment, oldest first.

        Raises:
            DamagedError, sqlite3.Error: a row cannot be read.
        """
        return all_rows(self._database.sql)

    def write(self, writes: Iterable[Write], unix_ns: int) -> list[int]:
        """Bring experiments up to date, in one transaction.

        Returns:
            Numbers of those that somebody has ended since; of them nothing was written.

        Raises:
            sqlite3.Error: nothing was written.
        """
        with self._database.transaction() as sql:
            return [w.row.number for w in writes if not _write(sql, w, unix_ns)]

    def end(self, number: int, why: str) -> None:
        """End an experiment."""
        with self._database.transaction() as sql:
            end(sql, number, why)

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def open_evidence(path: Path) -> tuple[Evidence, list[Row], Path | None]:
    """Open a file; a damaged one is set aside.

    Returns:
        The file, its rows, and where the damaged one is now, if there was one.

    Raises:
        StoreError: another version's, or it cannot be opened.
    """
    aside: Path | None = None
    for _ in range(2):
        database, moved = open_database(path, SCHEMA)
        aside = moved or aside
        try:
            evidence = Evidence(database)
            return evidence, evidence.rows(), aside
        except (DamagedError, sqlite3.Error) as error:
            database.close()
            if not isinstance(error, DamagedError) and not is_damage(error):
                raise StoreError(f"{path}: {error}") from None
            aside = set_aside(path)
    raise StoreError(f"{path} is damaged, and so is the one that was made in its place")


def identities(path: Path) -> set[str]:
    """Those of the other files beside one, as far as they can be read."""
    found = set()
    for other in path.parent.glob(f"{path.stem.rpartition('-')[0]}-*.db"):
        if other != path:
            with (
                suppress(StoreError, sqlite3.Error, TypeError),
                closing(attach(other, SCHEMA)) as sql,
            ):
                found.add(identity_of(sql))
    return found


def identity_of(sql: sqlite3.Connection) -> str:
    """The identity of an open file.

    Raises:
        TypeError: it has none yet.
    """
    return str(sql.execute("SELECT value FROM about WHERE name='identity'").fetchone()[0])


def load(path: Path, number: int) -> Kept:
    """One experiment, whole, by a connection of its own.

    Raises:
        DamagedError: it is not what was written.
        StoreError, sqlite3.Error: the file cannot be read.
        KeyError: there is none of that number.
    """
    sql = attach(path, SCHEMA)
    try:
        return load_from(sql, number)
    finally:
        sql.close()


def load_from(sql: sqlite3.Connection, number: int) -> Kept:
    """The same, over an open file."""
    found = sql.execute(f"SELECT {_COLUMNS} FROM experiments WHERE number=?", (number,)).fetchone()
    if found is None:
        raise KeyError(number)
    row, expected = _row(found), found[-2]
    pieces = {}
    for path, value, checksum in sql.execute(
        "SELECT path, value, checksum FROM pieces WHERE experiment=?", (number,)
    ):
        if _checksum(path, value) != checksum:
            raise DamagedError(f"experiment {number}: {path} is not what was written")
        pieces[path] = _decoded(value)
    if len(pieces) != expected:
        raise DamagedError(f"experiment {number}: {len(pieces)} of {expected} pieces")
    return Kept(row, pieces)


def all_rows(sql: sqlite3.Connection) -> list[Row]:
    """Every experiment of an open file, oldest first.

    Raises:
        DamagedError: one is not what was written.
    """
    rows = sql.execute(f"SELECT {_COLUMNS} FROM experiments ORDER BY number").fetchall()
    return [_row(row) for row in rows]


def end(sql: sqlite3.Connection, number: int, why: str) -> None:
    """End an experiment, within a transaction.

    Raises:
        DamagedError: its row is not what was written.
    """
    found = sql.execute(f"SELECT {_COLUMNS} FROM experiments WHERE number=?", (number,)).fetchone()
    row = _row(found)
    _insert(sql, row, ended=why, pieces=found[-2], written_unix_ns=row.written_unix_ns)


def _write(sql: sqlite3.Connection, write: Write, unix_ns: int) -> bool:
    number = write.row.number
    found = sql.execute("SELECT ended FROM experiments WHERE number=?", (number,)).fetchone()
    if found is not None and found[0]:
        return False
    gone = [(number, path) for path, value in write.pieces.items() if value is None]
    if gone:
        sql.executemany("DELETE FROM pieces WHERE experiment=? AND path=?", gone)
    encoded = ((path, _encoded(value)) for path, value in write.pieces.items() if value is not None)
    sql.executemany(
        "INSERT OR REPLACE INTO pieces VALUES (?,?,?,?)",
        [(number, path, value, _checksum(path, value)) for path, value in encoded],
    )
    _insert(sql, write.row, ended="", pieces=write.count, written_unix_ns=unix_ns)
    return True


def _insert(
    sql: sqlite3.Connection, row: Row, *, ended: str, pieces: int, written_unix_ns: int
) -> None:
    values: Sequence[Any] = (
        row.number,
        *row.key,
        row.attempt,
        row.sequence,
        row.began_unix_ns,
        row.seen_unix_ns,
        row.calls,
        row.state,
        row.reason,
        row.decided_unix_ns,
        written_unix_ns,
        ended,
        pieces,
    )
    sql.execute(
        f"INSERT OR REPLACE INTO experiments VALUES ({','.join('?' * _WIDTH)})",
        (*values, _checksum("", repr(tuple(values)))),
    )


def _row(found: Sequence[Any]) -> Row:
    number, name, production, shadow, digest, *rest, ended, _, checksum = found
    if _checksum("", repr(tuple(found[:-1]))) != checksum:
        raise DamagedError(f"experiment {number}: its row is not what was written")
    attempt, sequence, began, seen, calls, state, reason, decided, written = rest
    return Row(
        key=Key(name, production, shadow, digest),
        number=number,
        attempt=attempt,
        sequence=sequence,
        began_unix_ns=began,
        seen_unix_ns=seen,
        calls=calls,
        state=state,
        reason=reason,
        decided_unix_ns=decided,
        written_unix_ns=written,
        ended=ended,
    )


def _encoded(value: Value) -> str | bytes:
    if callable(value):
        value = value()
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":"))


def _decoded(value: str | bytes) -> Value:
    return value if isinstance(value, bytes) else json.loads(value)


def _checksum(path: str, value: str | bytes) -> int:
    text = value if isinstance(value, bytes) else value.encode()
    return zlib.crc32(text, zlib.crc32(path.encode()))
