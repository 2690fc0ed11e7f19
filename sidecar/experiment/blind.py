"""Calls that only the wire saw: on connections whose copy had lost its place.

Rule: what could not be seen must not be taken for agreement. The wire counts such calls without
reading them, so each is taken for one that was to be compared, by the chance that the operator
gave it; which errs towards lower coverage. The wire tells once a second: so much older than its
calls coverage may be. Pure. Counterparts: the STATS record, which carries the wire's counter;
`judging`, whose coverage this is part of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.call import INELIGIBLE, SkipReason
from sidecar.experiment.ledger import Counts

_COUNTER = "blind_calls_total"
_SESSIONS = "tap_sessions"


class BlindCalls:
    """What the wire counted while this observer was attached, this observer's share of it."""

    def __init__(self) -> None:
        self._last: int | None = None

    def detached(self) -> None:
        """The next figures are another wire's, or come after a time without us."""
        self._last = None

    def since_last(self, figures: Mapping[str, Any]) -> float:
        """How many calls came since the last figures; of those before the first nobody knows.

        Observers that share a wire share its count, so that their sum is right.
        """
        now = int(figures.get(_COUNTER, 0))
        last, self._last = self._last, now
        if last is None:
            return 0.0
        return max(0, now - last) / max(1, int(figures.get(_SESSIONS, 1)))


def chance(counts: Counts, fraction: float) -> float:
    """The chance that a call was to be compared: sampled, and within the rate limit.

    Args:
        counts: what became of a shadow's calls so far.
        fraction: the share of calls that sampling leaves.
    """
    chosen = sum(counts.skipped[reason] for reason in INELIGIBLE)
    eligible = counts.seen - counts.in_flight - chosen
    limited = counts.skipped[SkipReason.RATE_LIMITED]
    return fraction * (eligible / (eligible + limited) if limited else 1.0)
