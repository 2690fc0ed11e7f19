"""A call that is over, as spans are built from it. Pure.

Rule: what is known is told, what nobody saw is left out; of messages only their sizes are read.
Counterparts: `pairs`, which gathers it; `words`, `attributes` and `spans`, which tell it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.call import Observation, SkipReason, Started
from sidecar.compare.result import Comparison, Outcome
from sidecar.telemetry.plan import SpanPlan

_RANK = {outcome: rank for rank, outcome in enumerate(Outcome)}


@dataclass(frozen=True, slots=True)
class Copy:
    """What became of a call with one shadow: exactly one of a comparison and a skip reason."""

    name: str
    role: str  # "shadow" or "control"
    address: str  # the server that the copy was sent to
    answer: Observation | None = None
    comparison: Comparison | None = None
    skip: SkipReason | None = None
    sent_ns: int | None = None  # None, without an answer: nothing was sent
    version: str = ""  # as configured
    verdict: str = ""  # the judge's latest on this shadow

    @property
    def was_sent(self) -> bool:
        """Whether the shadow knows of the call, and of the span that it was told."""
        return self.answer is not None or self.sent_ns is not None

    def times_ns(self, now_ns: int) -> tuple[int, int]:
        """When a copy was sent, and when its answer came or nobody waited for it any more."""
        if self.answer is not None:
            return self.answer.started_ns, max(self.answer.started_ns, self.answer.ended_ns)
        sent = now_ns if self.sent_ns is None else self.sent_ns
        return sent, max(sent, now_ns)

    @property
    def speaks(self) -> bool:
        """Whether its spans are wanted although they were not drawn.

        A pair that failed alike agrees, but someone will look for it.
        """
        return self.comparison is not None and self.comparison.outcome is not Outcome.EQUAL


@dataclass(frozen=True, slots=True)
class Finished:
    """A call whose every fate is known. Times are nanoseconds of the monotonic clock."""

    call: Started
    plan: SpanPlan
    production: Observation | None  # None: nobody saw how it ended
    copies: Sequence[Copy]  # the candidate before a control
    now_ns: int  # the end of what nobody saw end
    request_bytes: int = 0
    correlation_id: str = ""
    slices: tuple[tuple[str, str], ...] = ()
    page_url: str = ""
    trace_url: str = ""  # where a trace can be opened, with `{trace_id}` in it
    instrumented: bool = False  # production sends a span of its own

    @property
    def ended_ns(self) -> int:
        """The end of production's span."""
        end = self.now_ns if self.production is None else self.production.ended_ns
        return max(self.call.started_ns, end)

    @property
    def asked_ns(self) -> int | None:
        """When the request was complete, so that copies could be sent."""
        return None if self.production is None else self.production.started_ns

    @property
    def sent(self) -> list[Copy]:
        """Those that a copy was sent to."""
        return [copy for copy in self.copies if copy.was_sent]

    @property
    def control(self) -> Comparison | None:
        """What production's own second replica answered, beside shadows."""
        found = [copy.comparison for copy in self.copies if copy.role == "control"]
        return found[0] if found and len(found) < len(self.copies) else None

    @property
    def worst(self) -> Copy | None:
        """The copy that the whole call is named after: a shadow's before a control's."""
        sent = self.sent
        shadows = [copy for copy in sent if copy.role == "shadow"] or sent
        # `min` keeps the first of equals: the order of the configuration.
        return min(shadows, key=_rank, default=None)


def _rank(copy: Copy) -> int:
    return len(_RANK) if copy.comparison is None else _RANK[copy.comparison.outcome]
