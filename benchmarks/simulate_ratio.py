"""Precision on simulated rows, through the judge's own `Blocks`."""

from __future__ import annotations

import numpy as np

from benchmarks.simulate_engine import Looks
from sidecar.judge.criteria.kinds import ANY_CRITERION
from sidecar.judge.evidence.blocks import Blocks

ROWS = 10  # rows a second that either side calls positive
SECOND = 1_000_000_000
EVERY = 60  # seconds between looks


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
    found = np.zeros((2, streams, seconds // EVERY))
    for stream in range(streams):
        blocks = Blocks(claim)
        # both yes and right, both yes and wrong, production alone and right, shadow alone, wrong
        shares = [0.8 - lost, 0.2, lost, lost]
        rows = rng.multinomial(ROWS, np.array(shares) / sum(shares), seconds)
        names = {"both right": (1, 1, 1), "both wrong": (1, 1, 0), "ours": (1, 0, 1),
                 "theirs": (0, 1, 0)}  # fmt: skip
        order = [(a, b, y) for a in (0, 1) for b in (0, 1) for y in (0, 1)][1:]
        at = [1 + order.index(key) for key in names.values()]
        for second in range(seconds):
            sums = [0.0] * 8
            for place, n in zip(at, rows[second].tolist(), strict=True):
                sums[place] = float(n)
            blocks.add(second * SECOND, float(ROWS), sums)
            if (second + 1) % EVERY == 0:
                blocks.advance((second + 1) * SECOND)
                one = blocks.evidence()
                look = second // EVERY
                found[0, stream, look], found[1, stream, look] = one.log_pass, one.log_fail
    return Looks(found[0], found[1])
