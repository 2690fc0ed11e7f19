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

from sidecar.judge.basis import (
    HOURS,
    blocks_of,
    bounds_of,
    by_blocks,
    interval_of,
    seen,
    undecided,
    words_of,
)
from sidecar.judge.controls import fair, short_of_controls
from sidecar.judge.counts import ALL, Cell, CellKey, Coverage, Total
from sidecar.judge.criteria.base import Criterion, Measurement, Plan, limits
from sidecar.judge.evidence.attempts import alpha_of_attempt
from sidecar.judge.evidence.combine import pass_alpha
from sidecar.judge.evidence.mixtures import Side, average, threshold
from sidecar.judge.latches import Decided, Latches, begin_watch, harm, moment, uncovered
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
from sidecar.judge.words import compared, margin, measured


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
    criteria = [_criterion(settings, plan, total, latches, covered) for plan in plans]
    slices = slices_of(settings, plans, total, latches)
    decision, reason = latches.overall or _overall(settings, plans, criteria, slices, total)
    if latches.overall is not None and decision is State.PASS:
        later = harm(latches, plans, total, settings.labels.delay_seconds)
        later = later or _since(settings, plans, criteria, slices, latches)
        if later is not None:
            decision, reason = State.FAIL, later
            latches.criteria |= {
                c.name: c.state for c in criteria if c.required and c.state is State.FAIL
            }
            criteria = [replace(c, state=latches.criteria.get(c.name, c.state)) for c in criteria]
    ended = _is_spent(settings, total)
    if ended and decision in {State.WATCHING, State.INCONCLUSIVE} and latches.overall is None:
        decision, reason = State.INCONCLUSIVE, f"the budget is used up: {reason}"
    if decision in {State.PASS, State.FAIL} or ended:
        if latches.overall is None:
            latches.decided_unix_ns = total.unix_ns
            if decision is State.PASS:
                begin_watch(latches, plans, total, settings.alpha)
                criteria = [_stands(c, total, latches) for c in criteria]
        latches.overall = (decision, reason)
    if decision is State.PASS:
        thin = uncovered(latches, total.coverage, settings.coverage_floor, settings.min_calls)
        if thin is not None:  # it holds, and says nothing of now
            decision, reason = State.INCONCLUSIVE, thin
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


def _criterion(
    settings: JudgeSettings, plan: Plan, total: Total, latches: Latches, covered: bool
) -> CriterionVerdict:
    criterion = plan.criterion
    cell = total.cells.get(CellKey(criterion.name, ALL), {})
    short = short_of_controls(settings, plan, cell)
    blocks = blocks_of(settings, total, plan)
    found = plan.measure(cell) if blocks else _with_lost(plan, cell, total)
    found = fair(by_blocks(plan, found, blocks), short)
    interval = interval_of(plan, cell, blocks, settings.alpha)
    bounds = limits_of(settings, criterion)
    state, needed = latches.criteria.get(criterion.name, State.WATCHING), None
    if state is State.PASS and found.log_fail >= bounds[Side.FAIL] and found.n > 0:
        state = State.WATCHING  # FAIL stands, PASS does not
        del latches.criteria[criterion.name]
        latches.figures.pop(criterion.name, None)
    then = latches.figures.get(criterion.name)
    if state is not State.WATCHING:
        reason = f"decided before; now {measured(plan, found.estimate, interval)}"
        if then is not None:
            was = measured(plan, then.estimate, then.interval)
            reason = (
                f"decided {moment(then.unix_ns)} on {then.n:,.0f} calls: {was}, margin "
                f"{margin(criterion)}; now {measured(plan, found.estimate, interval)}"
            )
    elif found.n <= 0:
        reason = short or "no data"
    elif found.log_pass >= bounds[Side.PASS] and not _is_beyond(criterion, found.estimate):
        state, reason = State.PASS, compared(plan, "below", found.estimate, interval)
    elif found.log_fail >= bounds[Side.FAIL]:
        state, reason = State.FAIL, compared(plan, "above", found.estimate, interval)
    elif short:
        reason = short
    else:
        more = "too close to tell"
        if blocks:
            more = undecided(blocks)
        elif (needed := plan.calls_needed(cell, bounds)) is not None:
            more = f"about {needed:,} more calls"
        now = measured(plan, found.estimate, interval)
        reason = f"undecided: {now}, margin {margin(criterion)}; {more}"
    settled = covered and not total.coverage.unsettled
    if criterion.required and state is State.PASS:
        settled = False  # it stands from the whole PASS on: what comes until then may undo it
    if state is not State.WATCHING and settled:
        latches.criteria.setdefault(criterion.name, state)
        then = latches.figures.setdefault(
            criterion.name, Decided(total.unix_ns, found.n, found.estimate, interval)
        )
    return CriterionVerdict(
        name=criterion.name,
        kind=criterion.kind,
        required=criterion.required,
        weight=criterion.weight,
        state=state,
        reason=reason,
        margin=criterion.margin,
        estimate=found.estimate,
        interval=interval,
        n=found.n,
        log_pass=found.log_pass,
        log_fail=found.log_fail,
        calls_needed=needed,
        unit=criterion.unit,
        about=criterion.about_of(plan),
        two_sided=criterion.is_two_sided,
        of_failures=criterion.is_of_failures,
        basis=words_of(settings, blocks),
        blocks=blocks[0].chosen().blocks if blocks else None,
        effective_calls=blocks[0].effective_calls if blocks and found.n > 0 else None,
        bounds=bounds_of(plan, blocks),
        unlabelled=max(0.0, cell.get("differing", 0.0) - cell.get("labelled", 0.0)),
        control_rate=criterion.control_rate(plan, cell),
        decided_unix=then.unix_ns / 1e9 if then else 0.0,
        decided_n=then.n if then else 0.0,
        decided_estimate=then.estimate if then else None,
        decided_interval=then.interval if then else None,
    )


def _with_lost(plan: Plan, cell: Cell, total: Total) -> Measurement:
    """What calls say that are taken one by one: what was lost is worst for PASS, best for FAIL."""
    found, criterion = plan.measure(cell), plan.criterion
    lost = float(sum(total.lost.values()))
    if found.n <= 0 or not lost or not total.calls:
        return found
    lost *= criterion.share_of_lost(plan, min(1.0, found.n / total.calls))
    worst = plan.measure(criterion.with_worst(plan, cell, lost))
    best = plan.measure(criterion.with_lost(plan, cell, lost))
    return replace(
        found,
        log_pass=min(found.log_pass, worst.log_pass),
        log_fail=min(found.log_fail, best.log_fail),
    )


def _is_beyond(criterion: Criterion, estimate: float | None) -> bool:
    """Whether a figure lies on the margin's wrong side."""
    if estimate is None:
        return False
    if criterion.is_two_sided:
        estimate = abs(estimate)
    return (-estimate if criterion.is_downward else estimate) > criterion.margin


def _stands(found: CriterionVerdict, total: Total, latches: Latches) -> CriterionVerdict:
    """A criterion at the look at which all passed: a required one's PASS stands from now on."""
    if not found.required:
        return found
    latches.criteria[found.name] = found.state
    latches.figures[found.name] = Decided(total.unix_ns, found.n, found.estimate, found.interval)
    return replace(
        found,
        decided_unix=total.unix_ns / 1e9,
        decided_n=found.n,
        decided_estimate=found.estimate,
        decided_interval=found.interval,
    )


def _is_sliced(settings: JudgeSettings) -> bool:
    """Whether a slice may fail the shadow, so that a part of the rejecting alpha is theirs."""
    required = any(c.required and c.slices for c in settings.criteria)
    return settings.flagged == "fail" and bool(settings.slices) and required


def limits_of(settings: JudgeSettings, criterion: Criterion) -> dict[Side, float]:
    """The ln E at which each claim is made.

    A required criterion FAILs by its part of the rejecting alpha, so that its FAIL is the shadow's.
    """
    alpha = settings.alpha / 2
    weights = math.fsum(c.weight for c in settings.criteria if c.required)
    part = 1.0
    if criterion.required:
        part = criterion.weight / weights * (1 - SLICE_SHARE if _is_sliced(settings) else 1)
    return limits(pass_alpha(alpha, settings.candidates), alpha * part)


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
    alpha = settings.alpha / 2 * (1 - SLICE_SHARE if _is_sliced(settings) else 1)
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
    if settings.flagged == "hold" and worse:
        return State.WATCHING, worse_words(plans, worse)
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
    unseen = f" ({blind:,} came on connections that cannot be followed)" if blind else ""
    share, floor = total.coverage.share, settings.coverage_floor
    return (
        f"{got:,} of {eligible:,} calls were compared{unseen}: "
        f"coverage is {share:.1%}, its floor {floor:.1%}"
    )
