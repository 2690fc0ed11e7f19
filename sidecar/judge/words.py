"""What a criterion measured, as half a sentence: figures with their units, in plain characters.

Rule: three digits, and the margin is always named beside the figure. Pure. Counterparts: `verdict`,
whose reasons these are; `report.figures`, the same units on the page.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from sidecar.judge.criteria.base import Criterion, Plan
from sidecar.judge.criteria.shapes import Unit
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.number import number

ENDLESS = "beyond the deadline"  # the only figure that has no end is a latency
Figure = Callable[[float], str]


def measured(plan: Plan, estimate: float | None, interval: Interval | None) -> str:
    """The estimate and its interval: "9.8 % of calls disagree (7.6 % to 12.3 %)"."""
    if estimate is None:
        return "no data"
    return f"{_said(plan, estimate)}{_between(plan.criterion, interval)}"


def compared(plan: Plan, relation: str, estimate: float | None, interval: Interval | None) -> str:
    """The same, with where it lies: "9.8 % of calls disagree, above the margin of 5 % (...)".

    Args:
        plan: the criterion.
        relation: "above" is too much, "below" is good enough; a bias turns them to its direction.
        estimate: in the margin's unit.
        interval: its confidence sequence.
    """
    if estimate is None:
        return "no data"
    if plan.criterion.is_two_sided:
        relation = {"above": "outside", "below": "within"}[relation]
    elif plan.criterion.is_downward:
        relation = {"above": "below", "below": "above"}[relation]
    where = f"{relation} the margin of {margin(plan.criterion)}"
    return f"{_said(plan, estimate)}, {where}{_between(plan.criterion, interval)}"


def margin(criterion: Criterion) -> str:
    """A criterion's margin with its unit."""
    unit = unit_of(criterion)
    if criterion.is_two_sided:
        return f"+-{unit(criterion.margin).removeprefix('+')}"
    return unit(-criterion.margin if criterion.is_downward else criterion.margin)


def unit_of(criterion: Criterion) -> Figure:
    """How a criterion's figures are written."""
    match criterion.unit:
        case Unit.CHANGE:
            return lambda value: _signed(value, _percent)
        case Unit.SECONDS:
            return lambda value: _signed(value, _milliseconds)
        case Unit.POINTS:
            return lambda value: f"{number(100 * value)} pp"
        case Unit.PLAIN:
            return number
        case Unit.SHARE:
            return _percent


def _said(plan: Plan, estimate: float) -> str:
    if math.isinf(estimate):
        return plan.criterion.said(plan, ENDLESS)
    return plan.criterion.said(plan, unit_of(plan.criterion)(estimate))


def _between(criterion: Criterion, interval: Interval | None) -> str:
    if interval is None:
        return ""
    unit = unit_of(criterion)
    low, high = interval
    if math.isfinite(low) and math.isfinite(high):
        return f" ({unit(low)} to {unit(high)})"
    if math.isfinite(low) and not (criterion.unit is Unit.CHANGE and low <= -1):
        return f" (at least {unit(low)})"
    return f" (at most {unit(high)})" if math.isfinite(high) else ""


def _percent(value: float) -> str:
    return f"{number(100 * value)} %"


def _milliseconds(value: float) -> str:
    return f"{number(1e3 * value)} ms"


def _signed(value: float, unit: Figure) -> str:
    text = unit(value)
    return text if value <= 0 or text.startswith("0 ") else f"+{text}"
