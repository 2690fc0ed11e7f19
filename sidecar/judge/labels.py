"""Labels that come later: pairs wait for them, and they for pairs, in bounded room.

Rule: a correlation id is joined once. Before that the last write wins; after it every further
label is a duplicate. A label that no criterion can use is as if it had not come, so that a
corrected one replaces it. A label is never lost silently: joined, waiting, late, unmatched,
duplicate or unusable. Counterpart: `criteria.labelled`, which scores a joined pair.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Generic, NamedTuple, TypeAlias, TypeVar

from pydantic import Field

from sidecar.fields import AtLeast0, Count, Seconds, Section

Answer: TypeAlias = int | float | str
LabelValue: TypeAlias = Answer | Sequence[Answer] | Sequence[Sequence[Answer]]
"""The decision that would have been right; a sequence of them for a batch; for the criteria at k
the relevant items, or a sequence of such sequences for a batch."""

W = TypeVar("W")


class LabelSettings(Section):
    """Pairs that wait for their labels, and labels that wait for their pairs."""

    # Where a call's correlation id is; None: the request's own id, else the trace id.
    correlation: (
        Annotated[str, Field(pattern=r"^(request_id|trace_id|metadata:[a-z0-9_.-]+)$")] | None
    ) = None
    pairs: Count = 100_000
    early: Count = 10_000  # labels that came before their pair
    max_age_seconds: Seconds = 7 * 86_400.0
    # How long after its call a label comes at the latest, where only a sample has labels
    # (`labels: sample`): after a PASS, blocks of time that are younger are not looked at yet.
    delay_seconds: AtLeast0 = 0.0


@dataclass(frozen=True, slots=True)
class Label:
    """What turned out to be true about one call."""

    correlation_id: str
    value: LabelValue
    weight: float = 1.0  # in (0, 1]: how much it counts
    time_ns: int = 0  # of two labels for one call the later wins, before the join

    def __post_init__(self) -> None:
        if not 0 < self.weight <= 1:
            raise ValueError(f"a label's weight is above 0 and at most 1, not {self.weight}")


class Fate(StrEnum):
    """What became of a label."""

    JOINED = "joined"
    EARLY = "early"  # waits for its pair
    LATE = "late"  # its pair was here, and had to go
    UNMATCHED = "unmatched"  # no pair came while there was room for the label
    DUPLICATE = "duplicate"  # its pair has a label, or the same label waits already
    CONTRADICTED = "contradicted"  # of the duplicates, those that say something else
    UNUSABLE = "unusable"  # of no shape that a criterion can use; where none can, it is not joined


class Entry(NamedTuple):
    """Something under a correlation id."""

    order: int  # of all entries of a store: the later the larger
    time_ns: int | None  # when it came; None where that does not matter
    value: Any


class Noted:
    """Entries in the order in which they came, and which have changed since somebody asked."""

    __slots__ = ("_changed", "_entries", "what")

    def __init__(self, what: str) -> None:
        self.what = what
        self._entries: dict[str, Entry] = {}  # oldest first
        self._changed: dict[str, None] | None = None  # None: nobody asks

    def put(self, name: str, entry: Entry) -> None:
        """Set an entry; one that was there before keeps its place."""
        self._entries[name] = entry
        if self._changed is not None:
            self._changed[name] = None

    def take(self, name: str) -> Entry | None:
        """Take an entry out."""
        entry = self._entries.pop(name, None)
        if entry is not None and self._changed is not None:
            self._changed[name] = None
        return entry

    def take_oldest(self) -> tuple[str, Entry]:
        """Take the oldest entry out; there must be one."""
        name = next(iter(self._entries))
        entry = self.take(name)
        assert entry is not None
        return name, entry

    def get(self, name: str) -> Entry | None:
        """An entry."""
        return self._entries.get(name)

    @property
    def oldest(self) -> Entry | None:
        """The oldest entry."""
        return next(iter(self._entries.values()), None)

    def items(self) -> Iterable[tuple[str, Entry]]:
        """Every entry with its id, oldest first."""
        return self._entries.items()

    def note(self) -> None:
        """Begin to note what changes; what is there has changed."""
        self._changed = dict.fromkeys(self._entries)

    def changes(self) -> list[tuple[str, Entry | None]]:
        """What has changed since this was last asked; None is gone."""
        found = [(name, self._entries.get(name)) for name in self._changed or ()]
        self._changed = {}
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __len__(self) -> int:
        return len(self._entries)


class LabelStore(Generic[W]):
    """Joins labels to what waits for them. Bounded in count and in age on every side."""

    def __init__(self, settings: LabelSettings) -> None:
        self._settings = settings
        self._max_age_ns = int(settings.max_age_seconds * 1e9)
        self._order = 0
        self._waiting = Noted("waiting")  # values: (what waits, interest)
        self._wanted: dict[str, float] = {}
        self._early = Noted("early")  # values: labels
        self._joined = Noted("joined")
        self._gone = Noted("gone")
        self.fates: dict[str, int] = {}

    def pair(self, correlation_id: str, waits: W, interest: float, now_ns: int) -> Label | None:
        """A pair has come.

        Args:
            correlation_id: what its label will name.
            waits: what to give back with the label.
            interest: how much a label would tell; 0 for nothing.
            now_ns: the present.

        Returns:
            Its label, if that was here first.
        """
        self._expire(now_ns)
        if correlation_id in self._waiting or correlation_id in self._joined:
            return None  # the id is not unique: the first call keeps it
        early = self._early.take(correlation_id)
        if early is not None:
            label: Label = early.value
            self._join(label)
            return label
        self._waiting.put(correlation_id, self._entry(now_ns, (waits, interest)))
        if interest > 0:
            self._wanted[correlation_id] = interest
        if len(self._waiting) > self._settings.pairs:
            self._drop_oldest()
        return None

    def label(self, label: Label, now_ns: int) -> W | None:
        """A label has come; what waited for it, if it is joined now."""
        self._expire(now_ns)
        name = label.correlation_id
        if name in self._joined:
            self._fate(Fate.DUPLICATE)
            joined = self._joined.get(name)
            if self.contradicts(label) and joined is not None and joined.value != _SEVERAL:
                self._fate(Fate.CONTRADICTED)  # once a call, however often it is told
                self._joined.put(name, self._entry(None, _SEVERAL))
            return None
        waiting = self._waiting.take(name)
        if waiting is not None:
            self._wanted.pop(name, None)
            self._join(label)
            waits: W = waiting.value[0]
            return waits
        if name in self._gone:
            self._fate(Fate.LATE)
            return None
        earlier = self._early.get(name)
        if earlier is None:
            self._fate(Fate.EARLY)
            self._early.put(name, self._entry(now_ns, label))
        elif earlier.value == label or earlier.value.time_ns > label.time_ns:
            self._fate(Fate.DUPLICATE)
            return None
        else:
            self._early.put(name, earlier._replace(value=label))
        if len(self._early) > self._settings.early:
            self._early.take_oldest()
            self._fate(Fate.UNMATCHED)
        return None

    def contradicts(self, label: Label) -> bool:
        """Whether its call was counted by a label that says something else."""
        joined = self._joined.get(label.correlation_id)
        return joined is not None and joined.value not in {None, _short(label)}

    def knows(self, correlation_id: str) -> bool:
        """Whether a pair of that id is or was here."""
        return any(correlation_id in kept for kept in (self._waiting, self._joined, self._gone))

    def waits(self, correlation_id: str) -> bool:
        """Whether a label of that id waits here for its pair."""
        return correlation_id in self._early

    def take_early(self, correlation_id: str) -> Label | None:
        """Take out a label that waits, for its pair is elsewhere."""
        entry = self._early.take(correlation_id)
        if entry is None:
            return None
        self.fates[Fate.EARLY] -= 1  # it is counted where it goes
        label: Label = entry.value
        return label

    def early(self) -> list[Label]:
        """The labels that wait for their pairs."""
        return [entry.value for _, entry in self._early.items()]

    def wanted(self, most: int) -> list[str]:
        """Correlation ids whose labels would tell most, of the calls that still wait."""
        return heapq.nlargest(most, self._wanted, key=self._wanted.__getitem__)

    def unusable(self) -> None:
        """Note that a joined label could not be used."""
        self._fate(Fate.UNUSABLE)

    def wait_on(self, correlation_id: str, waits: W, interest: float, now_ns: int) -> None:
        """A label that was joined is of no use at all: the pair waits for another.

        Args:
            correlation_id: of the pair whose label was given back last.
            waits: what it was given back with, or came with.
            interest: as for `pair`.
            now_ns: the present, from which its age counts again.
        """
        self._joined.take(correlation_id)
        self.fates[Fate.JOINED] -= 1
        self.pair(correlation_id, waits, interest, now_ns)

    def __len__(self) -> int:
        """How many pairs wait."""
        return len(self._waiting)

    # ---- keeping, see `pieces` ------------------------------------------------------------------

    @property
    def entries(self) -> int:
        """Of every kind."""
        return sum(map(len, self._all))

    @property
    def _all(self) -> tuple[Noted, ...]:
        return self._waiting, self._early, self._joined, self._gone

    def note(self) -> None:
        """Begin to note what changes."""
        for kept in self._all:
            kept.note()

    def changes(self) -> list[tuple[str, str, Entry | None]]:
        """What, id and entry of all that has changed since this was last asked."""
        return [(k.what, name, entry) for k in self._all for name, entry in k.changes()]

    def restore(self, entries: Iterable[tuple[str, str, Entry]]) -> None:
        """Take over entries, what, id and entry of each."""
        by_name = {kept.what: kept for kept in self._all}
        for what, name, entry in sorted(entries, key=lambda row: row[2].order):
            by_name[what].put(name, entry)
            self._order = max(self._order, entry.order)
            if what == "waiting" and entry.value[1] > 0:
                self._wanted[name] = entry.value[1]

    def _entry(self, time_ns: int | None, value: Any) -> Entry:
        self._order += 1
        return Entry(self._order, time_ns, value)

    def _join(self, label: Label) -> None:
        self._fate(Fate.JOINED)
        self._remember(self._joined, label.correlation_id, _short(label))

    def _drop_oldest(self) -> None:
        name, _ = self._waiting.take_oldest()
        self._wanted.pop(name, None)
        self._remember(self._gone, name)

    def _remember(self, names: Noted, name: str, value: str | None = None) -> None:
        names.put(name, names.get(name) or self._entry(None, value))
        if len(names) > self._settings.pairs:
            names.take_oldest()

    def _expire(self, now_ns: int) -> None:
        oldest = now_ns - self._max_age_ns
        while _came_before(self._waiting.oldest, oldest):
            self._drop_oldest()
        while _came_before(self._early.oldest, oldest):
            self._early.take_oldest()
            self._fate(Fate.UNMATCHED)

    def _fate(self, fate: Fate) -> None:
        self.fates[fate] = self.fates.get(fate, 0) + 1


_SEVERAL = ""  # what labels of a call said that said several things


def _short(label: Label) -> str:
    """What a label says, in a few characters: one number is one, however it is written."""
    return sha256(repr(_plain(label.value)).encode()).hexdigest()[:12]


def _plain(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    try:
        return float(value) if isinstance(value, (bool, int, float, str)) else value
    except (ValueError, OverflowError):
        return value


def _came_before(entry: Entry | None, time_ns: int) -> bool:
    return entry is not None and entry.time_ns is not None and entry.time_ns < time_ns
