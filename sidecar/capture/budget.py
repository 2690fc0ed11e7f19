"""The disk that captured files may take: the oldest go, or nothing more is written, as chosen.

Rule: only files that this writer's kind has made are ever deleted, whole ones, oldest first.
"""

from __future__ import annotations

import contextlib
import fcntl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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

    Raises:
        OSError: the folder cannot be read, or a file cannot be deleted.
    """
    files = [(file, file.stat().st_size) for file in whole_files(folder)]
    taken = sum(size for _, size in files)
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


def clean(folder: Path, alive: str) -> Lost:
    """Remove what crashed writers left open.

    Args:
        folder: where.
        alive: a part of the name of files that are ours and being written now.

    Raises:
        OSError: the folder cannot be read, or a file cannot be deleted.
    """
    files = rows = 0
    for left in sorted(folder.glob(f"{PREFIX}*{SUFFIX}{OPEN}")):
        if (alive and alive in left.name) or _is_written(left):
            continue
        count = left.with_name(left.name + ROWS)
        with contextlib.suppress(OSError, ValueError):
            rows += int(count.read_text(encoding="ascii"))
        count.unlink(missing_ok=True)
        left.unlink(missing_ok=True)
        files += 1
    return Lost(files, rows)


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
