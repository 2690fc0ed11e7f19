"""Decisions and resets, a line of text each, appended before anybody is told.

Rule: a line is written by one call to the kernel and outlives the process in that moment, so that
a kill cannot take a decision back; it is a few hundred bytes and happens a few times in a life. A
line that is cut or damaged is left out, the others stand. All processes of a directory share the
file. Counterparts: `keeper`, which appends; `evidence`, whose rows may be older or lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.store.kept import Key, Row

NAME = "decisions.jsonl"
MOST_BYTES = 16 << 20  # that are read, the newest


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision, or one reset."""

    key: Key
    attempt: int
    identity: str  # of the file that has the evidence
    number: int  # of the experiment in it
    sequence: int
    unix_ns: int
    state: str  # "RESET" for a reset
    reason: str
    pieces: Any = None  # those that the decision is in, by path

    @property
    def is_reset(self) -> bool:
        """Whether the experiment was ended by hand."""
        return self.state == RESET


RESET = "RESET"


class Decisions:
    """The file of one directory."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def append(self, decided: Decided) -> None:
        """Write one down.

        Raises:
            OSError: it was not.
        """
        plain = {name: getattr(decided, name) for name in Decided.__slots__}
        text = json.dumps(plain, separators=(",", ":"))
        # A new line before it, too: the last writer may have been cut in the middle of its own.
        line = f"\n{zlib.crc32(text.encode()):08x} {text}\n".encode()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(self.path, flags, 0o600)
        try:
            if os.write(file, line) != len(line):
                raise OSError(28, "No space left on device")
        finally:
            os.close(file)

    def read(self) -> list[Decided]:
        """All of them, oldest first; none if there is no file that can be read."""
        try:
            with open(os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - MOST_BYTES))
                return list(_lines(file))
        except OSError:
            return []


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
        elif whose not in reset and (stands is None or stands.state != "FAIL"):
            stands = decided
    return stands


def attempt_of(found: Iterable[Decided], key: Key, siblings: Container[str] = ()) -> int:
    """Which attempt on its candidate an experiment is that begins now.

    One that was decided, or reset, was an attempt; one that was neither is still the same look at
    the same question.

    Args:
        found: every decision.
        key: the experiment's.
        siblings: files of other processes of the directory. They ask the same question at the same
            time: the decision of one on this very key is no attempt before the other's.
    """
    most, own = 0, 0
    for decided in found:
        if decided.key.candidate != key.candidate:
            continue
        most = max(most, decided.attempt)
        if decided.key == key and (decided.is_reset or decided.identity in siblings):
            own = 0 if decided.is_reset else decided.attempt
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
