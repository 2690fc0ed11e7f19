"""Units of what criteria measure, and numbers in three digits, in plain characters. Pure.

Counterparts: `words`, which makes half sentences of them; `report.figures`, the same on the page.
"""

from __future__ import annotations

import math
from enum import StrEnum


class Unit(StrEnum):
    """What a criterion's figures are written in."""

    SHARE = "share"  # of calls, as per cent
    CHANGE = "change"  # relative, as per cent with its sign
    SECONDS = "seconds"  # apart, as milliseconds with their sign
    POINTS = "points"  # percentage points
    PLAIN = "plain"  # costs and scores have no unit that we know


class Way(StrEnum):
    """On which side of its margin a figure is bad."""

    ABOVE = "above"
    BELOW = "below"  # the margin stands for its negative
    OUTSIDE = "outside"  # of the margin and its negative


def written(value: float, unit: Unit) -> str:
    """A figure with its unit."""
    match unit:
        case Unit.SHARE:
            return _percent(value)
        case Unit.CHANGE:
            return _signed(value, _percent(value))
        case Unit.SECONDS:
            return _signed(value, f"{number(1e3 * value)} ms")
        case Unit.POINTS:
            return f"{number(100 * value)} pp"
        case Unit.PLAIN:
            return number(value)


def number(value: float) -> str:
    """A number in three digits, without an exponent."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    decimals = 0 if size >= 100 else 6 if size < 1e-5 else 2 - math.floor(math.log10(size))
    text = f"{value:,.{min(6, decimals)}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _percent(value: float) -> str:
    return f"{number(100 * value)} %"


def _signed(value: float, text: str) -> str:
    return text if value <= 0 or text.startswith("0 ") else f"+{text}"
