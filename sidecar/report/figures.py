"""Numbers and words as people read them. Pure.

Rule: three significant digits, the unit that fits the size, a real minus; what is not known is a
dash. Counterparts: `page` and its charts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sidecar.call import INELIGIBLE, SkipReason

UNKNOWN = "\u2013"
MINUS = "\u2212"
TIMES = "\u00d7"
_THIN = "\u202f"  # a narrow space at which no line is broken


def significant(value: float, digits: int = 3) -> str:
    """A number in so many digits, thousands apart, without trailing zeros."""
    if value == 0:
        return "0"
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
    "disagreement": percent,
    "shadow_error_rate": percent,
    "out_of_range": percent,
    "decision_flips": percent,
    "bias": change,
    "latency_ratio": change,
    "latency_difference": seconds_apart,
    "accuracy": points,
    "precision": points,
    "recall": points,
    "f1": points,
    "precision_at_k": points,
    "recall_at_k": points,
}
"""How a criterion's figures are written, by its kind."""


def unit_of(kind: str, declared: Mapping[str, Any]) -> Formatter:
    """How a criterion's figures are written; costs have no unit that we know."""
    if (declared.get("decision") or {}).get("cost") is not None and kind == "decision_flips":
        return plain
    return UNITS.get(kind, plain)


def about(kind: str, declared: Mapping[str, Any]) -> str:
    """What a criterion measures, in a few words."""
    if kind == "latency_ratio":
        p = declared.get("quantile")
        which = f"p{significant(100 * p)} latency" if isinstance(p, float) else "latency"
        return f"{which} against production's"
    if kind == "decision_flips" and unit_of(kind, declared) is plain:
        return "mean cost of changed decisions"
    return _KINDS.get(kind, kind.replace("_", " "))


_KINDS = {
    "disagreement": "calls whose answers disagree",
    "bias": "mean signed relative error",
    "shadow_error_rate": "calls that only the shadow failed",
    "latency_difference": "mean latency minus production's",
    "decision_flips": "calls whose decision changes",
    "out_of_range": "outputs outside production's range",
    "accuracy": "accuracy lost, by labels",
    "precision": "precision lost, by labels",
    "recall": "recall lost, by labels",
    "f1": "F1 lost, by labels",
    "precision_at_k": "precision at k lost, by labels",
    "recall_at_k": "recall at k lost, by labels",
}

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
    "paused": "paused by the operator",
    "ended": "the budget of calls or time was used up",
    "rate_limited": "over the shadow's rate limit",
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
