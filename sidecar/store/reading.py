"""Reading a directory of evidence while its observers write, and resetting an experiment.

Counterparts: `file`, whose rows these are; `run.experiment`, which prints them.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sidecar.store.file import APPLICATION, BUSY_SECONDS, SCHEMA, all_rows
from sidecar.store.folder import StoreError
from sidecar.store.kept import Kept


def read(folder: Path, name: str | None = None) -> list[Kept]:
    """Every experiment in a directory, newest first.

    Raises:
        StoreError: there is none, or a file cannot be read.
    """
    found: list[Kept] = []
    for path in _files(folder):
        with closing(_open(path, "ro")) as db:
            try:
                found += all_rows(db, name)
            except (sqlite3.Error, ValueError) as error:
                raise StoreError(f"{path}: {error}") from None
    return sorted(found, key=lambda kept: -kept.began_unix_ns)


def reset(folder: Path, name: str) -> int:
    """End the living experiments of a name; the observer begins anew within a second.

    Returns:
        How many were ended. What they counted stays, and each was an attempt.

    Raises:
        StoreError: as for `read`.
    """
    ended = 0
    for path in _files(folder):
        with closing(_open(path, "rw")) as db:
            try:
                ended += db.execute(
                    "UPDATE experiments SET ended='reset' WHERE name=? AND ended=''", (name,)
                ).rowcount
                db.commit()
            except sqlite3.Error as error:
                raise StoreError(f"{path}: {error}") from None
    return ended


def _files(folder: Path) -> list[Path]:
    found = sorted(folder.glob("evidence-*.db"))
    if not found:
        raise StoreError(f"{folder} holds no evidence: was `run` or `observe` given --state?")
    return found


def _open(path: Path, mode: str) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_SECONDS
        )
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (schema,) = db.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from None
    if (application, schema) != (APPLICATION, SCHEMA):
        db.close()
        raise StoreError(
            f"{path} was written by another version of shadow-sidecar (schema {schema}; "
            f"this one reads {SCHEMA}): read it with that version"
        )
    return db
