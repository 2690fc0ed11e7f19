"""Many streams through the formulas of `sidecar.judge.evidence`, looked at after each block.

Rule: nothing is copied. What a block is worth, how likeness is measured, which length is chosen and
what it pays are the judge's own functions, applied to arrays with a stream in each row;
`tests/judge/test_simulation.py` holds this against `Blocks`, block by block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from sidecar.judge.evidence.bets import shifted
from sidecar.judge.evidence.betting import BETS, bets, excess, log_payoffs, rescaled
from sidecar.judge.evidence.blocks import shares_of
from sidecar.judge.evidence.level import DAY
from sidecar.judge.evidence.likeness import (
    LENGTHS,
    UNSEEN_SECONDS,
    choose,
    first_for,
    pair_sums,
    state,
)
from sidecar.judge.evidence.mean_bets import MeanBets
from sidecar.judge.evidence.mixtures import Floats, Side, logmeanexp, rate_evidence

CHUNK = 200_000  # blocks of all streams worked on at once


@dataclass(frozen=True, slots=True)
class Streams:
    """Sums of base blocks, shape (streams, blocks)."""

    n: Floats
    worst: Floats  # sum of scores, what is missing at its worst: for PASS
    best: Floats
    seconds: float = 1.0  # a base block


@dataclass(frozen=True, slots=True)
class Looks:
    """ln E at every look, one after each base block, shape (streams, blocks)."""

    log_pass: Floats
    log_fail: Floats

    def first(self, side: Side, limit: float) -> Floats:
        """The first look at which a limit is reached, from 1; infinity where never."""
        logs = self.log_pass if side is Side.PASS else self.log_fail
        crossed = logs >= limit
        return np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1.0, np.inf)


def _summed(x: Floats, step: int) -> Floats:
    whole = x.shape[1] // step * step
    return np.asarray(x[:, :whole].reshape(x.shape[0], -1, step).sum(axis=2))


def _spread(x: Floats, step: int, looks: int, before: float) -> Floats:
    """What was known at each base block: a longer one tells nothing before it has closed."""
    known = np.full((x.shape[0], looks), before)
    late = np.repeat(x, step, axis=1)[:, : looks - step + 1]
    known[:, step - 1 : step - 1 + late.shape[1]] = late
    return known


def _bet(n: Floats, k: Floats, claim: MeanBets, side: Side, seconds: float) -> Floats:
    """ln E after each block, as `MeanBets.evidence` has it."""
    low, high = claim.low, claim.high
    day = round(DAY / seconds)

    def wealth(margin: float) -> tuple[Floats, Floats]:
        """Now, and at the end of the last day that is over."""
        cap = np.maximum.accumulate(n, axis=1)
        payoffs = log_payoffs(excess(n, k, cap, margin, low, high), bets(margin, low, high, side))
        grown = np.flatnonzero((cap[:, 1:] > cap[:, :-1]).any(axis=0)) + 1
        days = range(day, n.shape[1], day)
        edges = sorted({0, *grown.tolist(), *days, n.shape[1]})
        now, ends = np.empty(n.shape), np.zeros(n.shape)
        logs, held = np.zeros((2, len(n), BETS))
        for begin, end in pairwise(edges):
            if begin in days:  # it is known with the first block of the next day
                held = logs
            if begin:
                before, after = cap[:, begin - 1], cap[:, begin]
                factor = np.where(before > 0, before / np.maximum(after, 1e-300), 1.0)
                logs, held = rescaled(logs, factor), rescaled(held, factor)
            path = logs[:, None] + np.cumsum(payoffs[:, begin:end], axis=1)
            now[:, begin:end], ends[:, begin:end] = logmeanexp(path), logmeanexp(held)[:, None]
            logs = path[:, -1]
        return now, ends

    moment, _ = wealth(shifted(claim.margin, low, high, claim.swing)[side is Side.FAIL])
    if claim.swing == 1:
        return moment
    if n.shape[1] <= day:  # no day is over
        return np.asarray(np.logaddexp(moment, 0.0) - math.log(2))
    _, whole = wealth(claim.margin)
    return np.asarray(np.logaddexp(moment, whole) - math.log(2))


def at_length(streams: Streams, step: int, claim: MeanBets) -> tuple[Looks, Floats]:
    """Evidence and likeness from blocks of so many base blocks, as known at every look."""
    looks = streams.n.shape[1]
    n, worst, best = (_summed(x, step) for x in (streams.n, streams.worst, streams.best))
    if not n.shape[1]:
        nothing = np.zeros_like(streams.n)
        return Looks(nothing, nothing), np.full_like(streams.n, np.nan)
    means = (worst + best) / 2 / np.maximum(n, 1e-300)
    sums = np.zeros((*n.shape, 7))
    if n.shape[1] > 1:
        sums[:, 1:] = np.cumsum(pair_sums(means, n > 0), axis=1)
    seconds = step * streams.seconds
    return (
        Looks(
            _spread(_bet(n, worst, claim, Side.PASS, seconds), step, looks, 0.0)
            if first_for(Side.PASS, [seconds, UNSEEN_SECONDS]) == 0
            else np.full_like(streams.n, -np.inf),
            _spread(_bet(n, best, claim, Side.FAIL, seconds), step, looks, 0.0),
        ),
        _spread(state(sums), step, looks, math.nan),
    )


def look(streams: Streams, claim: MeanBets) -> Looks:
    """Evidence with the block length chosen at every look, as `Blocks.evidence` has it."""
    rows = max(1, CHUNK // streams.n.shape[1])
    parts = [
        _look(
            replace(
                streams,
                n=streams.n[i : i + rows],
                worst=streams.worst[i : i + rows],
                best=streams.best[i : i + rows],
            ),
            claim,
        )
        for i in range(0, len(streams.n), rows)
    ]
    return Looks(
        np.concatenate([p.log_pass for p in parts]), np.concatenate([p.log_fail for p in parts])
    )


def lengths_of(streams: Streams) -> list[float]:
    """The judge's lengths, from that of a base block on."""
    return [length for length in LENGTHS if length >= streams.seconds]


def _look(streams: Streams, claim: MeanBets) -> Looks:
    lengths = lengths_of(streams)
    steps = [round(length / streams.seconds) for length in lengths]
    levels = [at_length(streams, step, claim) for step in steps]
    chosen = choose(np.stack([states for _, states in levels], axis=-1), lengths, UNSEEN_SECONDS)
    firsts = {side: first_for(side, lengths) for side in Side}
    shares = {s: [0.0] * i + list(shares_of(len(lengths) - i)) for s, i in firsts.items()}
    best = {side: np.full(streams.n.shape, -np.inf) for side in Side}
    for i, (looks, _) in enumerate(levels):
        for side, logs in ((Side.PASS, looks.log_pass), (Side.FAIL, looks.log_fail)):
            if i < firsts[side]:
                continue
            paid = np.where(chosen <= i, logs + math.log(shares[side][i]), -np.inf)
            best[side] = np.maximum(best[side], paid)
    return Looks(best[Side.PASS], best[Side.FAIL])


def look_at_calls(streams: Streams, margin: float) -> Looks:
    """Evidence as if every call were independent of every other: what it was before."""
    found = np.empty((2, *streams.n.shape))
    for i, n in enumerate(np.cumsum(streams.n, axis=1)):  # one by one: each makes 32 times as much
        found[0, i] = rate_evidence(n, np.cumsum(streams.worst[i]), margin, Side.PASS)
        found[1, i] = rate_evidence(n, np.cumsum(streams.best[i]), margin, Side.FAIL)
    return Looks(found[0], found[1])
