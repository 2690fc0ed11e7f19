"""Whether a control answered enough to stand for the noise.

Counterparts: `verdict` and `slice_verdicts`, which hold nothing against a shadow where it did not.
"""

from __future__ import annotations

import math
from dataclasses import replace

from sidecar.judge.counts import Cell
from sidecar.judge.criteria.base import Measurement, Plan
from sidecar.judge.settings import JudgeSettings

MIN_CONTROLS = 20  # expected answers of a control before their number is held against it


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
