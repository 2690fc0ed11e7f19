"""Labels that come later: pairs wait for them, and they for pairs, in bounded room.

Rule: a correlation id is joined once. Before that the last write wins; after it every further
label is a duplicate. A label is never lost silently: joined, waiting, late, unmatched, duplicate
or unusable. Counterpart: `criteria.labelled`, which scores a joined
pair.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Generic, TypeAlias, TypeVar

from pydantic import Field

from sidecar.fields import Count, Seconds, Section

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
    UNUSABLE = "unusable"  # joined, but of no shape that any criterion can use


class LabelStore(Generic[W]):
    """Joins labels to what waits for them. Bounded in count and in age on every side."""

    def __init__(self, settings: LabelSettings) -> None:
        self._settings = settings
        self._max_age_ns = int(settings.max_age_seconds * 1e9)
        self._waiting: OrderedDict[str, tuple[int, W, float]] = OrderedDict()
        self._wanted: dict[str, float] = {}
        self._early: OrderedDict[str, tuple[int, Label]] = OrderedDict()
        self._joined: OrderedDict[str, None] = OrderedDict()
        self._gone: OrderedDict[str, None] = OrderedDict()
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
        early = self._early.pop(correlation_id, None)
        if early is not None:
            self._join(correlation_id)
            return early[1]
        self._waiting[correlation_id] = (now_ns, waits, interest)
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
            return None
        waiting = self._waiting.pop(name, None)
        if waiting is not None:
            self._wanted.pop(name, None)
            self._join(name)
            return waiting[1]
        if name in self._gone:
            self._fate(Fate.LATE)
            return None
        earlier = self._early.get(name)
        if earlier is not None and (earlier[1] == label or earlier[1].time_ns > label.time_ns):
            self._fate(Fate.DUPLICATE)
            return None
        if earlier is None:
            self._fate(Fate.EARLY)
        self._early[name] = (now_ns if earlier is None else earlier[0], label)
        if len(self._early) > self._settings.early:
            self._early.popitem(last=False)
            self._fate(Fate.UNMATCHED)
        return None

    def wanted(self, most: int) -> list[str]:
        """Correlation ids whose labels would tell most, of the calls that still wait."""
        return heapq.nlargest(most, self._wanted, key=self._wanted.__getitem__)

    def unusable(self) -> None:
        """Note that a joined label could not be used."""
        self._fate(Fate.UNUSABLE)

    def forget(self) -> None:
        """Let every waiting pair go: evidence starts again. Early labels stay."""
        while self._waiting:
            self._drop_oldest()
        self._joined.clear()

    def __len__(self) -> int:
        """How many pairs wait."""
        return len(self._waiting)

    def _join(self, name: str) -> None:
        self._fate(Fate.JOINED)
        self._remember(self._joined, name)

    def _drop_oldest(self) -> None:
        name, _ = self._waiting.popitem(last=False)
        self._wanted.pop(name, None)
        self._remember(self._gone, name)

    def _remember(self, names: OrderedDict[str, None], name: str) -> None:
        names[name] = None
        if len(names) > self._settings.pairs:
            names.popitem(last=False)

    def _expire(self, now_ns: int) -> None:
        oldest = now_ns - self._max_age_ns
        while self._waiting and next(iter(self._waiting.values()))[0] < oldest:
            self._drop_oldest()
        while self._early and next(iter(self._early.values()))[0] < oldest:
            self._early.popitem(last=False)
            self._fate(Fate.UNMATCHED)

    def _fate(self, fate: Fate) -> None:
        self.fates[fate] = self.fates.get(fate, 0) + 1
