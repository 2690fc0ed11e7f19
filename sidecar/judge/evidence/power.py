"""How long it takes to decide: the growth of evidence, at a true effect that is assumed. Pure.

Rule: in blocks of length L whose means have a known distribution each bet grows by E[ln(1 + l z)] a
block; the time is the first at which the mixture of all bets reaches the threshold, its share of
alpha paid. It is the time of a typical stream, without the luck of a single one: half of them take
longer. Calls are taken as independent here; bursts ask for longer blocks and more time.
Counterparts: `blocks`, whose evidence it is about; `benchmarks/simulation.md`, which measures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Protocol

import numpy as np

from sidecar.judge.evidence.bets import shifted
from sidecar.judge.evidence.betting import bets, log_payoffs
from sidecar.judge.evidence.blocks import Blocks, shares_of
from sidecar.judge.evidence.level import DAY
from sidecar.judge.evidence.likeness import LENGTHS, MIN_PAIRS, UNSEEN_SECONDS, first_for
from sidecar.judge.evidence.mean_bets import MeanBets
from sidecar.judge.evidence.mixtures import Floats, Side, logmeanexp, threshold
from sidecar.judge.evidence.ratio_bets import RatioBets

MEASURED_SECONDS = 10.0  # the length at which likeness is measured before it is decided
LONGEST = 400 * DAY
MOST_EVENTS = 5000  # calls in a block, beyond which a rate's mean is nearly normal


def seconds_until(
    claim: MeanBets,
    side: Side,
    mean: float,
    spread: float,
    calls_per_second: float,
    alpha: float,
    lengths: Sequence[float] = LENGTHS,
) -> float | None:
    """The time until a claim is made.

    Args:
        claim: with its margin, range and swing.
        side: PASS or FAIL.
        mean: the true mean of a call's score.
        spread: its standard deviation.
        calls_per_second: that are compared.
        alpha: the error that the claim may make.
        lengths: of blocks.

    Returns:
        Seconds; None when it takes more than `LONGEST`.
    """
    first = first_for(side, lengths)
    shares = shares_of(len(lengths) - first)
    times = []
    for length, share in zip(lengths[first:], shares, strict=True):
        if spread <= 0 and length < UNSEEN_SECONDS:
            continue  # nothing varies, so bursts of a minute are assumed
        calls = calls_per_second * length
        if calls < 1:
            continue
        need = threshold(alpha) - math.log(share) + (math.log(2) if claim.swing > 1 else 0.0)
        moved = shifted(claim.margin, claim.low, claim.high, claim.swing)[side is Side.FAIL]
        values, weights = _means(claim, mean, spread, calls)
        blocks = _blocks(_growth(claim, moved, side, values, weights), need)
        if blocks is not None:
            times.append(blocks * length)
        if claim.swing > 1:
            exact = _growth(claim, claim.margin, side, values, weights)
            blocks = _blocks(exact, need)
            if blocks is not None:
                times.append(math.ceil(blocks * length / DAY) * DAY + length)
    if not times or min(times) > LONGEST:
        return None
    least = 0.0 if spread <= 0 else (MIN_PAIRS + 1) * min(MEASURED_SECONDS, lengths[-1])
    return max(min(times), least)


def seconds_left(
    blocks: Blocks, side: Side, mean: float, spread: float, calls_per_second: float, limit: float
) -> float | None:
    """The time until a claim is made that has evidence already.

    Args:
        blocks: of one claim about a mean.
        side: PASS or FAIL.
        mean: what a call's score will be on average.
        spread: its standard deviation.
        calls_per_second: that will be compared.
        limit: the ln E at which it is made.

    Returns:
        Seconds from now; None when it takes more than `LONGEST`.
    """
    claim = blocks.bets
    assert isinstance(claim, MeanBets)

    def more(i: int, need: float, *, moved: bool) -> float | None:
        # Two digits, so that what is known of so many is kept.
        calls = float(f"{calls_per_second * blocks.lengths[i]:.1e}")
        ends = shifted(claim.margin, claim.low, claim.high, claim.swing)
        margin = ends[side is Side.FAIL] if moved else claim.margin
        values, weights = _means(claim, mean, spread, calls)
        logs = claim.wealth_of(blocks.level(blocks.lengths[i]).sums.vector, side, moved=moved)
        return _blocks(_growth(claim, margin, side, values, weights), need, logs)

    return _left(blocks, side, calls_per_second, limit, more, few=spread > 0)


def seconds_left_of_ratio(
    blocks: Blocks, side: Side, nearer: float, calls_per_second: float, limit: float
) -> float | None:
    """The same for a difference of two ratios, if rows of each kind go on to come as they did.

    Args:
        blocks: of one claim about a difference of ratios, some of them closed at `expected`.
        side: PASS or FAIL.
        nearer: how much nearer above the present effect the margin is taken to be: another effect,
            of what has been seen too.
        calls_per_second: that will be compared.
        limit: the ln E at which it is made.

    Returns:
        Seconds from now; None when it takes more than `LONGEST`.
    """
    claim = blocks.bets
    assert isinstance(claim, RatioBets)
    known = blocks.level(blocks.lengths[blocks.expected])

    def more(i: int, need: float, *, moved: bool) -> float | None:
        length = blocks.lengths[i]
        vector = blocks.level(length).sums.vector
        one = claim.one_more(known.sums.vector, max(1.0, length / known.seconds))

        def decides(x: float) -> bool:
            return claim.worth(vector + x * one, side, nearer, moved=moved) >= need

        low, high = 1.0, LONGEST / length
        if not decides(high):
            return None
        while high > 1.02 * low:
            middle = math.sqrt(low * high)
            low, high = (low, middle) if decides(middle) else (middle, high)
        return math.ceil(high)

    return _left(blocks, side, calls_per_second, limit, more, few=True)


class _More(Protocol):
    """How many more blocks of a length until a claim is worth what it needs; None: too many."""

    def __call__(self, i: int, need: float, *, moved: bool) -> float | None: ...


def _left(
    blocks: Blocks, side: Side, calls_per_second: float, limit: float, more: _More, *, few: bool
) -> float | None:
    """The soonest over the lengths; `few`: not before likeness can be measured."""
    swing = blocks.bets.swing
    first = first_for(side, blocks.lengths, blocks.unseen_seconds)
    shares = [0.0] * first + list(shares_of(len(blocks.lengths) - first))
    times = []
    for i in range(max(first, blocks.expected), len(blocks.lengths)):
        length = blocks.lengths[i]
        if calls_per_second * length < 1:
            continue
        need = limit - math.log(shares[i]) + (math.log(2) if swing > 1 else 0.0)
        found = more(i, need, moved=True)
        if found is not None:
            times.append(found * length)
        if swing > 1:
            found = more(i, need, moved=False)
            if found is not None:  # it counts when the day is over in which it is reached
                begun = (blocks.level(length).blocks * length) % DAY
                times.append(math.ceil((begun + found * length) / DAY) * DAY - begun)
    if not times or min(times) > LONGEST:
        return None
    measured = min(MEASURED_SECONDS, blocks.lengths[-1])
    left = MIN_PAIRS + 1 - blocks.blocks(measured) if measured in blocks.lengths else 0
    return max(min(times), left * measured if few else 0.0)


@cache
def _nodes() -> tuple[Floats, Floats]:
    """Where a standard normal is looked at, and how much each place weighs."""
    return np.polynomial.hermite_e.hermegauss(21)


def _means(claim: MeanBets, mean: float, spread: float, calls: float) -> tuple[Floats, Floats]:
    """Block means and how likely each is: binomial for events, else nearly normal."""
    n = round(calls)
    events = (claim.low, claim.high) == (0.0, 1.0) and math.isclose(
        spread, spread_of_rate(mean), rel_tol=0.01
    )
    if not events or n > MOST_EVENTS or not 0 < mean < 1:
        nodes, weights = _nodes()
        values = np.clip(mean + spread / math.sqrt(calls) * nodes, claim.low, claim.high)
        weights = weights / weights.sum()
        return _with_mean(claim, mean, values, float(weights @ values)), weights
    k = np.arange(n + 1)
    weights = np.exp(_choices(n) + k * math.log(mean) + (n - k) * math.log1p(-mean))
    return k / n, weights / weights.sum()


def _with_mean(claim: MeanBets, mean: float, values: Floats, found: float) -> Floats:
    """Values with their mean moved to what it was before they were cut off at the range's ends."""
    if found > mean > claim.low:
        return claim.low + (values - claim.low) * ((mean - claim.low) / (found - claim.low))
    if found < mean < claim.high:
        return claim.high - (claim.high - values) * ((claim.high - mean) / (claim.high - found))
    return values


@lru_cache(maxsize=64)
def _choices(n: int) -> Floats:
    """ln of n over k, for every k."""
    return np.array(
        [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)]
    )


def _growth(claim: MeanBets, margin: float, side: Side, values: Floats, weights: Floats) -> Floats:
    """What each bet gains a block, on average."""
    logs = log_payoffs(values - margin, bets(margin, claim.low, claim.high, side))
    return np.asarray(weights @ logs)


def _blocks(growth: Floats, need: float, logs: Floats | float = 0.0) -> float | None:
    """So many more blocks until bets that are worth `logs` by now are worth what is needed."""
    if growth.max() <= 1e-12:
        return None
    best = int(np.argmax(growth))
    behind = float(np.broadcast_to(logs, growth.shape)[best])
    low, high = 0.0, max(0.0, need + math.log(growth.size) - behind) / float(growth[best])
    for _ in range(40):
        middle = (low + high) / 2
        if float(logmeanexp(logs + growth * middle)) >= need:
            high = middle
        else:
            low = middle
    return math.ceil(high)


def spread_of_rate(rate: float) -> float:
    """The standard deviation of a score that is 0 or 1."""
    return math.sqrt(max(0.0, rate * (1 - rate)))
