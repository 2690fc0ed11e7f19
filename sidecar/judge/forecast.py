"""How long until a decision, if things go on as they are: with what is not known of that told too.

Rule: the present effect, its spread from block to block and the present rate of calls are taken for
the truth, and what the evidence is worth by now is where it goes on from; so it is a guess about
the future and nothing decides by it. Its uncertainty is that of the effect: the time at either end
of the 80 % interval around it (a normal one, of one look). Pure; called when a report is made, not
for a call. Counterparts: `evidence.power`, which computes; `plan`, which asks before one begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sidecar.judge.basis import blocks_of
from sidecar.judge.counts import Total
from sidecar.judge.criteria.base import Plan
from sidecar.judge.criterion_verdicts import limits_of
from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.evidence.level import Level
from sidecar.judge.evidence.mean_bets import MeanBets
from sidecar.judge.evidence.mixtures import Side
from sidecar.judge.evidence.power import seconds_left, seconds_left_of_ratio
from sidecar.judge.evidence.ratio_bets import RatioBets
from sidecar.judge.report import State, Verdict
from sidecar.judge.settings import JudgeSettings
from sidecar.judge.verdict import spent

LEAST_BLOCKS = 5  # of the length that is expected to decide; with fewer, nothing is said
ENDS = 1.2816  # standard errors: 10 % lie beyond either

_Limits: TypeAlias = Mapping[Side, float]
_Outlook: TypeAlias = tuple[float, float, Callable[[Side, float], float | None]]
"""The present effect, half the width of the interval around it, and the time at an effect."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a criterion will be decided, at the effect that it shows now."""

    criterion: str
    verdict: str  # "PASS" or "FAIL"; empty: neither within 400 days, or on the margin
    seconds: float | None  # from now; None: not within 400 days
    calls: float | None  # that will be compared until then
    soonest_seconds: float | None  # at the ends of the effect's 80 % interval
    latest_seconds: float | None  # None: at one end it takes more than 400 days
    effect: float  # of the present, in the margin's unit, and the ends
    effect_low: float
    effect_high: float
    may_be_either: bool  # the margin lies between the ends


def forecasts(
    settings: JudgeSettings, plans: Sequence[Plan], total: Total, verdict: Verdict
) -> tuple[Forecast, ...]:
    """One for each criterion that is undecided and has enough blocks, in their order.

    Args:
        settings: what was declared.
        plans: the criteria.
        total: the counts.
        verdict: on them.
    """
    settings = spent(settings, total.attempt)
    elapsed = total.elapsed_ns / 1e9
    undecided = {c.name for c in verdict.criteria if c.state is State.WATCHING and c.n > 0}
    if elapsed <= 0 or verdict.state in {State.PASS, State.FAIL}:
        return ()
    found = []
    for plan in plans:
        blocks = blocks_of(settings, total, plan)
        if plan.criterion.name in undecided and blocks:
            one = _forecast(settings, plan, blocks, elapsed)
            if one is not None:
                found.append(one)
    return tuple(found)


def _forecast(
    settings: JudgeSettings, plan: Plan, blocks: Sequence[Blocks], elapsed: float
) -> Forecast | None:
    criterion = plan.criterion
    ends = [one.estimates for one in blocks]
    if not all(ends):
        return None
    # Of two claims (two-sided) the one that things lie closer to.
    at = max(range(len(blocks)), key=lambda i: sum(ends[i] or (0.0, 0.0)))
    chosen, claim = blocks[at], blocks[at].bets
    n, length = chosen.calls, chosen.levels[chosen.expected]
    if length.blocks < LEAST_BLOCKS or n <= 0:
        return None
    limit, rate = limits_of(settings, criterion), n / elapsed
    if isinstance(claim, MeanBets):
        mean, error, decided = _of_mean(chosen, claim, ends[at] or (0.0, 0.0), rate, limit)
    elif isinstance(claim, RatioBets) and (found := claim.effect(length.sums.vector)):
        mean, error, decided = _of_ratio(chosen, found, rate, limit)
    else:
        return None  # nothing was counted that the figure is about

    def left(effect: float) -> tuple[Side, float | None]:
        side = Side.PASS if effect < claim.margin else Side.FAIL
        seconds = decided(side, effect)
        if seconds is not None and side is Side.PASS:
            wanted = max(0, settings.min_blocks - length.blocks) * length.seconds
            seconds = max(seconds, wanted, settings.min_duration_seconds - elapsed)
        return side, seconds

    low, high = mean - error, mean + error
    side, seconds = left(mean)
    others = [left(end)[1] for end in (low, high)]
    known = [s for s in (*others, seconds) if s is not None]
    sign = -1.0 if criterion.is_downward or (at == 1 and criterion.is_two_sided) else 1.0
    around = sorted((sign * low, sign * high))
    return Forecast(
        criterion=criterion.name,
        verdict="" if seconds is None else side.upper(),
        seconds=seconds,
        calls=None if seconds is None else seconds * rate,
        soonest_seconds=min(known, default=None),
        latest_seconds=None if len(known) < len(others) + 1 else max(known),
        effect=sign * mean,
        effect_low=around[0],
        effect_high=around[1],
        may_be_either=low < claim.margin < high,
    )


def _of_mean(
    blocks: Blocks, claim: MeanBets, ends: tuple[float, float], rate: float, limit: _Limits
) -> _Outlook:
    n, spread = blocks.calls, _spread(blocks.levels[blocks.expected])
    error = ENDS * spread / math.sqrt(n)
    if spread <= 0:
        error = min((claim.high - claim.low) / n, ENDS)  # nothing differed: one call more might

    def decided(side: Side, effect: float) -> float | None:
        within = min(max(effect, claim.low), claim.high)
        return seconds_left(blocks, side, within, spread, rate, limit[side])

    return (ends[0] + ends[1]) / 2, error, decided


def _of_ratio(blocks: Blocks, found: tuple[float, float], rate: float, limit: _Limits) -> _Outlook:
    mean, error = found
    # Nothing differed: one call more might.
    error = ENDS * error if error > 0 else min(1.0 / blocks.calls, ENDS)

    def decided(side: Side, effect: float) -> float | None:
        return seconds_left_of_ratio(blocks, side, effect - mean, rate, limit[side])

    return mean, error, decided


def _spread(level: Level) -> float:
    """Standard deviation of a call's score, with what makes calls of a block alike in it."""
    _, n, nn, kn, kk = level.sizes
    if n <= 0 or nn <= 0:
        return 0.0
    mean = kn / nn
    return math.sqrt(max(0.0, kk - 2 * mean * kn + mean * mean * nn) / n)


def overall(found: Sequence[Forecast], verdict: Verdict) -> Forecast | None:
    """The one that the whole verdict waits for: the first FAIL, else the last PASS.

    None when nothing is required, or one required criterion has no forecast, or never ends.
    """
    by_name = {one.criterion: one for one in found}
    waiting = [c for c in verdict.criteria if c.required and c.state is State.WATCHING]
    mine = [by_name.get(c.name) for c in waiting]
    fails = [one for one in mine if one is not None and one.verdict == "FAIL"]
    if fails:
        return min(fails, key=lambda one: one.seconds or 0.0)
    passes = [one for one in mine if one is not None and one.verdict == "PASS"]
    if not passes or len(passes) < len(mine):
        return None
    return max(passes, key=lambda one: one.seconds or 0.0)
