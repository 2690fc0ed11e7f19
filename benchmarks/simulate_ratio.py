"""Precision on simulated rows, through the judge's own `Blocks`."""

from __future__ import annotations

import numpy as np

from benchmarks.simulate_engine import Looks
from sidecar.judge.criteria.kinds import ANY_CRITERION
from sidecar.judge.evidence.blocks import Blocks

ROWS = 10  # rows a second that either side calls positive
TENTH = 100_000_000  # nanoseconds
EVERY = 600  # tenths of a second between looks


def looks_at_precision(
    rng: np.random.Generator, streams: int, seconds: int, margin: float, lost: float
) -> Looks:
    """Production is right in 80 % of what it calls positive, the shadow in so much less.

    Both say yes to the same rows but for those in which the shadow trades a right one for a wrong
    one, so that its precision is `lost` below production's.

    Returns:
        Evidence after every minute.
    """
    criterion = ANY_CRITERION.validate_python(
        {
            "name": "p",
            "kind": "precision",
            "margin": margin,
            "labels": "sample",
            "decision": {"threshold": 0.5},
        }
    )
    claim = criterion.claims(criterion.plan())[0]
    tenths = 10 * seconds
    found = np.zeros((2, streams, tenths // EVERY))
    for stream in range(streams):
        blocks = Blocks(claim)
        # both yes and right, both yes and wrong, production alone and right, shadow alone, wrong
        shares = [0.8 - lost, 0.2, lost, lost]
        came = rng.poisson(ROWS / 10, tenths)
        rows = rng.multinomial(came, np.array(shares) / sum(shares))
        names = {"both right": (1, 1, 1), "both wrong": (1, 1, 0), "ours": (1, 0, 1),
                 "theirs": (0, 1, 0)}  # fmt: skip
        order = [(a, b, y) for a in (0, 1) for b in (0, 1) for y in (0, 1)][1:]
        at = [1 + order.index(key) for key in names.values()]
        for tenth, calls in enumerate(came.tolist()):
            sums = [0.0] * 8
            for place, n in zip(at, rows[tenth].tolist(), strict=True):
                sums[place] = float(n)
            if calls:
                blocks.add(tenth * TENTH, float(calls), sums)
            if (tenth + 1) % EVERY == 0:
                blocks.advance((tenth + 1) * TENTH)
                one = blocks.evidence()
                look = tenth // EVERY
                found[0, stream, look], found[1, stream, look] = one.log_pass, one.log_fail
    return Looks(found[0], found[1])
