"""Which calls to look at: the worst of each cell, and a uniform sample of it.

Rule: bounded per cell, mergeable, and without payload values but those that `shown` lets through.
The sample holds the calls whose identity hashes lowest, so that any two pods' samples make one
(bottom-k); the hash is fixed, so that every criterion and pod samples alike.
Counterpart: `judge`, which fills it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from sidecar.judge.counts import CellKey
from sidecar.judge.pair import JudgedPair


@dataclass(frozen=True, slots=True)
class Note:
    """One call worth a look."""

    identity: str  # correlation id, else trace id, else connection and stream
    unix_ns: int
    method: str
    trace_ids: tuple[str, str]  # production's and the shadow's
    outcome: str
    outputs: tuple[tuple[str, str, float], ...]  # those that differ: name, outcome, score
    detail: str
    latencies_ns: tuple[int, int]
    # Where the configuration allows values, else empty:
    values: tuple[tuple[str, str], ...] = ()  # production's and the shadow's, for each of `outputs`
    inputs: tuple[tuple[str, str], ...] = ()  # name and value


@dataclass(frozen=True, slots=True)
class Example:
    """A note, with how bad the call was for one criterion."""

    magnitude: float
    rank: int  # the hash of the identity
    note: Note


MAX_OUTPUTS = 8  # named in a note


def note_of(pair: JudgedPair, unix_ns: int) -> Note:
    """What to remember of a pair."""
    differing = pair.comparison.differing[:MAX_OUTPUTS]
    seen = pair.show() if pair.show is not None else None
    return Note(
        identity=identity_of(pair),
        unix_ns=unix_ns,
        method=pair.method,
        trace_ids=pair.trace_ids,
        outcome=str(pair.comparison.outcome),
        outputs=tuple((o.name, str(o.outcome), o.score) for o in differing),
        detail=pair.comparison.detail,
        latencies_ns=(pair.production_latency_ns, pair.shadow_latency_ns),
        values=tuple(seen.outputs[o.name] for o in differing) if seen else (),
        inputs=seen.inputs if seen else (),
    )


def identity_of(pair: JudgedPair) -> str:
    """What a call goes by."""
    return (
        pair.correlation_id
        or pair.trace_ids[0]
        or f"{pair.key.connection}/{pair.key.stream}@{pair.arrived_ns}"
    )


def rank_of(identity: str) -> int:
    """A uniform 64-bit hash, the same everywhere."""
    return int.from_bytes(blake2b(identity.encode(), digest_size=8).digest(), "big")


class Examples:
    """The worst calls and the sample of every cell."""

    __slots__ = ("_sample", "_sample_size", "_stamps", "_worst", "_worst_size")

    def __init__(self, worst: int, sample: int) -> None:
        self._worst_size, self._sample_size = worst, sample
        self._worst: dict[CellKey, list[tuple[float, int, Example]]] = {}
        self._sample: dict[CellKey, list[tuple[int, float, Example]]] = {}
        self._stamps: dict[CellKey, int] = {}  # how often a cell has changed

    def wants(self, key: CellKey, magnitude: float, rank: int) -> bool:
        """Whether a call would be kept: asked first, because making a note costs more."""
        if magnitude > 0 and self._worst_size > 0:
            worst = self._worst.get(key)
            if worst is None or len(worst) < self._worst_size or magnitude > worst[0][0]:
                return True
        if not self._sample_size:
            return False
        sample = self._sample.get(key)
        return sample is None or len(sample) < self._sample_size or -rank > sample[0][0]

    def add(self, key: CellKey, example: Example) -> None:
        """Keep a call if it is among the worst or in the sample."""
        self._stamps[key] = self._stamps.get(key, 0) + 1
        if example.magnitude > 0:
            entry = (example.magnitude, example.rank, example)
            _push(self._worst.setdefault(key, []), entry, self._worst_size)
        drawn = (-example.rank, example.magnitude, example)
        _push(self._sample.setdefault(key, []), drawn, self._sample_size)

    def drop(self, slice_: str) -> None:
        """Forget a slice."""
        for kept in (self._worst, self._sample, self._stamps):
            for key in [key for key in kept if key.slice == slice_]:
                del kept[key]

    def worst(self, key: CellKey) -> list[Example]:
        """The worst calls of a cell, worst first."""
        return [entry[-1] for entry in sorted(self._worst.get(key, ()), key=_first, reverse=True)]

    def sample(self, key: CellKey) -> list[Example]:
        """A uniform sample of a cell's calls, in the order of their hash."""
        return [entry[-1] for entry in sorted(self._sample.get(key, ()), key=_first, reverse=True)]

    def kept(self) -> Iterator[tuple[CellKey, int, list[Any], list[Any]]]:
        """Every cell, how often it has changed, and what is to be given to `restore`."""
        for key, stamp in self._stamps.items():
            yield key, stamp, self._worst.get(key, []), self._sample.get(key, [])

    def restore(self, key: CellKey, kept: tuple[list[Any], list[Any]]) -> None:
        """Take over what a cell had."""
        self._stamps[key] = 1
        self._worst[key], self._sample[key] = kept


def merge_worst(parts: Iterable[Iterable[Example]], size: int) -> list[Example]:
    """The worst of several pods' worst; a call that two of them name appears once."""
    return heapq.nlargest(size, _distinct(parts), key=lambda e: (e.magnitude, e.rank))


def merge_sample(parts: Iterable[Iterable[Example]], size: int) -> list[Example]:
    """The sample of several pods' calls."""
    return heapq.nsmallest(size, _distinct(parts), key=lambda e: e.rank)


def _distinct(parts: Iterable[Iterable[Example]]) -> list[Example]:
    found: dict[str, Example] = {}
    for part in parts:
        for example in part:
            known = found.get(example.note.identity)
            if known is None or (example.magnitude, repr(example)) > (known.magnitude, repr(known)):
                found[example.note.identity] = example
    return list(found.values())


def _first(entry: tuple[float, float, Example]) -> tuple[float, float]:
    return entry[0], entry[1]


def _push(heap: list[Any], entry: tuple[float, float, Example], size: int) -> None:
    """Keep the largest entries; one of equal order and identity is the same call."""
    if size <= 0 or any(entry[:2] == kept[:2] for kept in heap):
        return
    if len(heap) < size:
        heapq.heappush(heap, entry)
    elif entry[:2] > heap[0][:2]:
        heapq.heapreplace(heap, entry)
