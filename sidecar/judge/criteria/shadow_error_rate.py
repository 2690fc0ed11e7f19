"""Share of the calls that production answered and the shadow did not."""

from __future__ import annotations

from typing import ClassVar, Literal

from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.rate import Rate
from sidecar.judge.tallies.rates import ShadowErrors
from sidecar.judge.tallies.tally import Tally


class ShadowErrorRate(Rate):
    """Does the shadow fail."""

    kind: Literal["shadow_error_rate"] = "shadow_error_rate"
    # Its errors open the shadow's breaker, which lowers coverage: so its evidence stands all the
    # same.
    is_of_failures: ClassVar[bool] = True

    def tally(self, plan: Plan) -> Tally:
        """See `Criterion.tally`."""
        return ShadowErrors(self.methods)

    @property
    def about(self) -> str:
        """See `Criterion.about`."""
        return "calls that only the shadow failed"

    def said(self, plan: Plan, figure: str) -> str:
        """See `Criterion.said`."""
        return f"{figure} of calls fail"
