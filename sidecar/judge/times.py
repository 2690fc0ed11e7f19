"""How long both sides of a comparison took, as far as it is known.

Rule: a time is the least and the most that it may be. A call that met its deadline took at least
as long as it waited, and for all that is known for ever; one that failed otherwise, or was lost,
says nothing. So PASS is asked of the shadow's most against the reference's least, and FAIL the
other way round. The reference is the control where there is one: asked by the same client, at the
same place, in an order that is drawn. Counterparts: `pair`, which carries the times; the latency
kinds in `criteria/`.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, TypeAlias

from sidecar.judge.pair import JudgedPair

What: TypeAlias = Literal["answer", "first_message", "message_gap"]


class Span(NamedTuple):
    """The least and the most nanoseconds that something took."""

    least: float
    most: float

    @property
    def known(self) -> bool:
        """Whether it was measured to its end."""
        return self.least == self.most


UNKNOWN = Span(0.0, math.inf)


def times_of(pair: JudgedPair, what: What, by_control: bool) -> tuple[Span, Span] | None:
    """The reference's time and the shadow's.

    Args:
        pair: the call.
        what: the whole answer, its first message, or the mean time between its messages.
        by_control: the reference is the control; else production.

    Returns:
        None when the call is not about it: the control was not drawn for it, or what is to be
        timed is not there on either side.
    """
    if not by_control:
        reference = _span(_of_production(pair, what))
    elif pair.control_times is None:
        return None
    else:
        control = pair.control_times
        reference = _side(getattr(control, what), control.answer, control.failed, control.late)
    late = pair.failed and not pair.failed_fast
    shadow = _side(_of_shadow(pair, what), pair.shadow_latency_ns, pair.failed, late)
    if reference is None or shadow is None:
        return None
    return reference, shadow


def _of_production(pair: JudgedPair, what: What) -> float | None:
    match what:
        case "answer":
            return pair.production_latency_ns
        case "first_message":
            return pair.first_message_ns[0]
        case "message_gap":
            return pair.message_gap_ns[0]


def _of_shadow(pair: JudgedPair, what: What) -> float | None:
    match what:
        case "answer":
            return pair.shadow_latency_ns
        case "first_message":
            return pair.first_message_ns[1]
        case "message_gap":
            return pair.message_gap_ns[1]


def _side(value: float | None, waited: float, failed: bool, late: bool) -> Span | None:
    if late:
        return Span(float(waited), math.inf)
    return UNKNOWN if failed else _span(value)


def _span(value: float | None) -> Span | None:
    return None if value is None else Span(float(value), float(value))
