"""Begun experiments, decisions and resets, a line of text each, appended before anybody is told.

Rule: a line is written by one call to the kernel and outlives the process in that moment, so that
a kill cannot take a decision back; it is a few hundred bytes and happens a few times in a life. A
line that is cut or damaged is left out, the others stand. All processes of a directory share the
file. Beside it lies a spare one that holds room: it shrinks when the disk is full, so that a FAIL
can still be written; where that is not enough its name says so. Counterparts: `writer`, which
appends; `keeper`, which asks; `evidence`, whose rows may be older.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
import zlib
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.store.kept import DECIDED, Key, Row

NAME = "decisions.jsonl"
SPARE = "decisions.spare"
MARK = "decisions.failed-"
SPARE_BYTES = 64 << 10
LOCK_TRIES, LOCK_SECONDS = 10, 0.001  # who holds the lock writes one line
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
MOST_BYTES = 16 << 20  # that are read, the newest
SEAM_BYTES = 256  # of what was read that are looked at again: whether the file is still the same


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision, or one reset."""

    key: Key
    attempt: int
    identity: str  # of the file that has the evidence
    number: int  # of the experiment in it
    sequence: int
    unix_ns: int
    state: str  # "BEGUN" when its first call was counted; "RESET" for a reset
    reason: str
    pieces: Any = None  # those that the decision is in, by path

    @property
    def is_reset(self) -> bool:
        """Whether the experiment was ended by hand."""
        return self.state == RESET

    @property
    def is_decision(self) -> bool:
        """Whether it is neither a reset nor a begin."""
        return self.state not in {RESET, BEGUN}


RESET, BEGUN, FAIL = "RESET", "BEGUN", "FAIL"


def _lock(file: int) -> None:
    """Lock it, unless somebody holds it for long or no locks are to be had: calls wait for us."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_SECONDS)
        except OSError:
            return
        else:
            return


class Decisions:
    """The file of one directory."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._spare = folder / SPARE
        # What was read: nobody changes a line, so the next time what has come since is enough.
        self._known: list[Decided] = []
        self._at = 0  # where it ends
        self._seam = b""  # the last of it
        self._file = (-1, -1)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else of the directory looks and appends meanwhile, where locks are to be had."""
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            yield
            return
        try:
            _lock(file)
            yield
        finally:
            os.close(file)

    def reserve(self) -> None:
        """Hold room for decisions that come while the disk is full, as far as there is any."""
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(self._spare, flags, 0o600)
            try:
                if os.fstat(file).st_size < SPARE_BYTES:
                    os.posix_fallocate(file, 0, SPARE_BYTES)
            finally:
                os.close(file)

    def append(self, decided: Decided) -> None:
        """Write one down.

        Raises:
            OSError: it was not.
        """
        plain = {name: getattr(decided, name) for name in Decided.__slots__}
        text = json.dumps(plain, separators=(",", ":"))
        # A new line before it, too: the last writer may have been cut in the middle of its own.
        line = f"\n{zlib.crc32(text.encode()):08x} {text}\n".encode()
        try:
            self._append(line)
        except OSError as error:
            if error.errno not in _FULL or decided.state != "FAIL" or not self._spare.exists():
                raise
            os.truncate(self._spare, 0)
            self._append(line)

    def mark(self, identity: str, number: int) -> None:
        """Note by a file's name that an experiment failed: the disk takes not even a line."""
        mark = self._mark(identity, number)
        try:
            os.rename(self._spare, mark)  # asks for no room at all
        except OSError:
            with contextlib.suppress(OSError):
                os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))

    def marked(self, identity: str) -> list[int]:
        """Numbers of the experiments that were marked."""
        names = [path.name for path in self.path.parent.glob(f"{MARK}{identity}-*")]
        return sorted(int(n.rpartition("-")[2]) for n in names if n.rpartition("-")[2].isdecimal())

    def unmark(self, identity: str, number: int) -> None:
        """Take a mark away: the decision is written."""
        with contextlib.suppress(OSError):
            os.unlink(self._mark(identity, number))

    def _mark(self, identity: str, number: int) -> Path:
        return self.path.with_name(f"{MARK}{identity}-{number}")

    def _append(self, line: bytes) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(self.path, flags, 0o600)
        try:
            if os.write(file, line) != len(line):
                raise OSError(28, "No space left on device")
        finally:
            os.close(file)

    def read(self) -> list[Decided]:
        """All of them, oldest first; where the file cannot be read, those that were before."""
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            self._known = []
            return []
        except OSError:
            return [*self._known]
        try:
            whole, _, cut = self._new(file).rpartition(b"\n")
        except OSError:
            return [*self._known]
        finally:
            os.close(file)
        if whole:
            self._known += _lines(whole.split(b"\n"))
            self._at += len(whole) + 1
            self._seam = whole[-SEAM_BYTES:] + b"\n"
        return [*self._known, *_lines([cut])]

    def _new(self, file: int) -> bytes:
        """What was not read yet; all of it, or the newest, where it is another file."""
        found = os.fstat(file)
        this, seam = (found.st_dev, found.st_ino), len(self._seam)
        if this != self._file or os.pread(file, seam, self._at - seam) != self._seam:
            self._file, self._known, self._seam = this, [], b""
            self._at = max(0, found.st_size - MOST_BYTES)
        parts = []
        at = self._at
        while part := os.pread(file, MOST_BYTES, at):
            parts.append(part)
            at += len(part)
        return b"".join(parts)


def _lines(lines: Iterable[bytes]) -> Iterable[Decided]:
    for line in lines:
        check, _, text = line.strip().partition(b" ")
        with contextlib.suppress(ValueError, TypeError, KeyError):
            if int(check, 16) == zlib.crc32(text):
                plain = json.loads(text)
                yield Decided(**{**plain, "key": Key(*plain["key"])})


def standing(found: Iterable[Decided], key: Key) -> Decided | None:
    """The latest decision on an experiment that no reset came after; a FAIL before any other."""
    stands: Decided | None = None
    reset: set[tuple[str, int]] = set()  # who was told a moment later may still have decided
    for decided in found:
        if decided.key != key:
            continue
        whose = decided.identity, decided.number
        if decided.is_reset:
            stands = None
            reset.add(whose)
        elif decided.is_decision and decided.state not in DECIDED:  # it was taken back
            stands = None if stands and (stands.identity, stands.number) == whose else stands
        elif (
            decided.is_decision and whose not in reset and (stands is None or stands.state != FAIL)
        ):
            stands = decided
    return stands


def attempt_of(
    found: Iterable[Decided],
    key: Key,
    siblings: Container[str] = (),
    beside: Container[str] = (),
    same: Container[tuple[str, int]] = (),
) -> int:
    """Which attempt on its candidate an experiment is.

    Each experiment that has counted a call was one, decided or not: whoever gives one up that looks
    bad, and begins another, asks once more. Its number is given with its first call and never
    changes, so that whatever is decided first, all together keep alpha.

    Args:
        found: every line.
        key: the experiment's.
        siblings: files of other processes of the directory. They ask the same question at the same
            time: what one begins on this very key is no attempt before the other's.
        beside: names of all shadows that are judged now. PASS is corrected for their number, so
            that of another one of these is no attempt before this one's.
        same: identities and numbers that this very experiment has had.
    """
    most, own = 0, 0
    for line in found:
        if line.key.candidate != key.candidate:
            continue
        if line.key.name != key.name and line.key.name in beside:
            continue
        most = max(most, line.attempt)
        is_same = not line.is_reset and (line.identity, line.number) in same
        if is_same or (line.key == key and (line.is_reset or line.identity in siblings)):
            own = 0 if line.is_reset else line.attempt
    return own or most + 1


def row_of(decided: Decided) -> Row:
    """A row for a decision whose evidence is lost."""
    return Row(
        key=decided.key,
        number=decided.number,
        attempt=decided.attempt,
        sequence=decided.sequence,
        began_unix_ns=decided.unix_ns,
        seen_unix_ns=decided.unix_ns,
        calls=0,
        state=decided.state,
        reason=decided.reason,
        decided_unix_ns=decided.unix_ns,
    )
