"""What a judge has counted, in a form that adds: cells, snapshots, and their merge.

Rule: within one key (instance, epoch) counters only grow. A merge keeps the newest snapshot of
each key, and only a total adds; so pulling twice changes nothing and the order does not matter.
Counterpart: `judge`, which makes snapshots, and `verdict`, which reads totals.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple, TypeAlias

from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.evidence.effective import DistinctInputs

ALL = ""  # the slice that every call belongs to
SIDES = ("production", "shadow")
OF_FEW_KEYS = "of_few_keys"  # among events: calls of sticky keys, too few for those left out
READER = "reader "  # before a method's name, among the models: who read its payloads

Cell: TypeAlias = dict[str, float]
"""Additive counters by short name; which names depends on the criterion's kind (see `criteria`)."""


class CellKey(NamedTuple):
    """Names one cell."""

    criterion: str
    slice: str  # ALL, or "name=value"


class SnapshotKey(NamedTuple):
    """Names one judge's evidence between two restarts."""

    instance: str  # what keeps the counts: a state directory's file, or one process's life
    epoch: int  # counts the restarts of evidence within it


class Gap(NamedTuple):
    """Evidence was put down at one moment and taken up at another, by a later process."""

    from_unix_ns: int  # the latest moment that it knows of before
    to_unix_ns: int  # and the first after

    def has(self, unix_ns: int, slack_ns: int) -> bool:
        """Whether a moment lies in it, and not just after its begin."""
        return self.from_unix_ns + slack_ns < unix_ns <= self.to_unix_ns


class Coverage(NamedTuple):
    """How much of what should have been compared was. See `call.INELIGIBLE`."""

    compared: int
    eligible: int
    blind: int = 0  # of the eligible, those on connections that could not be followed
    unsettled: int = 0  # connections now whose calls nobody has counted yet
    bytes: int = 0  # that passed, both directions, of whatever protocol
    unreadable: int = 0  # of those, on connections that are no HTTP/2 that could be read

    def __add__(self, other: tuple[int, ...]) -> Coverage:  # type: ignore[override]  # as numbers
        """Of two judges together."""
        return Coverage(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def share(self) -> float | None:
        """compared / eligible, at most 1; None when nothing was eligible."""
        return min(1.0, self.compared / self.eligible) if self.eligible > 0 else None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one judge counted in one epoch, up to now. Treated as immutable."""

    key: SnapshotKey
    sequence: int  # grows with every change: of two snapshots of a key the larger is the newer
    rules: str  # digest of criteria and comparison rules: only equal ones may be added
    models: Mapping[str, str]  # versions, by "production NAME" and "shadow NAME"; readers by method
    began_unix_ns: int
    elapsed_ns: int
    calls: int
    coverage: Coverage
    cells: Mapping[CellKey, Cell]
    events: Mapping[str, int] = field(default_factory=dict)  # joined, late, repeats, ...
    # The judge's own, for they are large: whoever keeps a snapshot writes them down at once.
    blocks: Mapping[CellKey, tuple[Blocks, ...]] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)  # calls, by why they were not compared
    inputs: DistinctInputs = field(default_factory=DistinctInputs)  # the judge's own, likewise
    attempt: int = 0  # which experiment on this candidate; 0: nobody counts them
    # When calls of these versions came up, the last time that they did; 0: when evidence began.
    since_unix_ns: int = 0
    life: str = ""  # of the process that counts: of two with the same key, two copies
    gaps: tuple[Gap, ...] = ()  # the long ones

    @property
    def latest_unix_ns(self) -> int:
        """The latest moment that it knows of."""
        return self.began_unix_ns + self.elapsed_ns

    @property
    def came_up_unix_ns(self) -> int:
        """Since when these versions are what is there."""
        return self.since_unix_ns or self.began_unix_ns


Counts: TypeAlias = Mapping[SnapshotKey, Snapshot]
"""Snapshots of any number of judges, one per key."""


def merge(*parts: Counts) -> dict[SnapshotKey, Snapshot]:
    """Newest snapshot of each key: commutative, associative, idempotent."""
    merged: dict[SnapshotKey, Snapshot] = {}
    for part in parts:
        for key, snapshot in part.items():
            if key not in merged or snapshot.sequence > merged[key].sequence:
                merged[key] = snapshot
    return merged


def counts_of(snapshots: Iterable[Snapshot]) -> dict[SnapshotKey, Snapshot]:
    """Collect snapshots, the newest of each key."""
    return merge(*({snapshot.key: snapshot} for snapshot in snapshots))


@dataclass(frozen=True, slots=True)
class Total:
    """The sum that a verdict is about."""

    calls: int
    coverage: Coverage
    elapsed_ns: int  # of the longest watch among the judges
    cells: Mapping[CellKey, Cell]
    models: Mapping[str, str]
    events: Mapping[str, int]
    judges: int  # how many snapshots were added
    left_out: int  # how many were not: older evidence, other versions or other rules
    blocks: Mapping[CellKey, tuple[Blocks, ...]] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    inputs: DistinctInputs = field(default_factory=DistinctInputs)
    unix_ns: int = 0  # the latest moment that any of them counted
    attempt: int = 0  # the latest of any


def alike(counts: Counts, first: Container[SnapshotKey] = ()) -> list[Snapshot]:
    """Choose what belongs together: the newest evidence, and all that agrees with it.

    The snapshot whose versions came up last leads; others follow if they obey the same rules and
    name no model version, and no reader of a method's payloads, that contradicts those already
    taken. Two epochs of one judge that agree are about different calls, and both count; but an
    instance that tells two sets of versions keeps them apart, and so does the sum.

    Args:
        counts: all there are.
        first: keys that lead before all others, however late those began: judges that are there.
    """
    order = sorted(
        counts.values(),
        key=lambda s: (s.key not in first, -s.came_up_unix_ns, -s.began_unix_ns, s.key),
    )
    models: dict[str, str] = {}
    taken: list[Snapshot] = []
    own: dict[str, dict[str, str]] = {}  # versions that are taken of an instance
    for snapshot in order:
        versions = _versions(snapshot)
        same = not taken or snapshot.rules == taken[0].rules
        same = same and own.get(snapshot.key.instance, versions) == versions
        if same and all(models.get(k, v) == v for k, v in snapshot.models.items()):
            taken.append(snapshot)
            own[snapshot.key.instance] = versions
            models.update(snapshot.models)
    return taken


def _versions(snapshot: Snapshot) -> dict[str, str]:
    return {n: v for n, v in snapshot.models.items() if not n.startswith(READER)}


def total(counts: Counts) -> Total:
    """Add what belongs together; see `alike`."""
    taken = alike(counts)
    models = {
        name: version
        for s in reversed(taken)
        for name, version in s.models.items()
        if not name.startswith(READER)
    }
    cells: dict[CellKey, Cell] = {}
    events: dict[str, int] = {}
    lost: dict[str, int] = {}
    for snapshot in sorted(taken, key=lambda s: s.key):
        for key, cell in snapshot.cells.items():
            add(cells.setdefault(key, {}), cell)
        for name, count in snapshot.events.items():
            events[name] = events.get(name, 0) + count
        for name, count in snapshot.lost.items():
            lost[name] = lost.get(name, 0) + count
    return Total(
        calls=sum(s.calls for s in taken),
        coverage=sum((s.coverage for s in taken), Coverage(0, 0)),
        elapsed_ns=max((s.elapsed_ns for s in taken), default=0),
        cells=cells,
        models=models,
        events=events,
        judges=len(taken),
        left_out=len(left_out(counts, taken)),
        blocks=_merged([s.blocks for s in taken]),
        lost=lost,
        inputs=reduce(DistinctInputs.plus, (s.inputs for s in taken), DistinctInputs()),
        unix_ns=max((s.began_unix_ns + s.elapsed_ns for s in taken), default=0),
        attempt=max((s.attempt for s in taken), default=0),
    )


def left_out(counts: Counts, taken: Iterable[Snapshot]) -> set[str]:
    """Instances nothing of which is in a sum: other versions, other rules.

    One that has counted several versions is in the sum with those that the sum is about.
    """
    return {key.instance for key in counts} - {s.key.instance for s in taken}


def _merged(
    parts: Sequence[Mapping[CellKey, tuple[Blocks, ...]]],
) -> dict[CellKey, tuple[Blocks, ...]]:
    """What several judges' blocks say as one: to read, not to count on."""
    found: dict[CellKey, list[tuple[Blocks, ...]]] = {}
    for part in parts:
        for key, cell in part.items():
            found.setdefault(key, []).append(cell)
    return {
        key: cells[0] if len(cells) == 1 else tuple(map(Blocks.merged, zip(*cells, strict=True)))
        for key, cells in found.items()
    }


def add(into: Cell, other: Mapping[str, float]) -> None:
    """Add counters to a cell in place."""
    for name, count in other.items():
        into[name] = into.get(name, 0.0) + count
