"""Numbers for people, in plain characters. Counterpart: `words`."""

from __future__ import annotations

import math


def number(value: float) -> str:
    """A number in three digits, without an exponent."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    decimals = 0 if size >= 100 else 6 if size < 1e-5 else 2 - math.floor(math.log10(size))
    text = f"{value:,.{min(6, decimals)}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
