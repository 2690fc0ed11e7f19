"""The bounded wait for a shadow: first in, first out, with a key to take one out of the middle.

Rule: `calls` and `bytes` are exact at every moment; what is cancelled gives its bytes back at
once. Pure: the bounds are checked by `gate`, and `shadow` wakes whoever waits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class _Waiting(NamedTuple, Generic[T]):
    item: T
    size: int
    since_ns: int


class WaitingLine(Generic[K, T]):
    """Items in order of arrival, each with a unique key, a size in bytes and when it came."""

    __slots__ = ("_bytes", "_items")

    def __init__(self) -> None:
        # Not a dict: finding a dict's first key scans the holes that earlier pops left.
        self._items: OrderedDict[K, _Waiting[T]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def bytes(self) -> int:
        """The sum of the sizes of what waits."""
        return self._bytes

    def __contains__(self, key: K) -> bool:
        return key in self._items

    def push(self, key: K, item: T, size: int, now_ns: int) -> None:
        """Put an item at the end.

        Raises:
            KeyError: an item with this key is waiting already.
        """
        if key in self._items:
            raise KeyError(key)
        self._items[key] = _Waiting(item, size, now_ns)
        self._bytes += size

    def pop(self) -> T | None:
        """Take the oldest item, or None when nothing waits."""
        if not self._items:
            return None
        _, waiting = self._items.popitem(last=False)
        self._bytes -= waiting.size
        return waiting.item

    def pop_older(self, than_ns: int) -> T | None:
        """Take the oldest item if it came before the instant `than_ns`."""
        if not self._items:
            return None
        oldest = next(iter(self._items.values()))
        return self.pop() if oldest.since_ns < than_ns else None

    def waited_ns(self, now_ns: int) -> int:
        """How long the oldest item has waited."""
        if not self._items:
            return 0
        return now_ns - next(iter(self._items.values())).since_ns

    def discard(self, key: K) -> T | None:
        """Take out the item with this key, wherever it stands; None when it is not here."""
        waiting = self._items.pop(key, None)
        if waiting is None:
            return None
        self._bytes -= waiting.size
        return waiting.item
