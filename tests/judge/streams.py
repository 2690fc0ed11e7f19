"""Simulated streams of calls, looked at after every call.

Looking after every call is exact without computing every look: at a fixed number of events,
evidence for PASS only grows with each uneventful call, and evidence for FAIL only shrinks. So the
highest PASS evidence of a stream is just before an event or at the end, the highest FAIL evidence
just after an event.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sidecar.judge.evidence.mixtures import Side, rate_evidence


def rate_crossings(
    rng: np.random.Generator, streams: int, calls: int, rate: float, margin: float, limit: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The call at which each stream's evidence first reached the limit; infinity if it never did.

    Returns:
        First crossings for PASS and for FAIL, shape (streams,).
    """
    first = np.full((2, streams), np.inf)
    for s in range(streams):
        events = np.flatnonzero(rng.random(calls) < rate) + 1
        k = np.arange(events.size + 1)
        before = np.append(events - 1, calls)  # calls just before each event, and at the end
        fail = rate_evidence(events, k[1:], margin, Side.FAIL) >= limit
        if fail.any():
            first[1, s] = events[np.argmax(fail)]
        passed = rate_evidence(before, k, margin, Side.PASS) >= limit
        if passed.any():
            first[0, s] = _first_look(
                int(before[np.argmax(passed)]), int(np.argmax(passed)), margin, limit
            )
    return first[0], first[1]


def _first_look(last: int, k: int, margin: float, limit: float) -> int:
    """The first number of calls at which k events are few enough."""
    n = np.arange(k, last + 1)
    return int(n[np.argmax(rate_evidence(n, np.full(n.size, k), margin, Side.PASS) >= limit)])


def bound(alpha: float, streams: int) -> float:
    """alpha and three standard errors: what a share of false verdicts may be by chance."""
    return float(alpha + 3 * np.sqrt(alpha * (1 - alpha) / streams))
