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
from typing import Literal, TypeAlias

from sidecar.judge.evidence.histogram import bucket
from sidecar.judge.pair import ControlTimes, JudgedPair

What: TypeAlias = Literal["answer", "first_message", "message_gap"]

Times: TypeAlias = tuple[float, float, float, float]
"""The reference's least and most, and the shadow's least and most, in nanoseconds.

Least and most are equal where it was measured to its end; (0, inf) is where nothing is known.
"""


class Timed:
    """Both sides' time for a call, as every latency criterion asks for it; see `Times`."""

    __slots__ = ("bucket", "least", "most", "shadow_bucket", "shadow_least", "shadow_most")

    def __init__(self, least: float, most: float, shadow_least: float, shadow_most: float) -> None:
        self.least, self.most = least, most
        self.shadow_least, self.shadow_most = shadow_least, shadow_most
        # Of the least, see `evidence.quantile`.
        self.bucket, self.shadow_bucket = bucket(least), bucket(shadow_least)


def timed_of(pair: JudgedPair, what: What, by_control: bool) -> Timed | None:
    """`times_of`, found once for all criteria."""
    known = pair.controlled_times if by_control else pair.times
    if what in known:
        return known[what]
    times = times_of(pair, what, by_control)
    found = None if times is None else Timed(*times)
    known[what] = found
    return found


def times_of(pair: JudgedPair, what: What, by_control: bool) -> Times | None:
    """Both sides' time for a call.

    Args:
        pair: the call; production has answered it.
        what: the whole answer, its first message, or the mean time between its messages.
        by_control: the reference is the control; else production.

    Returns:
        None when the call is not about it: the control was not drawn for it, or what is to be
        timed is not there on the reference's side.
    """
    if by_control:
        control = pair.control_times
        if control is None:
            return None
        least, most = _of_control(control, what)
    else:
        least = most = _of_side(pair, what, 0)
    if least < 0:
        return None
    if pair.failed:
        # Its messages may have come in time, for all that is known, and its end did not.
        late = not pair.failed_fast and what == "answer"
        return least, most, float(pair.shadow_latency_ns) if late else 0.0, math.inf
    b = _of_side(pair, what, 1)
    # Where the shadow ended without what is to be timed, it never came, for all that is known.
    return (least, most, 0.0, math.inf) if b < 0 else (least, most, b, b)


def _of_control(control: ControlTimes, what: What) -> tuple[float, float]:
    """Least and most; negative where there is nothing to be timed."""
    if control.failed:
        late = control.late and what == "answer"
        return (float(control.answer), math.inf) if late else (0.0, math.inf)
    found: int | None = getattr(control, what)
    value = -1.0 if found is None else float(found)
    return value, value


def _of_side(pair: JudgedPair, what: What, side: int) -> float:
    """How long one side took; negative where there is nothing to be timed."""
    found: int | None
    if what == "answer":
        found = pair.shadow_latency_ns if side else pair.production_latency_ns
    else:
        found = (pair.first_message_ns if what == "first_message" else pair.message_gap_ns)[side]
    return -1.0 if found is None else float(found)
