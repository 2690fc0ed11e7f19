"""Whether a control stands for the noise: it answered enough, and is not broken itself.

What a control differs in is taken off the shadow's own differences. One that is broken would excuse
every shadow, so nothing passes beside it: what it differs in must be shown to be below
`judge.max_noise`, by a betting mixture over its answers, as many as they are worth by their blocks.
After a PASS the latest answers are looked at again and again, for it may break then.
Counterparts: `verdict` and `slice_verdicts`, which hold nothing against a shadow where a control
did not answer; `Criterion.noise`, which counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from sidecar.judge.counts import ALL, Cell, CellKey, Total
from sidecar.judge.criteria.base import Criterion, Plan
from sidecar.judge.criteria.shapes import Measurement
from sidecar.judge.evidence.mixtures import Side, rate_evidence, threshold
from sidecar.judge.latches import Latches, moment
from sidecar.judge.report import CriterionVerdict, State
from sidecar.judge.settings import JudgeSettings

MIN_CONTROLS = 20  # expected answers of a control before their number is held against it
LATEST_CONTROLS = 200  # over so many answers a control is looked at after a PASS


def short_of_controls(settings: JudgeSettings, plan: Plan, cell: Cell) -> str | None:
    """Whether the control answered too few of its calls to stand for the noise."""
    if not plan.net:
        return None
    expected = plan.control_fraction * cell.get("n", 0.0)
    answered = cell.get("controls", 0.0)
    # Three standard deviations of a draw with the control's fraction are no shortage.
    slack = 3 * math.sqrt(expected * (1 - plan.control_fraction))
    if expected < MIN_CONTROLS or answered >= settings.coverage_floor * expected - slack:
        return None
    strange = cell.get("strange", 0.0)
    others = f"; {strange:,.0f} answers were another version's than production's" if strange else ""
    return f"the control answered {answered:,.0f} calls of {expected:,.0f} expected{others}"


def fair(found: Measurement, short: str | None) -> Measurement:
    """Without its control's answers noise counts against the shadow: only PASS may follow."""
    return replace(found, log_fail=-math.inf) if short else found


def most_noise(settings: JudgeSettings, criterion: Criterion) -> float:
    """What share a control may differ in: noise below the margin excuses no more than that."""
    return max(settings.max_noise, criterion.margin)


def noisy(
    settings: JudgeSettings,
    plans: Sequence[Plan],
    criteria: Sequence[CriterionVerdict],
    total: Total,
) -> tuple[State, str] | None:
    """Why nothing passes beside the control; None where it may, or excuses nothing.

    Args:
        settings: what was declared.
        plans: the criteria.
        criteria: what is said of each, in the same order.
        total: the counts.
    """
    for plan, found in zip(plans, criteria, strict=True):
        n, differing = _noise(plan, total)
        most = most_noise(settings, plan.criterion)
        if not found.required or differing <= 0 or most >= 1:
            continue
        worth = n
        if found.effective_calls is not None:  # the control's answers are as alike as the shadow's
            worth *= min(1.0, found.effective_calls / found.n)
        k = differing * worth / n
        if rate_evidence(worth, k, most, Side.PASS) >= threshold(settings.alpha / 2):
            continue
        share, bound = f"{differing / n:.1%}", f"at most {most:.1%} (judge.max_noise)"
        if differing > most * n:
            why = f"differs in {share} of its own answers, {bound} may: a broken one excuses all"
            return State.INCONCLUSIVE, f"{found.name}: the control {why}"
        why = f"differs in {share} of {n:,.0f} answers, not shown yet to be {bound}"
        return State.WATCHING, f"every required criterion passes; {found.name}: the control {why}"
    return None


def broke_later(
    settings: JudgeSettings, plans: Sequence[Plan], total: Total, latches: Latches
) -> str | None:
    """Why a PASS says nothing of now: the control's latest answers differ more than they may.

    Args:
        settings: what was declared.
        plans: the criteria.
        total: the counts.
        latches: with the answers that were looked at last; changed in place.
    """
    for plan in plans:
        name, now = plan.criterion.name, _noise(plan, total)
        most = most_noise(settings, plan.criterion)
        if not plan.criterion.required or most >= 1:
            continue
        since = latches.controls.get(name)
        if since is None or now[0] < since[0] or now[1] < since[1]:
            latches.controls[name] = now  # the first look, or a part of the sum has gone
            continue
        n, k = now[0] - since[0], now[1] - since[1]
        if n < LATEST_CONTROLS:
            continue
        latches.controls[name] = now
        latches.noisy.pop(name, None)
        if k > most * n and rate_evidence(n, k, most, Side.FAIL) >= threshold(settings.alpha / 2):
            latches.noisy[name] = k / n
    for name, share in latches.noisy.items():
        passed = f"passed at {moment(latches.decided_unix_ns)}"
        why = "more than judge.max_noise: a broken control excuses all"
        return f"{passed}; {name}: the control differs in {share:.1%} of its latest answers, {why}"
    return None


def _noise(plan: Plan, total: Total) -> tuple[float, float]:
    name = plan.criterion.name
    return plan.criterion.noise(plan, total.cells.get(CellKey(name, ALL), {}))
