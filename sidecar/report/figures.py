"""Numbers and words as people read them. Pure.

Rule: three significant digits, the unit that fits the size, a real minus; what is not known is a
dash. Counterparts: `page` and its charts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from sidecar.call import INELIGIBLE, SkipReason

UNKNOWN = "\u2013"
ENDLESS = "\u221e"
MINUS = "\u2212"
TIMES = "\u00d7"
_THIN = "\u202f"  # a narrow space at which no line is broken


def significant(value: float, digits: int = 3) -> str:
    """A number in so many digits, thousands apart, without trailing zeros."""
    if value == 0:
        return "0"
    if math.isinf(value):
        return f"{MINUS if value < 0 else ''}{ENDLESS}"
    decimals = min(6, max(0, digits - 1 - math.floor(math.log10(abs(value)))))
    text = f"{abs(value):,.{decimals}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{MINUS}{text}" if value < 0 and text != "0" else text


def count(value: float | None) -> str:
    """How many."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """A share of one."""
    return UNKNOWN if value is None else f"{significant(100 * value)}{_THIN}%"


def _signed(text: str) -> str:
    return text if text[0] in f"{MINUS}{UNKNOWN}0" and not text.startswith("0.") else f"+{text}"


def change(value: float | None) -> str:
    """A relative change."""
    return _signed(percent(value))


def against(value: float | None, base: float | None) -> str:
    """One number against another: in percent, or how many times as large from the double on."""
    if value is None or not base:
        return UNKNOWN
    ratio = value / base
    return f"{TIMES}{significant(ratio)}" if ratio >= 2 else change(ratio - 1)


def points(value: float | None) -> str:
    """A difference of two shares."""
    return UNKNOWN if value is None else f"{_signed(significant(100 * value))}{_THIN}pp"


def plain(value: float | None) -> str:
    """A number without a unit."""
    return UNKNOWN if value is None else significant(value)


def milliseconds(value: float | None) -> str:
    """A latency, given in milliseconds."""
    if value is None:
        return UNKNOWN
    for unit, size in (("s", 1e3), ("ms", 1.0)):
        if abs(value) >= size:
            return f"{significant(value / size)}{_THIN}{unit}"
    return f"{significant(value * 1e3)}{_THIN}µs" if value else f"0{_THIN}ms"


def seconds_apart(value: float | None) -> str:
    """A difference of latencies, given in seconds."""
    return UNKNOWN if value is None else _signed(milliseconds(1e3 * value))


def span(seconds: float) -> str:
    """How long, in its two largest units."""
    whole = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        amount, whole = divmod(whole, size)
        if amount or (unit == "s" and not parts):
            parts.append(f"{amount}{_THIN}{unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def instant(unix_seconds: float) -> datetime | None:
    """A moment in UTC; None for what no calendar holds."""
    try:
        return datetime.fromtimestamp(unix_seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None


Formatter = Callable[[float | None], str]

UNITS: Mapping[str, Formatter] = {
    "share": percent,
    "change": change,
    "seconds": seconds_apart,
    "points": points,
    "plain": plain,
}
"""How figures are written, by `judge.criteria.base.Unit`; costs have no unit that we know."""


def unit_of(name: str) -> Formatter:
    """How a criterion's figures are written."""
    return UNITS.get(name, plain)


OUTCOMES = {
    "equal": "agree, within the rules",
    "value": "other values",
    "both_error_same": "both failed alike",
    "both_error_other": "both failed, each otherwise",
    "shadow_error": "only the shadow failed",
    "production_error": "only production failed",
    "undecodable": "an answer that cannot be read",
    "message_count": "a stream of another length",
    "missing_output": "an output is missing",
    "extra_output": "an output too many",
    "dtype": "another number type",
    "rank": "another number of dimensions",
    "shape": "another shape",
    "nonfinite": "NaN or infinity on one side",
}
"""What a comparison found, in words."""

SKIPS = {
    "not_grpc": "not gRPC",
    "method": "a method that is not compared",
    "filtered": "left out by a metadata condition",
    "not_sampled": "left out by sampling",
    "no_shadow": "no shadow is configured",
    "paused": "paused by the operator, or by itself",
    "resting": "in a second drawn for production to be without the tee",
    "ended": "the budget of calls or time was used up",
    "rate_limited": "over the shadow's rate of calls",
    "bytes_limited": "over the shadow's rate of bytes, which asks for the call's size",
    "breaker_open": "the shadow kept failing, so it was spared",
    "request_too_large": "the request was too large",
    "queue_full": "the shadow's queue was full",
    "queue_bytes": "the shadow's queue was full in bytes",
    "pairs_full": "too many calls in flight",
    "expired": "waited too long for the shadow",
    "incomplete": "production answered before the request was complete",
    "cancelled": "the client gave up",
    "response_too_large": "an answer was too large",
    "shed": "left out at random: there was no time for all of the traffic",
    "tap_gap": "the copy has a gap: the observer was slower than the traffic",
    "blind": "the connection could no longer be followed",
    "malformed": "gRPC framing that cannot be read",
    "abandoned": "never answered",
    "shutdown": "the observer ended first",
}
"""Why a call was not compared, in words."""

_BY_CHOICE = frozenset(reason.value for reason in SkipReason if reason in INELIGIBLE)


def is_by_choice(reason: str) -> bool:
    """Whether a skip does not count against coverage."""
    return reason in _BY_CHOICE
