"""Latencies as counts in logarithmic buckets. Pure.

Rule: how many latencies lie at or below an edge is known exactly, and histograms of different
processes add. Counterpart: `metrics`, which shows the coarse edges to Prometheus, and the judge's
bounds on quantiles, which need exact ranks (a sketch's rank error is larger than a p99's tail).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

BASE = 1.02  # neighbouring edges differ by at most so much: the error of a quantile
_FIRST_NS = 1_000
_LAST_NS = 600_000_000_000

COARSE_NS: tuple[int, ...] = tuple(
    mantissa * 10**exponent // 2
    for exponent in range(5, 11)
    for mantissa in (2, 5, 10)  # 1, 2.5 and 5 of every decade from 100 us to 50 s
)
"""The edges that Prometheus sees, in nanoseconds."""


def _edges() -> tuple[int, ...]:
    edges = set(COARSE_NS) | {_LAST_NS}
    edge = float(_FIRST_NS)
    while edge < _LAST_NS:
        edges.add(round(edge))
        edge *= BASE
    return tuple(sorted(edges))


EDGES_NS = _edges()
ENDLESS = len(EDGES_NS)
"""Bucket i counts latencies above edge i-1 and at or below edge i; one more bucket has no end."""


LAST = ENDLESS - 1  # ten minutes; slower calls are counted as if they took as long


def bucket(latency_ns: float) -> int:
    """The bucket of a latency, as `Histogram` has it: above one edge, at or below the next.

    Bucket 0 also holds everything faster, the last one everything slower.
    """
    found = bisect_left(EDGES_NS, latency_ns)
    return found if found < LAST else LAST


class Histogram:
    """Counts of latencies, sparse: a bucket that was never hit takes no memory."""

    __slots__ = ("count", "counts", "total_ns")

    def __init__(self) -> None:
        self.count = 0
        self.total_ns = 0
        self.counts: dict[int, int] = {}  # by index into EDGES_NS

    @classmethod
    def blank(cls) -> Histogram:
        """See `judge.codec`."""
        return cls()

    def add(self, ns: int) -> None:
        """Count one latency."""
        bucket = bisect_left(EDGES_NS, ns)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.count += 1
        self.total_ns += ns

    def add_longer(self, ns: int) -> None:
        """Count one that took longer than that, nobody knows how much: in the bucket without end.

        In the mean it is clipped.
        """
        self.counts[ENDLESS] = self.counts.get(ENDLESS, 0) + 1
        self.count += 1
        self.total_ns += ns

    @property
    def endless(self) -> int:
        """How many took longer than anybody waited."""
        return self.counts.get(ENDLESS, 0)

    def merge(self, other: Histogram) -> None:
        """Add another histogram's counts to this one's."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.count += other.count
        self.total_ns += other.total_ns

    def at_most(self, edges: Sequence[int]) -> list[int]:
        """Count the latencies at or below each edge.

        Args:
            edges: ascending; every one of them in `EDGES_NS`, so that the counts are exact.

        Raises:
            ValueError: for an edge that is not a bucket's.
        """
        buckets = sorted(self.counts.items())
        counts, seen, at = [], 0, 0
        for edge in edges:
            index = bisect_left(EDGES_NS, edge)
            if index == len(EDGES_NS) or EDGES_NS[index] != edge:
                raise ValueError(f"{edge} ns is not the edge of a bucket")
            while at < len(buckets) and buckets[at][0] <= index:
                seen += buckets[at][1]
                at += 1
            counts.append(seen)
        return counts

    def quantile(self, p: float) -> int | None:
        """Give an upper bound of the p-quantile in nanoseconds, at most `BASE` above it.

        None when nothing was counted, and where it lies among those that are longer than anybody
        waited.

        Raises:
            ValueError: for p outside [0, 1].
        """
        if not 0 <= p <= 1:
            raise ValueError(f"a quantile is in [0, 1], not {p}")
        if not self.count:
            return None
        rank = max(1.0, p * self.count)
        seen = 0
        for bucket, count in sorted(self.counts.items()):
            seen += count
            if seen >= rank:
                return EDGES_NS[bucket] if bucket < ENDLESS else None
        # p * count may round above count
        return EDGES_NS[-1] if not self.endless else None

    @classmethod
    def of(cls, counts: Mapping[int, int], total_ns: int) -> Histogram:
        """Rebuild a histogram from its counts by bucket and its sum."""
        histogram = cls()
        histogram.counts = dict(counts)
        histogram.count = sum(counts.values())
        histogram.total_ns = total_ns
        return histogram
