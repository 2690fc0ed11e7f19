"""A directory that is ours alone: made without a race, locked by who uses it, else refused.

Rule: mode 0700, owned by our user, no symbolic link; files in it have mode 0600. What does not
fit is refused in words and never repaired: who opened it to others may have had a reason.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from pathlib import Path

PATIENCE_SECONDS = 5.0  # for an observer that is still ending
_LOOK_SECONDS = 0.05


class StoreError(Exception):
    """The state cannot be kept there; the text says why, and what to do."""


class NoRoomError(StoreError):
    """Nothing is wrong with the place, but it takes nothing now: a full or failing disk."""


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EMFILE})


def refusal(path: Path, error: OSError) -> StoreError:
    """What an error of the system means for who wants to keep something there."""
    if error.errno in _NO_ROOM:
        return NoRoomError(f"{path}: {error.strerror}")
    return StoreError(
        f"{path}: {error.strerror}: make it writable, or give --state another directory"
    )


def own(folder: Path) -> None:
    """Make the directory, or see that it is ours.

    Raises:
        StoreError: it is not a directory, another user's, or open to others.
    """
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # may be the tap's
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        # What was opened is what is judged: the name may mean something else a moment later.
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP}:
            raise StoreError(f"{folder} is no directory: give --state a directory") from None
        raise refusal(folder, error) from None
    try:
        found = os.fstat(handle)
    finally:
        os.close(handle)
    if found.st_uid != os.geteuid():
        raise StoreError(
            f"{folder} belongs to user {found.st_uid}, and we are {os.geteuid()}: "
            "give --state a directory of our own"
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise StoreError(
            f"{folder} is open to other users (mode {mode:04o}): chmod 700 {folder}, "
            "or give --state another directory"
        )


def create(path: Path) -> None:
    """Make a file of mode 0600, if it is not there; SQLite gives its companions the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


class Place:
    """One of the directory's files, used by nobody else while this lives."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    def leave(self) -> None:
        """Let another process have it; a process that dies leaves it too."""
        os.close(self._lock)


def claim(folder: Path, stem: str, places: int = 1, patience: float = PATIENCE_SECONDS) -> Place:
    """Take the first of the files STEM-0.db, STEM-1.db, ... that nobody uses.

    Args:
        folder: see `own`.
        stem: of the files' names.
        places: how many processes share the directory.
        patience: seconds to wait for one to become free.

    Raises:
        StoreError: all are in use, or they cannot be made.
    """
    own(folder)
    until = time.monotonic() + patience
    while True:
        for number in range(places):
            try:
                lock = os.open(
                    folder / f"{stem}-{number}.lock",
                    os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC,
                    0o600,
                )
            except OSError as error:
                raise refusal(folder, error) from None
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                continue
            return Place(folder / f"{stem}-{number}.db", lock)
        if time.monotonic() >= until:
            raise StoreError(
                f"{folder} is used by another process: end it, or give --state another directory"
            )
        time.sleep(_LOOK_SECONDS)
