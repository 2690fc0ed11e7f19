"""What is kept of an experiment: its key, its evidence as plain values, its labels. Pure.

Counterparts: `judge.judge.Judge.dump`, which makes the evidence; `file`, which holds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

Plain: TypeAlias = dict[str, Any]
"""Values of JSON by name."""

LabelRows: TypeAlias = Mapping[str, str | None]
"""What is known of a call that a label concerns, as JSON by correlation id; None: nothing more."""


class Key(NamedTuple):
    """Names an experiment: evidence of two keys is never added."""

    name: str  # the shadow's
    production: str  # version, empty where it is not known
    shadow: str
    digest: str  # of criteria, rules, deadlines and everything else that changes what is counted


@dataclass(frozen=True, slots=True)
class Write:
    """The newest state of one experiment, to replace what is kept of it."""

    key: Key
    attempt: int  # 0: not counted yet
    instance: str  # with `epoch`: who counted; the same evidence keeps its row
    epoch: int
    sequence: int  # grows: of two writes the larger is the newer
    began_unix_ns: int
    calls: int
    state: str  # WATCHING until decided
    reason: str
    evidence: Plain
    labels: LabelRows = field(default_factory=dict)  # what has changed since the last write


@dataclass(frozen=True, slots=True)
class Kept:
    """One experiment as it was last written."""

    key: Key
    attempt: int
    instance: str
    epoch: int
    sequence: int
    began_unix_ns: int
    written_unix_ns: int
    decided_unix_ns: int  # 0: not decided
    calls: int
    state: str
    reason: str
    ended: str  # "" while it lives, "reset"
    evidence: Plain
    gaps: tuple[tuple[int, int], ...] = ()  # Unix ns: written last, and continued
