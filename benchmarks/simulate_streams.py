"""Traffic of which the truth is known: sums of blocks for many streams at once.

Rule: 50 calls a second; a block has `seconds`, so that hours are simulated by tenths of a second
and days by the minute.
"""

from __future__ import annotations

import numpy as np

from benchmarks.simulate_engine import Streams
from sidecar.judge.evidence.mixtures import Floats

CALLS = 50  # a second
DAY = 86_400


def complete(n: Floats, k: Floats, seconds: float = 1.0) -> Streams:
    """Nothing is missing: the same sum at worst and at best."""
    return Streams(n, k, k, seconds)


def even(k: Floats, seconds: float) -> Streams:
    """As many calls in every block."""
    return complete(np.full(k.shape, float(CALLS * seconds)), k, seconds)


def independent(
    rng: np.random.Generator, streams: int, blocks: int, rate: float, seconds: float = 1.0
) -> Streams:
    """Every call disagrees or not on its own."""
    calls = round(CALLS * seconds)
    return even(rng.binomial(calls, rate, (streams, blocks)).astype(np.float64), seconds)


def bursts(
    rng: np.random.Generator,
    streams: int,
    blocks: int,
    rate: float,
    calls: int,
    seconds: float = 1.0,
) -> Streams:
    """All calls of a burst disagree, none between; the time between bursts is exponential."""
    size = CALLS * seconds
    gap = calls * (1 - rate) / rate
    edges = np.arange(blocks + 1) * size
    k = np.empty((streams, blocks))
    for row in range(streams):
        gaps = rng.exponential(gap, round(1.5 * blocks * size / (gap + calls)) + 20)
        starts = np.cumsum(gaps + calls) - calls
        times = np.stack([starts, starts + calls], axis=1).ravel()
        seen = np.repeat(np.arange(len(gaps) + 1) * float(calls), 2)[1:-1]
        k[row] = np.diff(np.interp(edges, times, seen, left=0.0))
    return even(k, seconds)


def noisy_bursts(
    rng: np.random.Generator,
    streams: int,
    blocks: int,
    rate: float,
    calls: int,
    seconds: float = 1.0,
) -> Streams:
    """A fifth of the rate by chance, so that likeness is measured before a burst has come."""
    harm = bursts(rng, streams, blocks, 0.8 * rate, calls, seconds)
    left = rng.binomial(round(CALLS * seconds), 0.2 * rate / (1 - 0.8 * rate), harm.n.shape)
    return even(harm.worst + (1 - harm.worst / harm.n) * left, seconds)


def _days(rng: np.random.Generator, streams: int, blocks: int, seconds: float) -> Floats:
    """The time of each block in days, from a random hour on."""
    return rng.random((streams, 1)) + np.arange(blocks)[None, :] * seconds / DAY


def day_and_night(
    rng: np.random.Generator, streams: int, blocks: int, rate: float, seconds: float = 10.0
) -> Streams:
    """Nine times as many calls by day as by night; the rate is the same."""
    days = _days(rng, streams, blocks, seconds)
    n = rng.poisson(CALLS * seconds * (1 + 0.8 * np.sin(2 * np.pi * days))).astype(np.float64)
    return complete(n, rng.binomial(n.astype(np.int64), rate).astype(np.float64), seconds)


def under_load(
    rng: np.random.Generator,
    streams: int,
    blocks: int,
    rate: float,
    seconds: float = 1.0,
    *,
    span: float = 60.0,
    busy: bool = True,
) -> Streams:
    """One span in twenty has ten times the calls; all harm is in those, or in all the others."""
    each = max(1, round(span / seconds))
    heavy = rng.random((streams, blocks // each + 1)) < 0.05
    heavy = np.repeat(heavy, each, axis=1)[:, :blocks]
    n = rng.poisson(np.where(heavy, 10, 1) * CALLS * seconds * 0.3).astype(np.float64)
    part = 0.5 / 1.45 if busy else 0.95 / 1.45  # of all calls
    now = np.where(heavy == busy, rate / part, 0.0)
    return complete(n, rng.binomial(n.astype(np.int64), now).astype(np.float64), seconds)


def rate_by_hour(
    rng: np.random.Generator, streams: int, blocks: int, rate: float, seconds: float = 10.0
) -> Streams:
    """The rate itself swings with the hour, from nothing to twice its mean."""
    days = _days(rng, streams, blocks, seconds)
    now = rate * (1 + np.sin(2 * np.pi * days))
    k = rng.binomial(round(CALLS * seconds), np.clip(now, 0, 1)).astype(np.float64)
    return even(k, seconds)


def only_by_day(
    rng: np.random.Generator, streams: int, blocks: int, rate: float, seconds: float = 10.0
) -> Streams:
    """Nothing for twelve hours, then twice the rate for twelve."""
    days = _days(rng, streams, blocks, seconds)
    now = np.where(days % 1 < 0.5, 2 * rate, 0.0)
    return even(rng.binomial(round(CALLS * seconds), now).astype(np.float64), seconds)


def hot_inputs(
    rng: np.random.Generator, streams: int, blocks: int, rate: float, seconds: float = 1.0
) -> Streams:
    """Thirty inputs, one of which always disagrees; popularity is drawn anew every 60 s."""
    minute = round(60 / seconds)
    spans = blocks // minute + 2
    popular = rng.gamma(1.0, 1.0, (streams, spans, 30))
    popular[..., 0] *= rate * 29 / (1 - rate)  # nearly the wanted share of all
    share = popular[..., 0] / popular.sum(axis=-1)
    share *= rate / share.mean()
    offset = rng.integers(0, minute, streams)
    at = (np.arange(blocks)[None, :] + offset[:, None]) // minute
    now = np.clip(np.take_along_axis(share, at, axis=1), 0, 1)
    return even(rng.binomial(round(CALLS * seconds), now).astype(np.float64), seconds)


def with_restarts(rng: np.random.Generator, streams: Streams, restarts: int) -> Streams:
    """An observer that is killed loses a second of the block it dies in."""
    n, k = streams.n.copy(), streams.worst.copy()
    rows = np.arange(len(n))[:, None]
    at = rng.integers(0, n.shape[1], (len(n), restarts))
    if streams.seconds < 1:
        begin = at[:, :, None] + np.arange(round(1 / streams.seconds))
        at = np.minimum(begin, n.shape[1] - 1).reshape(len(n), -1)
    left = 1 - min(1.0, 1 / streams.seconds)
    k[rows, at] = rng.binomial(k[rows, at].astype(np.int64), left)
    n[rows, at] *= left
    return complete(n, k, streams.seconds)


def labelled(
    rng: np.random.Generator,
    streams: int,
    blocks: int,
    mean: float,
    missing: float,
    biased: bool,
    seconds: float = 1.0,
) -> tuple[Streams, Streams]:
    """Paired accuracy: 5 % of the calls differ; a share of their labels never comes.

    Returns:
        What the judge counts, with both bounds; and what it would be told if what is missing were
        left out, as if it were like the rest.
    """
    differing, calls = 0.05, round(CALLS * seconds)
    worse = rng.binomial(calls, (differing + mean) / 2, (streams, blocks)).astype(np.float64)
    better = rng.binomial(calls, (differing - mean) / 2, (streams, blocks)).astype(np.float64)
    lost_worse = rng.binomial(worse.astype(np.int64), min(1.0, missing * (2 if biased else 1)))
    lost_better = 0 if biased else rng.binomial(better.astype(np.int64), missing)
    lost = lost_worse + lost_better
    seen = (worse - lost_worse) - (better - lost_better)
    n = np.full(worse.shape, float(calls))
    return Streams(n, seen + lost, seen - lost, seconds), complete(n - lost, seen, seconds)


def spread_around(
    rng: np.random.Generator,
    streams: int,
    blocks: int,
    mean: float,
    low: float,
    high: float,
    seconds: float = 1.0,
) -> Streams:
    """Independent scores of any bounded kind: mostly near the mean, one in 20 at an end.

    Calls come at random, as a Poisson process.
    """
    calls = rng.poisson(CALLS * seconds, (streams, blocks))
    ends = rng.binomial(calls, 0.05)
    up = rng.binomial(ends, (mean - low) / (high - low))  # so that the mean is kept
    sums = (calls - ends) * mean + up * high + (ends - up) * low
    return complete(calls.astype(np.float64), sums, seconds)
