"""The disk that captured files may take: the oldest go, or nothing more is written, as chosen.

Rule: only files that this writer's kind has made are ever deleted, whole ones, oldest first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

SUFFIX = ".parquet"
OPEN = ".open"  # a file that is being written: <name>.parquet.open
ROWS = ".rows"  # beside it: how many rows it holds, so that a crash can say what it lost
PREFIX = "shadow-"


@dataclass(frozen=True, slots=True)
class Lost:
    """What a crashed writer left: files that cannot be read, and the rows that were in them."""

    files: int = 0
    rows: int = 0


def whole_files(folder: Path) -> list[Path]:
    """The finished files, oldest first; their names begin with the time."""
    return sorted(folder.glob(f"{PREFIX}*{SUFFIX}"))


def make_room(folder: Path, most: int, coming: int, full: Literal["oldest", "stop"]) -> int | None:
    """Delete old files until `coming` more bytes fit into `most`.

    Returns:
        How many files were deleted; None when nothing may be deleted and there is no room.

    What is being written now, by whichever process, takes room too.

    Raises:
        OSError: the folder cannot be read, or a file cannot be deleted.
    """
    files = []
    for file in whole_files(folder):
        with contextlib.suppress(FileNotFoundError):  # another writer made room, too
            files.append((file, file.stat().st_size))
    taken = sum(size for _, size in files) + _being_written(folder)
    deleted = 0
    for file, size in files:
        if taken + coming <= most:
            break
        if full == "stop":
            return None
        file.unlink(missing_ok=True)
        taken -= size
        deleted += 1
    return deleted if taken + coming <= most else None


def clean(folder: Path) -> Lost:
    """Remove what crashed writers left open.

    Raises:
        OSError: the folder cannot be read, or a file cannot be deleted.
    """
    files = rows = 0
    with locked(folder):
        for left in sorted(folder.glob(f"{PREFIX}*{SUFFIX}{OPEN}")):
            if _is_written(left):
                continue
            count = left.with_name(left.name + ROWS)
            with contextlib.suppress(OSError, ValueError):
                rows += int(count.read_text(encoding="ascii"))
            # A file that was to replace another one is no loss: the other is there.
            files += not left.with_name(left.name.removesuffix(OPEN)).exists()
            left.unlink(missing_ok=True)
            count.unlink(missing_ok=True)
        for count in folder.glob(f"{PREFIX}*{SUFFIX}{OPEN}{ROWS}"):
            if not count.with_name(count.name.removesuffix(ROWS)).exists():
                count.unlink(missing_ok=True)  # its file is gone, or whole
    return Lost(files, rows)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others from clearing away, or making a file, in between."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def create(file: Path) -> IO[bytes]:
    """Make a private file that nobody clears away while it is open.

    Raises:
        OSError: it cannot be made, or is there.
    """
    with locked(file.parent):
        opened = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return opened


def sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk: a rename is not, until then."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _being_written(folder: Path) -> int:
    taken = 0
    for file in folder.glob(f"{PREFIX}*{SUFFIX}{OPEN}"):
        with contextlib.suppress(FileNotFoundError):  # it was shown, or taken away, meanwhile
            taken += file.stat().st_size
    return taken


def _is_written(file: Path) -> bool:
    """Whether another process still holds the lock on a file that it writes."""
    try:
        with file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
