"""Why was this call not compared? The latest of each reason, in bounded rings. Pure.

Rule: one ring for each reason, so that a flood of one does not wash another away; nothing of a
call is kept but its method, its ids and when. Of calls that the wire left out and that came
together one is kept, and of many in a short time some. Counterparts: `app`, which writes;
`/skipped`, `ListSkipped` and `shadow-sidecar skipped`, which read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from sidecar.call import SkipReason, Started
from sidecar.telemetry.ids import caller_traceparent, parse_traceparent

EACH = 128  # of one reason
APART_NS = 1_000_000  # between two of a ring that is full, of calls that the wire left out
TEXT = 256  # characters of what a caller sent


class Step(StrEnum):
    """Where on its way the call was left out: the steps of `sidecar/__init__.py`."""

    ADMITTED = "admitted"  # its header had been read
    QUEUED = "queued"  # its request was complete
    SHADOWED = "shadowed"  # it waited for the shadow, or was with it
    PAIRED = "paired"  # its request or production's answer could not be had whole


class Skip(NamedTuple):
    """One call that was not compared with one receiver."""

    number: int  # grows by one with each
    time_ns: int  # monotonic, when it was decided
    method: str
    traceparent: str  # as the caller sent it
    correlation_id: str  # of the caller's metadata, or of the request where it had been read
    receiver: str  # empty: all of them
    reason: SkipReason
    step: Step

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits; empty where the caller sent no trace."""
        context = parse_traceparent(self.traceparent)
        return context.trace_hex if context is not None else ""


class SkipLog:
    """The latest skips."""

    def __init__(self, correlation: str | None = None, each: int = EACH) -> None:
        """Nothing yet.

        Args:
            correlation: `judge.labels.correlation`; "metadata:NAME" is read from the header.
            each: how many of one reason are kept.
        """
        named = correlation is not None and correlation.startswith("metadata:")
        self._field = (correlation or "").removeprefix("metadata:") if named else ""
        self._rings: dict[SkipReason, deque[Skip]] = {r: deque(maxlen=each) for r in SkipReason}
        self._number = 0

    def add_some(self, call: Started, receiver: str, reason: SkipReason) -> None:
        """Remember one of the calls that the wire left out together, or none for its many likes."""
        ring = self._rings[reason]
        if len(ring) == ring.maxlen and call.started_ns - ring[-1].time_ns < APART_NS:
            return
        self.add(call, receiver, reason, Step.ADMITTED, call.started_ns)

    def add(
        self,
        call: Started,
        receiver: str,
        reason: SkipReason,
        step: Step,
        now_ns: int,
        request_id: str = "",
    ) -> None:
        """Remember one."""
        self._number += 1
        found = request_id
        if self._field:
            found = next((v for n, v in call.metadata if n == self._field), "")
        self._rings[reason].append(
            Skip(
                self._number,
                now_ns,
                call.method[:TEXT],
                caller_traceparent(call.metadata)[:TEXT],
                found[:TEXT],
                receiver,
                reason,
                step,
            )
        )

    def latest(
        self, limit: int, reasons: Iterable[SkipReason] | None = None, after: int = 0
    ) -> list[Skip]:
        """Up to `limit` of the latest, newest first.

        Args:
            limit: at least 1.
            reasons: of these only; None: all.
            after: with a larger number only.
        """
        chosen = SkipReason if reasons is None else reasons
        found = [s for reason in chosen for s in self._rings[reason] if s.number > after]
        return sorted(found, reverse=True)[:limit]
