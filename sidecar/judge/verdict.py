"""The verdict: PASS, FAIL, WATCHING or INCONCLUSIVE, always with its reason.

Rules
    1. No data is never PASS.
    2. PASS when every required criterion passes, each with error alpha/2 (intersection-union: no
       correction), on enough coverage, calls and time. Without a required criterion there is none.
    3. FAIL when the weighted mean of the required criteria's evidence against the shadow reaches
       its threshold; harm needs no minimum time. Where slices may fail a shadow, half the error
       is theirs.
    4. Coverage below the floor decides nothing: INCONCLUSIVE until it recovers. One exception: a
       shadow's errors open its breaker, which lowers coverage; so their evidence stands.
    5. FAIL latches; PASS stands until harm that begins later is seen (`latches`). A required
       criterion's PASS stands only from the whole PASS on, so that all hold at one look; and none
       passes while its figure is beyond its margin.
    6. When the budget of calls or time is used up undecided, INCONCLUSIVE, and that stands too.

    7. Evidence is that of blocks of wall-clock time, because calls near each other are alike
       (`basis`); calls that were lost count at their worst for PASS, at their best for FAIL.

Pure: the same function judges one pod's counts and those of many, merged. Counterparts: `counts`,
which it reads, `report`, which holds what it says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from sidecar.judge.basis import HOURS, seen
from sidecar.judge.contradictions import contradicted
from sidecar.judge.controls import broke_later, noisy
from sidecar.judge.counts import Coverage, Total
from sidecar.judge.criteria.base import Plan
from sidecar.judge.criterion_verdicts import criterion_verdict, is_sliced, standing
from sidecar.judge.evidence.attempts import alpha_of_attempt
from sidecar.judge.evidence.mixtures import average, threshold
from sidecar.judge.latches import Latches, begin_watch, harm, moment, uncovered
from sidecar.judge.number import number
from sidecar.judge.report import CriterionVerdict, SliceVerdict, State, Verdict
from sidecar.judge.settings import JudgeSettings
from sidecar.judge.slice_verdicts import (
    SLICE_SHARE,
    not_shown,
    shown_of,
    slices_of,
    some_of,
    worse_words,
)
from sidecar.judge.slice_watch import harm_in_slices


def plans_of(settings: JudgeSettings, control_fraction: float = 0.0) -> tuple[Plan, ...]:
    """Prepare every criterion."""
    # Both latencies are of the same calls, so that an hour's load is in both.
    return tuple(
        replace(c.plan(control_fraction), swing=1.0 if c.measures_latency else settings.swing)
        for c in settings.criteria
    )


def decide(
    settings: JudgeSettings, plans: Sequence[Plan], total: Total, latches: Latches | None = None
) -> Verdict:
    """Judge what has been counted.

    Args:
        settings: what was declared.
        plans: its criteria, from `plans_of`.
        total: the counts.
        latches: decisions that stand; changed in place. None judges this moment alone.
    """
    latches = Latches() if latches is None else latches
    settings = spent(settings, total.attempt)
    covered = _is_covered(settings, total)
    criteria = [criterion_verdict(settings, plan, total, latches, covered) for plan in plans]
    passed = latches.overall is not None and latches.overall[0] is State.PASS
    in_slice = harm_in_slices(settings, plans, total, latches) if passed else None
    slices = slices_of(settings, plans, total, latches)
    decision, reason = latches.overall or _overall(settings, plans, criteria, slices, total)
    if latches.overall is not None and decision is State.PASS:
        later = harm(latches, plans, total, settings.labels.delay_seconds)
        if settings.flagged == "fail":
            later = later or in_slice
        later = later or _since(settings, plans, criteria, slices, latches)
        if later is not None:
            decision, reason = State.FAIL, later
            latches.criteria |= {
                c.name: c.state for c in criteria if c.required and c.state is State.FAIL
            }
            criteria = [replace(c, state=latches.criteria.get(c.name, c.state)) for c in criteria]
            latches.slice_watches.clear()
    ended = _is_spent(settings, total)
    if ended and decision in {State.WATCHING, State.INCONCLUSIVE} and latches.overall is None:
        decision, reason = State.INCONCLUSIVE, f"the budget is used up: {reason}"
    if decision in {State.PASS, State.FAIL} or ended:
        if latches.overall is None:
            latches.decided_unix_ns = total.unix_ns
            if decision is State.PASS:
                begin_watch(latches, plans, total, settings.alpha)
                criteria = [standing(c, total, latches) for c in criteria]
        latches.overall = (decision, reason)
    if decision is State.PASS:
        nothing = silent(settings, plans, total, latches)
        nothing = nothing or contradicted(plans, criteria, total) or in_slice
        worse = [s for s in slices if s.flagged and s.required]
        if worse and settings.flagged == "hold":
            passing = f"passed at {moment(latches.decided_unix_ns)}, since then"
            nothing = nothing or f"{passing} {worse_words(plans, worse)}"
        if nothing is not None:  # it holds, and says nothing of now
            decision, reason = State.INCONCLUSIVE, nothing
    return Verdict(
        state=decision,
        reason=reason + _unread(total.coverage),
        ended=ended,
        calls=total.calls,
        coverage=total.coverage.share,
        elapsed_seconds=total.elapsed_ns / 1e9,
        criteria=tuple(criteria),
        slices=shown_of(settings, plans, total, slices),
        models=dict(total.models),
        events=dict(total.events),
        judges=total.judges,
        left_out=total.left_out,
        blind=total.coverage.blind,
        lost=dict(total.lost),
        distinct_inputs=total.inputs.effective,
        hours_of_day=seen(total)[0],
        days_of_week=seen(total)[1],
    )


def silent(
    settings: JudgeSettings, plans: Sequence[Plan], total: Total, latches: Latches
) -> str | None:
    """Why a PASS that stands says nothing of the calls that come now; None where it does.

    Arguments as of `decide`. To be asked at each look after a PASS, for it notes how far it looked.
    """
    thin = uncovered(latches, total.coverage, settings.coverage_floor, settings.min_calls)
    return broke_later(settings, plans, total, latches) if thin is None else thin


def _since(
    settings: JudgeSettings,
    plans: Sequence[Plan],
    criteria: Sequence[CriterionVerdict],
    slices: Sequence[SliceVerdict],
    latches: Latches,
) -> str | None:
    """Why a PASS no longer stands: what all calls together say by now; None while it does."""
    passed = f"passed at {moment(latches.decided_unix_ns)}, since then"
    for criterion in criteria:
        # Whatever was lost counted at its best, so coverage is not asked.
        if criterion.required and criterion.state is State.FAIL:
            return f"{passed} {criterion.name}: {criterion.reason}"
    worse = [s for s in slices if s.flagged and s.required]
    if worse and settings.flagged == "fail":
        return f"{passed} {worse_words(plans, worse)}"
    return None


def spent(settings: JudgeSettings, attempt: int) -> JudgeSettings:
    """The settings with the share of alpha that an attempt may spend; all of it if none count."""
    if not attempt:
        return settings
    return settings.model_copy(update={"alpha": alpha_of_attempt(settings.alpha, attempt)})


def few_keys_of(settings: JudgeSettings, of_few: int, calls: int) -> str:
    """Why nothing follows for keys that were left out before; empty: most calls are of others.

    Args:
        settings: what was declared.
        of_few: calls of sticky keys (`sample.key`) that were too few for those left out.
        calls: all that were compared.
    """
    if of_few <= (1 - settings.coverage_floor) * calls:
        return ""
    return (
        f"{of_few:,} of {calls:,} calls were sampled by a key (sample.key) when too few keys were, "
        "and others left out; `shadow-sidecar experiment reset` begins anew"
    )


def _is_covered(settings: JudgeSettings, total: Total) -> bool:
    share = total.coverage.share
    return share is not None and share >= settings.coverage_floor


def _unread(coverage: Coverage) -> str:
    """What a reason has to say of traffic that could not be read, where that was most of it."""
    if coverage.unreadable * 2 <= coverage.bytes:
        return ""
    share = coverage.unreadable / coverage.bytes
    return f"; {share:.0%} of the bytes came on connections that are not HTTP/2 without TLS"


def _is_spent(settings: JudgeSettings, total: Total) -> bool:
    longest, most = settings.max_duration_seconds, settings.max_calls
    return (longest is not None and total.elapsed_ns >= longest * 1e9) or (
        most is not None and total.calls >= most
    )


def _overall(
    settings: JudgeSettings,
    plans: Sequence[Plan],
    criteria: Sequence[CriterionVerdict],
    slices: Sequence[SliceVerdict],
    total: Total,
) -> tuple[State, str]:
    required = [c for c in criteria if c.required]
    covered = _is_covered(settings, total)
    fails = settings.flagged == "fail"
    worse = [s for s in slices if s.flagged and s.required]
    alpha = settings.alpha / 2 * (1 - SLICE_SHARE if is_sliced(settings) else 1)
    against = average(
        [c.log_fail if covered or c.of_failures else -math.inf for c in required],
        [c.weight for c in required],
    )
    if required and against >= threshold(alpha):
        worst = max(required, key=lambda c: c.log_fail)
        return State.FAIL, f"{worst.name}: {worst.reason}"
    if total.coverage.share is None:
        return State.WATCHING, "no call has been compared yet"
    if not covered and total.coverage.eligible >= settings.min_calls:
        return State.INCONCLUSIVE, _uncovered(settings, total)
    if total.calls < settings.min_calls:
        return State.WATCHING, f"{total.calls:,} of at least {settings.min_calls:,} calls"
    if not covered:
        return State.INCONCLUSIVE, _uncovered(settings, total)
    if fails and worse:
        return State.FAIL, worse_words(plans, worse)
    if not required:
        return State.WATCHING, "no criterion is required, so nothing can pass"
    waiting = [c for c in required if c.state is not State.PASS]
    if waiting:
        first = max(waiting, key=_distance)
        return State.WATCHING, f"{first.name}: {first.reason}"
    corrected = contradicted(plans, criteria, total)
    if corrected is not None:
        return State.INCONCLUSIVE, corrected
    if settings.flagged == "hold" and worse:
        return State.WATCHING, worse_words(plans, worse)
    broken = noisy(settings, plans, criteria, total)
    if broken is not None:
        return broken
    few = [c for c in required if c.blocks is not None and c.blocks < settings.min_blocks]
    if few:
        blocks = f"{few[0].blocks:,} of at least {settings.min_blocks:,} blocks"
        return State.WATCHING, f"every required criterion passes; {few[0].name} on {blocks}"
    few = [c for c in required if (c.effective_calls or math.inf) < settings.min_effective_calls]
    if few and not settings.independent_calls:
        worth = f"{few[0].effective_calls:,.0f} of at least {settings.min_effective_calls:,.0f}"
        why = f"the calls of {few[0].name} are alike and worth {worth} independent ones"
        return State.WATCHING, f"every required criterion passes; {why}"
    distinct = total.inputs.effective
    if distinct is not None and distinct < settings.min_distinct_inputs:
        worth = f"{distinct:,.1f} of at least {number(settings.min_distinct_inputs)}"
        why = f"the calls are worth {worth} distinct inputs (judge.min_distinct_inputs)"
        return State.WATCHING, f"every required criterion passes; {why}"
    if total.elapsed_ns < settings.min_duration_seconds * 1e9:
        left = settings.min_duration_seconds - total.elapsed_ns / 1e9
        return State.WATCHING, f"every required criterion passes; {left:,.0f} s to go"
    if total.coverage.unsettled:
        lines = f"{total.coverage.unsettled:,} connections"
        return State.WATCHING, f"every required criterion passes; calls of {lines} are not counted"
    passed = f"every required criterion passes: {', '.join(c.name for c in required)}"
    hours, _ = seen(total)
    if not settings.independent_calls and 0 < hours < HOURS:
        passed += f"; seen in {hours} of {HOURS} hours of a day"
    if unshown := not_shown(settings, plans, total):
        passed += f"; not shown for: {some_of(unshown)}"
    return State.PASS, passed


def _distance(criterion: CriterionVerdict) -> float:
    if criterion.calls_needed is None:
        return math.inf
    return criterion.calls_needed


def _uncovered(settings: JudgeSettings, total: Total) -> str:
    got, eligible, blind = total.coverage[:3]
    unseen = f" ({blind:,} were not seen by the observer)" if blind else ""
    share, floor = total.coverage.share, settings.coverage_floor
    return (
        f"{got:,} of {eligible:,} calls were compared{unseen}: "
        f"coverage is {share:.1%}, its floor {floor:.1%}"
    )
