"""What a criterion measured, as half a sentence: figures with their units, in plain characters.

Rule: three digits, and the margin is always named beside the figure. Pure. Counterparts: `verdict`,
whose reasons these are; `report.figures`, the same units on the page.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from sidecar.judge.evidence.interval import Interval
from sidecar.judge.settings import LABELLED, Criterion
from sidecar.judge.tally import Plan

Unit = Callable[[float], str]


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
    if _both(plan.criterion):
        relation = {"above": "outside", "below": "within"}[relation]
    elif _downward(plan.criterion):
        relation = {"above": "below", "below": "above"}[relation]
    where = f"{relation} the margin of {margin(plan.criterion)}"
    return f"{_said(plan, estimate)}, {where}{_between(plan.criterion, interval)}"


def margin(criterion: Criterion) -> str:
    """A criterion's margin with its unit."""
    unit = unit_of(criterion)
    if _both(criterion):
        return f"+-{unit(criterion.margin).removeprefix('+')}"
    return unit(-criterion.margin if _downward(criterion) else criterion.margin)


def unit_of(criterion: Criterion) -> Unit:
    """How a criterion's figures are written; costs have no unit that we know."""
    kind = criterion.kind
    if kind in {"bias", "latency_ratio"}:
        return lambda value: _signed(value, _percent)
    if kind == "latency_difference":
        return lambda value: _signed(value, _milliseconds)
    if kind in LABELLED:
        return lambda value: f"{number(100 * value)} pp"
    if kind == "decision_flips" and criterion.decision and criterion.decision.cost is not None:
        return number
    return _percent


def number(value: float) -> str:
    """A number in three digits, without an exponent."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    decimals = 0 if size >= 100 else 6 if size < 1e-5 else 2 - math.floor(math.log10(size))
    text = f"{value:,.{min(6, decimals)}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _said(plan: Plan, estimate: float) -> str:
    criterion = plan.criterion
    figure = unit_of(criterion)(estimate)
    match criterion.kind:
        case "disagreement":
            what = "of calls disagree" if criterion.score == "any" else "apart on average"
            return f"{figure} {what}{', net of the control' if plan.net else ''}"
        case "bias":
            return f"outputs are {figure} off on average"
        case "shadow_error_rate":
            return f"{figure} of calls fail"
        case "latency_ratio":
            return f"p{number(100 * criterion.quantile)} latency is {figure}"
        case "latency_difference":
            return f"mean latency is {figure}"
        case "decision_flips" if criterion.decision and criterion.decision.cost is not None:
            return f"decisions cost {figure} on average"
        case "decision_flips":
            return f"{figure} of decisions change"
        case "out_of_range":
            return f"{figure} of outputs are out of range"
        case labelled:
            return f"{labelled.replace('_', ' ')} is {figure} lower"


def _between(criterion: Criterion, interval: Interval | None) -> str:
    if interval is None:
        return ""
    unit = unit_of(criterion)
    low, high = interval
    if math.isfinite(low) and math.isfinite(high):
        return f" ({unit(low)} to {unit(high)})"
    if math.isfinite(low):
        return f" (at least {unit(low)})"
    return f" (at most {unit(high)})" if math.isfinite(high) else ""


def _both(criterion: Criterion) -> bool:
    return criterion.kind == "bias" and criterion.direction == "both"


def _downward(criterion: Criterion) -> bool:
    return criterion.kind == "bias" and criterion.direction == "decrease"


def _percent(value: float) -> str:
    return f"{number(100 * value)} %"


def _milliseconds(value: float) -> str:
    return f"{number(1e3 * value)} ms"


def _signed(value: float, unit: Unit) -> str:
    text = unit(value)
    return text if value <= 0 or text.startswith("0 ") else f"+{text}"
