"""What the latency kinds share: whom they compare with, and how that is said.

Rule: with a control the reference is the control, which the same client asks at the same place in
an order that is drawn per call, so that two identical servers are exchangeable and whatever the
observer, the connection or a busy machine adds falls on both alike. Without one the reference is
production, asked by another client; then `judge.latency.trust` says whether that may decide.
Counterparts: `judge.times`, the times themselves; `settings`, which refuses what is not trusted.
"""

from __future__ import annotations

from typing import ClassVar

from sidecar.judge.criteria.base import Criterion, Plan
from sidecar.judge.pair import JudgedPair
from sidecar.judge.times import Times, What, timed_of

# As benchmarks/aa.md has it: between production and a shadow, at 200 calls a second.
MEASURED_BIAS = "on two busy cores identical servers were shown up to 5.7 times apart at p50"


class OfTimes(Criterion):
    """A criterion about how long something took."""

    measures_latency: ClassVar[bool] = True
    of: ClassVar[What] = "answer"
    noun: ClassVar[str] = "latency"

    def times(self, plan: Plan, pair: JudgedPair) -> Times | None:
        """The reference's time and the shadow's; None where the call is not about it."""
        found = timed_of(pair, self.of, plan.control_fraction > 0)
        if found is None:
            return None
        return found.least, found.most, found.shadow_least, found.shadow_most

    def magnitude(self, plan: Plan, pair: JudgedPair, counted: object) -> float:
        """See `Criterion.magnitude`: seconds that it took longer, as far as is known."""
        found = self.times(plan, pair)
        return (found[2] - found[0]) / 1e9 if found else 0.0

    def share_of_lost(self, plan: Plan, counted: float) -> float:
        """See `Criterion.share_of_lost`: the control is drawn for a share of the calls."""
        return plan.control_fraction or 1.0

    def about_of(self, plan: Plan) -> str:
        """See `Criterion.about_of`."""
        if by_control(plan):
            return f"{self.about} against the control's"
        return f"{self.about} against production's; {MEASURED_BIAS}"


def by_control(plan: Plan) -> bool:
    """Whether the reference is the control."""
    return plan.control_fraction > 0
