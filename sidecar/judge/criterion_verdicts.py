"""What is said of one criterion: its state, its reason, and every figure that stands beside it.

Counterparts: `verdict`, which adds them up; `slice_verdicts`, which does the same for slices.
"""

from __future__ import annotations

import math
from dataclasses import replace

from sidecar.judge.basis import blocks_of, bounds_of, by_blocks, interval_of, undecided, words_of
from sidecar.judge.controls import fair, short_of_controls
from sidecar.judge.counts import ALL, Cell, CellKey, Total
from sidecar.judge.criteria.base import Criterion, Plan
from sidecar.judge.criteria.shapes import Measurement, limits
from sidecar.judge.evidence.combine import pass_alpha
from sidecar.judge.evidence.mixtures import Side
from sidecar.judge.latches import Decided, Latches, moment
from sidecar.judge.report import CriterionVerdict, State
from sidecar.judge.settings import JudgeSettings
from sidecar.judge.slice_verdicts import SLICE_SHARE
from sidecar.judge.words import compared, margin, measured


def criterion_verdict(
    settings: JudgeSettings, plan: Plan, total: Total, latches: Latches, covered: bool
) -> CriterionVerdict:
    """Judge one criterion; what is decided is latched, but for a required one's PASS.

    Args:
        settings: with the alpha that this attempt may spend.
        plan: the criterion's.
        total: the counts.
        latches: decisions that stand; changed in place.
        covered: whether enough of the calls were compared.
    """
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


def standing(found: CriterionVerdict, total: Total, latches: Latches) -> CriterionVerdict:
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


def is_sliced(settings: JudgeSettings) -> bool:
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
        part = criterion.weight / weights * (1 - SLICE_SHARE if is_sliced(settings) else 1)
    return limits(pass_alpha(alpha, settings.candidates), alpha * part)
