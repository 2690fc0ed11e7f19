"""Share, or mean score, of calls whose outputs disagree; net of a control's, where there is one.

Counters: n, k (sum of scores); net of a control also controls (calls to which it gave an answer)
and a splat histogram of the score less the control's, weighted by the control's fraction; where a
control that was asked gave none, two: of the score at its worst (w before the edge), and at its
best (g). An answer of a control that cannot be compared, or tells another version than
production's, is none (strange: how many told another), for it does not tell what is noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sidecar.fields import Glob
from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.rate_or_mean import RateOrMean
from sidecar.judge.criteria.shapes import Increments
from sidecar.judge.evidence.mixtures import Side
from sidecar.judge.evidence.splat import even_edges
from sidecar.judge.tallies.rates import Disagreements
from sidecar.judge.tallies.tally import Tally


class Disagreement(RateOrMean):
    """Do the answers disagree."""

    kind: Literal["disagreement"] = "disagreement"
    outputs: Glob = "*"  # glob over the names of the outputs that it is about
    score: Literal["any", "mean"] = "any"  # does any output differ, or how much
    net: bool = True  # net of the control's, where there is a control

    def plan(self, control_fraction: float = 0.0) -> Plan:
        """See `Criterion.plan`."""
        if not self.net or control_fraction <= 0:
            return Plan(self, control_fraction)
        heaviest = 1 / control_fraction  # weight of a controlled call, so that means agree
        edges = even_edges(-heaviest, 1.0, also=(0.0, 1.0 - heaviest))
        return Plan(self, control_fraction, net=True, edges=edges)

    def tally(self, plan: Plan) -> Tally:
        """See `Criterion.tally`."""
        return Disagreements(
            self.methods,
            self.outputs,
            mean=self.score == "mean",
            net=plan.net,
            control_fraction=plan.control_fraction,
            edges=plan.edges,
        )

    def unread(self, plan: Plan, counted: Increments) -> tuple[Increments, frozenset[Side]]:
        """See `Criterion.unread`; a control's bytes that differ may have excused too much."""
        found: Increments = []
        if not plan.net:
            for name, weight in counted:
                if name == "k":
                    found += [("k", -weight), ("open", weight)]
            return found, frozenset({Side.FAIL})
        last = len(plan.edges) - 1
        for name, weight in counted:
            if name == "k":
                found.append(("k", -weight))
            elif name.isdigit() and plan.edges[int(name)]:
                found += [(name, -weight), (f"w{last}", weight), ("g0", weight)]
        return found, frozenset(Side)

    def is_mean(self, plan: Plan) -> bool:
        """See `RateOrMean.is_mean`."""
        return plan.net

    def control_rate(self, plan: Plan, cell: Mapping[str, float]) -> float | None:
        """See `Criterion.control_rate`: what was taken off the shadow's own rate."""
        n, found = cell.get("n", 0.0), self.measure(plan, cell)
        if not plan.net or n <= 0 or found.estimate is None:
            return None
        return max(0.0, cell.get("k", 0.0) / n - found.estimate)

    def noise(self, plan: Plan, cell: Mapping[str, float]) -> tuple[float, float]:
        """See `Criterion.noise`: from the sums of the scores, and of the scores less the control's.

        Of the calls whose control gave no answer the scores are in histograms of their own.
        """
        controls = cell.get("controls", 0.0)
        if not plan.net or controls <= 0:
            return 0.0, 0.0
        scores = cell.get("k", 0.0)
        less = 0.0
        for i, edge in enumerate(plan.edges):
            less += edge * cell.get(f"{i}", 0.0)
            scores -= edge * cell.get(f"w{i}", 0.0)
        differing = plan.control_fraction * (scores - less)
        # What is below a millionth of an answer is of adding up.
        return controls, min(controls, differing) if differing > 1e-6 * controls else 0.0

    @property
    def about(self) -> str:
        """See `Criterion.about`."""
        return "calls whose answers disagree"

    def said(self, plan: Plan, figure: str) -> str:
        """See `Criterion.said`."""
        what = "of calls disagree" if self.score == "any" else "apart on average"
        return f"{figure} {what}{', net of the control' if plan.net else ''}"
