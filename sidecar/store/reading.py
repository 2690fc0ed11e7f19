"""What is done to a directory of evidence from outside: looked at, and reset.

Rule: works with or without an observer that writes there, and never waits long for it; a running
one notices a reset with its next transaction, and begins anew. Counterparts: `evidence`, whose
rows these are; `run.experiment`, which prints them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sidecar.store.database import DamagedError, attach
from sidecar.store.decisions import RESET, Decided, Decisions
from sidecar.store.evidence import SCHEMA, all_rows, end, identity_of, load_from
from sidecar.store.folder import StoreError
from sidecar.store.kept import Kept, Row


@dataclass(frozen=True, slots=True)
class Found:
    """One experiment and the file it is in."""

    file: Path
    identity: str
    row: Row


def listed(folder: Path) -> list[Found]:
    """Every experiment in a directory, latest seen first.

    Raises:
        StoreError: there is none, or a file cannot be read.
    """
    found: list[Found] = []
    for path in _files(folder):
        with closing(attach(path, SCHEMA)) as sql:
            try:
                identity = identity_of(sql)
                found += [Found(path, identity, row) for row in all_rows(sql)]
            except (DamagedError, sqlite3.Error, TypeError) as error:
                raise StoreError(f"{path}: {error}") from None
    return sorted(found, key=lambda f: (-f.row.seen_unix_ns, f.file, -f.row.number))


def whole(found: Found) -> Kept:
    """One of them with its pieces.

    Raises:
        StoreError: it cannot be read.
    """
    with closing(attach(found.file, SCHEMA)) as sql:
        try:
            return load_from(sql, found.row.number)
        except (DamagedError, sqlite3.Error, ValueError, KeyError) as error:
            raise StoreError(f"{found.file}: {error}") from None


def reset(
    folder: Path, chosen: Callable[[Row], bool], clock: Callable[[], int] = time.time_ns
) -> list[Found]:
    """End living experiments; an observer that counts on one begins anew within a second.

    Args:
        folder: the directory.
        chosen: which of them.
        clock: Unix time in nanoseconds.

    Returns:
        Those that were ended. What they counted stays on disk, and each was an attempt.

    Raises:
        StoreError: as for `listed`, or it cannot be written.
    """
    decisions = Decisions(folder)
    ended = [f for f in listed(folder) if not f.row.ended and chosen(f.row)]
    for found in ended:
        row = found.row
        try:
            # Before the row: what is ended there has to be an attempt here.
            decisions.append(
                Decided(
                    key=row.key,
                    attempt=row.attempt,
                    identity=found.identity,
                    number=row.number,
                    sequence=row.sequence,
                    unix_ns=clock(),
                    state=RESET,
                    reason="reset by hand",
                )
            )
            with closing(attach(found.file, SCHEMA, "rw")) as sql:
                sql.execute("BEGIN IMMEDIATE")
                end(sql, row.number, "reset")
                sql.execute("COMMIT")
        except (OSError, DamagedError, sqlite3.Error) as error:
            raise StoreError(f"{found.file}: not reset: {error}") from None
    return ended


def _files(folder: Path) -> list[Path]:
    try:
        found = sorted(folder.glob("evidence-*.db"))
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}") from None
    if not found:
        raise StoreError(f"{folder} holds no evidence: which --state does the sidecar have?")
    return found
