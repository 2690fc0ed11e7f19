"""Traffic of which the truth is known: sums of 10 s blocks for many streams at once."""

from __future__ import annotations

import numpy as np

from benchmarks.simulate_engine import Streams
from sidecar.judge.evidence.mixtures import Floats

CALLS = 500  # a block: 50 calls a second
HOUR = 360  # blocks


def complete(n: Floats, k: Floats) -> Streams:
    """Nothing is missing: the same sum at worst and at best."""
    return Streams(n, k, k)


def independent(rng: np.random.Generator, streams: int, blocks: int, rate: float) -> Streams:
    """Every call disagrees or not on its own."""
    k = rng.binomial(CALLS, rate, (streams, blocks)).astype(np.float64)
    return complete(np.full(k.shape, float(CALLS)), k)


def bursts(rng: np.random.Generator, streams: int, blocks: int, rate: float, calls: int) -> Streams:
    """All calls of a burst disagree, none between; the time between bursts is exponential."""
    total = blocks * CALLS
    gap = calls * (1 - rate) / rate
    edges = np.arange(blocks + 1) * float(CALLS)
    k = np.empty((streams, blocks))
    for row in range(streams):
        gaps = rng.exponential(gap, round(1.5 * total / (gap + calls)) + 20)
        starts = np.cumsum(gaps + calls) - calls
        times = np.stack([starts, starts + calls], axis=1).ravel()
        seen = np.repeat(np.arange(len(gaps) + 1) * float(calls), 2)[1:-1]
        k[row] = np.diff(np.interp(edges, times, seen, left=0.0))
    return complete(np.full(k.shape, float(CALLS)), k)


def day_and_night(rng: np.random.Generator, streams: int, blocks: int, rate: float) -> Streams:
    """Nine times as many calls by day as by night, from a random hour on; the rate is the same."""
    phase = rng.random((streams, 1)) * 24
    hour = phase + np.arange(blocks)[None, :] / HOUR
    n = rng.poisson(CALLS * (1 + 0.8 * np.sin(2 * np.pi * hour / 24))).astype(np.float64)
    return complete(n, rng.binomial(n.astype(np.int64), rate).astype(np.float64))


def rate_by_hour(rng: np.random.Generator, streams: int, blocks: int, rate: float) -> Streams:
    """The rate itself swings with the hour, from nothing to twice its mean."""
    phase = rng.random((streams, 1)) * 24
    hour = phase + np.arange(blocks)[None, :] / HOUR
    now = rate * (1 + np.sin(2 * np.pi * hour / 24))
    k = rng.binomial(CALLS, np.clip(now, 0, 1)).astype(np.float64)
    return complete(np.full(k.shape, float(CALLS)), k)


def hot_inputs(rng: np.random.Generator, streams: int, blocks: int, rate: float) -> Streams:
    """Thirty inputs, one of which always disagrees; popularity is drawn anew every 60 s."""
    spans = blocks // 6 + 2
    popular = rng.gamma(1.0, 1.0, (streams, spans, 30))
    popular[..., 0] *= rate * 29 / (1 - rate)  # nearly the wanted share of all
    share = popular[..., 0] / popular.sum(axis=-1)
    share *= rate / share.mean()
    offset = rng.integers(0, 6, streams)
    at = (np.arange(blocks)[None, :] + offset[:, None]) // 6
    now = np.take_along_axis(share, at, axis=1)
    k = rng.binomial(CALLS, np.clip(now, 0, 1)).astype(np.float64)
    return complete(np.full(k.shape, float(CALLS)), k)


def with_restarts(rng: np.random.Generator, streams: Streams, restarts: int) -> Streams:
    """An observer that is killed loses a second of the block it dies in."""
    n, k = streams.n.copy(), streams.worst.copy()
    rows = np.arange(len(n))[:, None]
    at = rng.integers(0, n.shape[1], (len(n), restarts))
    k[rows, at] = rng.binomial(k[rows, at].astype(np.int64), 0.9)
    n[rows, at] *= 0.9
    return complete(n, k)


def labelled(
    rng: np.random.Generator, streams: int, blocks: int, mean: float, missing: float, biased: bool
) -> tuple[Streams, Streams]:
    """Paired accuracy: 5 % of the calls differ; a share of their labels never comes.

    Returns:
        What the judge counts, with both bounds; and what it would be told if what is missing were
        left out, as if it were like the rest.
    """
    differing = 0.05
    worse = rng.binomial(CALLS, (differing + mean) / 2, (streams, blocks)).astype(np.float64)
    better = rng.binomial(CALLS, (differing - mean) / 2, (streams, blocks)).astype(np.float64)
    lost_worse = rng.binomial(worse.astype(np.int64), min(1.0, missing * (2 if biased else 1)))
    lost_better = 0 if biased else rng.binomial(better.astype(np.int64), missing)
    lost = lost_worse + lost_better
    seen = (worse - lost_worse) - (better - lost_better)
    n = np.full(worse.shape, float(CALLS))
    return Streams(n, seen + lost, seen - lost), complete(n - lost, seen)
