"""Slices: named parts of the traffic, as many as were allowed, the rest under "other".

Rule: which slices are kept depends on how often they occur, never on how well the shadow does in
them, and a slice's evidence begins with the call after the one that it was discovered by. But what
was found worse once stays, so that nothing can push it out of sight.
Counterpart: `verdict`, which controls false discoveries over them.

Source: Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in
data streams" (ICDT 2005): Space-Saving keeps every value that occurs in more than 1/capacity of
the calls.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import filterfalse
from typing import NamedTuple

import numpy as np

from sidecar.call import Metadata
from sidecar.judge.counts import CellKey
from sidecar.judge.pair import Value, Values
from sidecar.judge.settings import JudgeSettings, SliceSettings

OTHER = "(other)"
NONE = "(none)"
MAX_VALUE = 64  # characters; longer ones are cut


class SpaceSaving:
    """The most frequent values of one division of the traffic, at most `capacity` of them."""

    __slots__ = ("_capacity", "counts")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self.counts: dict[str, int] = {}  # upper bounds; a newcomer inherits the least

    def see(self, value: str, stays: Callable[[str], bool]) -> tuple[bool, str | None]:
        """Count one occurrence.

        Args:
            value: that occurs.
            stays: whether a value may not go.

        Returns:
            Whether the value was kept before, and the value that had to go for it. Where none may
            go it is not kept.
        """
        if value in self.counts:
            self.counts[value] += 1
            return True, None
        if len(self.counts) < self._capacity:
            self.counts[value] = 1
            return False, None
        gone = min(filterfalse(stays, self.counts), key=self.counts.__getitem__, default=None)
        if gone is None:
            return False, None
        self.counts[value] = self.counts.pop(gone) + 1
        return False, gone


class Place(NamedTuple):
    """A slice that a call counts in."""

    name: str
    full: str  # "name=value"
    since: int  # which keeping of the value it was: 0 for the others


class Slices:
    """Every division of the traffic, with an equal part of the room each."""

    __slots__ = ("_clock", "_kept", "_since")

    def __init__(self, settings: JudgeSettings) -> None:
        room = max(1, settings.max_slices // max(1, len(settings.slices)))
        self._kept = {s.label: SpaceSaving(room) for s in settings.slices}
        self._since: dict[str, int] = {}
        self._clock = 0

    def see(
        self, slices: Sequence[tuple[str, str]], worse: Collection[CellKey] = ()
    ) -> tuple[list[Place], list[str]]:
        """Place one call.

        Args:
            slices: (name, value) from `slices_of`; names that were not declared are passed over.
            worse: the slices that were found worse: they stay, whatever comes.

        Returns:
            The slices that the call counts in, and "name=value" of those that had to go.
        """
        places, gone = [], []
        for name, value in slices:
            kept = self._kept.get(name)
            if kept is None:
                continue
            known, evicted = kept.see(value, partial(_is_worse, worse, name))
            full = f"{name}={value}"
            if evicted is not None:
                gone.append(f"{name}={evicted}")
                del self._since[gone[-1]]
            if known:
                places.append(Place(name, full, self._since[full]))
            elif value not in kept.counts:
                places.append(Place(name, f"{name}={OTHER}", 0))
            else:
                self._clock += 1
                self._since[full] = self._clock
                places.append(Place(name, f"{name}={OTHER}", 0))
        return places, gone

    def settle(self, places: Sequence[Place]) -> list[Place]:
        """Where a call counts now that was placed earlier: what had to go is with the others."""
        return [
            p if self._since.get(p.full, 0) == p.since else Place(p.name, f"{p.name}={OTHER}", 0)
            for p in places
        ]


def _is_worse(worse: Collection[CellKey], name: str, value: str) -> bool:
    full = f"{name}={value}"
    return any(key.slice == full for key in worse)


def slices_of(
    settings: Sequence[SliceSettings],
    *,
    method: str = "",
    model: str = "",
    metadata: Metadata = (),
    fields: Mapping[str, Value] | None = None,
    values: Values | None = None,
) -> tuple[tuple[str, str], ...]:
    """Where a call belongs: (name, value) for each declared division.

    Args:
        settings: the divisions.
        method: the call's.
        model: the name of the model that was asked.
        metadata: the request's.
        fields: the request's fields by path, as far as a division needs them.
        values: the outputs by name, as (production's, shadow's).
    """
    found = []
    for s in settings:
        source, _, name = s.source.partition(":")
        if source == "label":
            continue  # known when it comes
        value: Value | None
        match source:
            case "method":
                value = method
            case "model":
                value = model
            case "metadata":
                value = next((v for k, v in metadata if k == name), None)
            case "field":
                value = _field(fields or {}, name)
            case _:
                value = predicted((values or {}).get(name, (None, None))[0])
        found.append((s.label, named(value, s.bins)))
    return tuple(found)


def _field(fields: Mapping[str, Value], path: str) -> Value | None:
    """A request's field: "name", or "name[i]" for the i-th element of it."""
    name, bracket, index = path.removesuffix("]").rpartition("[")
    if path in fields or not bracket or not index.isdigit():
        return fields.get(path)
    elements = np.asarray(fields.get(name, ())).reshape(-1)
    return predicted(elements[int(index) : int(index) + 1]) if int(index) < elements.size else None


def predicted(value: Value | None) -> Value | None:
    """The class that an output names: itself when it is one value, else the largest's index."""
    if value is None or isinstance(value, (str, float, int)):
        return value
    array = np.asarray(value)
    if array.size == 1:
        one: object = array.reshape(-1).tolist()[0]
        if isinstance(one, bytes):
            return one.decode(errors="replace")
        return one if isinstance(one, (str, float, int)) else str(one)
    if array.dtype.kind not in "biuf" or (array.ndim > 1 and array.shape[0] != 1):
        return None  # several rows have no one class
    return int(np.argmax(array))


def named(value: Value | None, bins: Sequence[float] | None) -> str:
    """A slice's value as text; numbers by range where there are bins."""
    if isinstance(value, np.ndarray):
        value = predicted(value) if value.size == 1 else None
    if value is None or isinstance(value, np.ndarray):
        return NONE
    if bins:
        try:
            number = float(value)
        except ValueError:
            return NONE
        if math.isnan(number):
            return NONE
        at = bisect_right(bins, number)
        if at == 0:
            return f"below {bins[0]:g}"
        return f"{bins[at - 1]:g} to {bins[at]:g}" if at < len(bins) else f"from {bins[-1]:g}"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)[:MAX_VALUE]
