"""What something adds to a latency, from pairs of slices of time with it and without. Pure.

Rule: valid at every look, and whatever the traffic is like. Of two slices of a period it is drawn
which goes without; so, if nothing is added, each is as likely to be the slower one, however calls
of a second are alike and however the load swings. With D = (mean latency with) - (mean latency
without), the claim "it adds at most m" is P(D > m) <= 1/2 in each pair, and the number of pairs
with D > m is evidence against it as in a sequential sign test: the mixture of likelihood ratios of
`mixtures`, whose chance ever to reach 1/alpha is at most alpha (Ville). The interval for the median
of D inverts the same test (Howard and Ramdas 2022, "Sequential estimation of quantiles with
applications to A/B testing and best-arm identification", for what such sequences are).

Harm that begins late must not be outvoted by the calm before it: the test begins again after each
`ROUND` pairs, and the k-th time may err with alpha * 6 / (pi^2 k^2), which add up to alpha. What is
shown is of the latest `SHOWN` pairs, cut in two: when they are full, the older half is forgotten.
Counterpart: `experiment.harmless`.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass

from sidecar.judge.evidence.mixtures import Side, rate_evidence

ALPHA_PROOF = 0.01  # of ever proving harm that is not there
ALPHA_SHOWN = 0.05  # of the interval that is shown, both sides together
ROUND = 180  # pairs: an hour of periods of 20 s
SHOWN = 4320  # pairs: a day


@dataclass(frozen=True, slots=True)
class Estimate:
    """The median of what is added, in milliseconds, and its interval; None: not known yet."""

    pairs: int
    median_ms: float | None
    low_ms: float | None
    high_ms: float | None


UNKNOWN = Estimate(0, None, None, None)


class Added:
    """Pairs so far."""

    def __init__(self, most_ms: float) -> None:
        """Begin; `most_ms` may be added."""
        self._most_ms = most_ms
        self._round, self._n, self._k = 1, 0, 0
        self._known: Estimate | None = None
        self._latest: list[float] = []  # in the order of time
        self._sorted: list[float] = []

    def add(self, with_ms: float, without_ms: float) -> bool:
        """Count a pair; whether it is proven now that more is added than may be."""
        difference = with_ms - without_ms
        if len(self._latest) >= SHOWN:
            self._latest = self._latest[SHOWN // 2 :]
            self._sorted = sorted(self._latest)
        self._known = None
        self._latest.append(difference)
        insort(self._sorted, difference)
        if self._n >= ROUND:
            self._again()
        self._n += 1
        self._k += difference > self._most_ms
        alpha = ALPHA_PROOF * 6 / (math.pi * self._round) ** 2
        told = float(rate_evidence(self._n, self._k, 0.5, Side.FAIL))
        if told < -math.log(alpha):
            return False
        self._again()
        return True

    def _again(self) -> None:
        self._round, self._n, self._k = self._round + 1, 0, 0

    def estimate(self) -> Estimate:
        """What is added, as far as is known."""
        if self._known is None:
            self._known = self._estimate()
        return self._known

    def _estimate(self) -> Estimate:
        found = self._sorted
        n = len(found)
        if not n:
            return UNKNOWN
        below = _least_proven(n, Side.FAIL)
        low = high = None
        if below is not None:
            # So many of the pairs lie at or above found[n - below]: more than half do, for sure.
            low, high = found[n - below], found[below - 1]
        return Estimate(n, found[n // 2], low, high)


def _least_proven(n: int, side: Side) -> int | None:
    """The smallest k of n that proves a share above one half; None: not even n does."""
    limit = math.log(2 / ALPHA_SHOWN)
    if float(rate_evidence(n, n, 0.5, side)) < limit:
        return None
    low, high = n // 2, n  # the evidence grows with k from one half on
    while high - low > 1:
        middle = (low + high) // 2
        if float(rate_evidence(n, middle, 0.5, side)) >= limit:
            high = middle
        else:
            low = middle
    return high
