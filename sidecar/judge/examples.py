"""Which calls to look at: the worst of each cell, and a uniform sample of it.

Rule: bounded per cell. The sample holds the calls whose identity hashes lowest, so that any two
pods' samples make one (bottom-k); the hash is fixed, so that every criterion and pod samples alike.
Counterparts: `worst`, what is remembered of a call; `judge`, which fills it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from sidecar.judge.counts import CellKey
from sidecar.judge.worst import Example


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


def _first(entry: Any) -> tuple[Any, Any]:
    return entry[0], entry[1]


def _push(heap: list[Any], entry: Any, size: int) -> None:
    """Keep the largest entries; one of equal order and identity is the same call."""
    if size <= 0 or any(entry[:2] == kept[:2] for kept in heap):
        return
    if len(heap) < size:
        heapq.heappush(heap, entry)
    elif entry[:2] > heap[0][:2]:
        heapq.heapreplace(heap, entry)
