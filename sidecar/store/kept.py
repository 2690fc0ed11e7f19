"""What is kept of an experiment, as plain data. Pure.

Counterparts: `evidence`, which holds it; `judge.pieces`, which makes the pieces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

Value: TypeAlias = Any
"""Bytes, or what JSON can say, or a function that gives it; never changed once handed over."""

Pieces: TypeAlias = Mapping[str, Value]
"""By path; None takes a piece away."""

DECIDED = frozenset({"PASS", "FAIL", "INCONCLUSIVE"})


class Key(NamedTuple):
    """Names an experiment: evidence of two keys is never added."""

    name: str  # the shadow's
    production: str  # version, empty where it is not known
    shadow: str
    digest: str  # of criteria, rules, deadlines and everything else that changes what is counted

    @property
    def candidate(self) -> tuple[str, str]:
        """Of whom it is an attempt: a version by any name; a name, where no version is told."""
        return ("", self.shadow) if self.shadow else (self.name, "")


@dataclass(frozen=True, slots=True)
class Row:
    """One experiment without its pieces."""

    key: Key
    number: int  # its own, within its file: grows
    attempt: int  # on the candidate, from 1
    sequence: int  # grows: of two the larger is the newer
    began_unix_ns: int
    seen_unix_ns: int  # when a call of these versions was last seen
    calls: int
    state: str
    reason: str
    decided_unix_ns: int = 0  # 0: not decided
    written_unix_ns: int = 0
    ended: str = ""  # "" while it lives; "reset", "begun again", "damaged"


@dataclass(frozen=True, slots=True)
class Write:
    """The newest state of one experiment: its row, and those of its pieces that have changed."""

    row: Row
    pieces: Pieces = field(default_factory=dict)
    count: int = 0  # of all its pieces, those that have not changed too


@dataclass(frozen=True, slots=True)
class Kept:
    """One experiment, whole."""

    row: Row
    pieces: Pieces
