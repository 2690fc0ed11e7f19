"""Differences over time, in at most so many buckets however long a life gets. Pure.

Rule: buckets are aligned to Unix time and their width is a power of two seconds, so that the
timelines of pods that lived differently long add: the coarser width is taken. Counterpart:
`judging`, which adds calls, and `report.build`, which adds pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

MOST = 120  # buckets; from 60 to 120 of them span a long life
_SECOND = 1_000_000_000


class Bucket(NamedTuple):
    """Counts of the calls that began within one stretch of time."""

    compared: int = 0
    differing: int = 0  # those of them that disagree, failures included
    failed: int = 0  # those of them that production answered and the shadow did not

    def plus(self, other: Bucket) -> Bucket:
        """Both together."""
        return Bucket(*(a + b for a, b in zip(self, other, strict=True)))


class Timeline:
    """Counts by time."""

    __slots__ = ("buckets", "width_seconds")

    def __init__(self, width_seconds: int = 1, buckets: Mapping[int, Bucket] | None = None) -> None:
        """Begin with what was counted elsewhere.

        Args:
            width_seconds: a power of two.
            buckets: by the Unix second that they begin at, a multiple of the width.
        """
        self.width_seconds = width_seconds
        self.buckets: dict[int, Bucket] = dict(buckets or {})

    @classmethod
    def blank(cls) -> Timeline:
        """See `judge.codec`."""
        return cls()

    def add(self, unix_ns: int, *, differs: bool, failed: bool) -> None:
        """Count one call."""
        second = unix_ns // _SECOND
        at = second - second % self.width_seconds
        known = self.buckets.get(at)
        if known is None:
            known = Bucket()
            self.buckets[at] = known
        self.buckets[at] = Bucket(
            known.compared + 1, known.differing + differs, known.failed + failed
        )
        if len(self.buckets) > MOST:
            self._widen(self.width_seconds * 2)

    def _widen(self, width_seconds: int) -> None:
        wider: dict[int, Bucket] = {}
        for begin, bucket in self.buckets.items():
            at = begin - begin % width_seconds
            wider[at] = wider.get(at, Bucket()).plus(bucket)
        self.width_seconds, self.buckets = width_seconds, wider

    @classmethod
    def merged(cls, parts: Iterable[Timeline]) -> Timeline:
        """The sum of several timelines, none of which is changed."""
        whole = cls()
        for part in parts:
            wide, narrow = sorted((whole, part), key=lambda t: -t.width_seconds)
            whole = cls(wide.width_seconds, wide.buckets)
            aligned = cls(narrow.width_seconds, narrow.buckets)
            aligned._widen(whole.width_seconds)
            for at, bucket in aligned.buckets.items():
                whole.buckets[at] = whole.buckets.get(at, Bucket()).plus(bucket)
            while len(whole.buckets) > MOST:
                whole._widen(whole.width_seconds * 2)
        return whole

    def rows(self) -> list[dict[str, int]]:
        """JSON-ready rows in the order of time; stretches without calls are left out."""
        return [
            {"unix_seconds": at, **bucket._asdict()} for at, bucket in sorted(self.buckets.items())
        ]
