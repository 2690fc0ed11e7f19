"""Mean signed relative error of numeric outputs, 2(b-a)/(|a|+|b|), in [-2, 2].

A number that is not finite on one side only, or an answer that is missing, is as far off as can be,
in the direction that is bad. Where no element is finite on either side, both say the same: nothing
is counted. Of outputs whose types differ nothing is known, unless their values are here and are
numbers: for PASS that is as far off as can be, for FAIL not at all; nor is anything known of an
answer that cannot be read, where no other of its method could be. Counters: n, and a splat
histogram; for what is not known two (see `mean`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np

from sidecar.compare.result import Outcome
from sidecar.fields import Glob
from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.counting import (
    UNREADABLE,
    covers,
    matched_values,
    splat_mean,
    splatted,
)
from sidecar.judge.criteria.mean import Mean
from sidecar.judge.criteria.shapes import Increments, Unit
from sidecar.judge.evidence.splat import signed_edges
from sidecar.judge.pair import JudgedPair, Value
from sidecar.judge.ranges import Ranges

SIGNED = "signed_relative"  # the comparison's figure, a mean over the output
MOST = 2.0
_BROKEN = frozenset({Outcome.NONFINITE, Outcome.MISSING_OUTPUT, Outcome.SHAPE, Outcome.RANK})


class Bias(Mean):
    """Are outputs larger, or smaller, on average."""

    kind: Literal["bias"] = "bias"
    outputs: Glob = "*"  # glob over the names of the outputs that it is about
    direction: Literal["increase", "decrease", "both"] = "both"  # which way is bad

    def problems(self) -> list[str]:
        """See `Criterion.problems`."""
        return [] if 0 < self.margin < MOST else ["margin must be between 0 and 2"]

    def plan(self, control_fraction: float = 0.0) -> Plan:
        """See `Criterion.plan`."""
        return Plan(self, control_fraction, edges=signed_edges(MOST))

    def count(self, plan: Plan, pair: JudgedPair, ranges: Ranges) -> Increments:
        """See `Criterion.count`."""
        worst = -MOST if self.is_downward else MOST
        broken, unread = pair.failed, pair.comparison.outcome in UNREADABLE
        unknown = 0
        if unread and not broken:
            about = ranges.is_about(self.name, self.outputs, pair.method)
            broken, unknown = bool(about), int(about is None)
        found = [worst] if broken else []
        for output in pair.comparison.outputs:
            if covers(self.outputs, output.name):
                if output.outcome in _BROKEN:
                    found.append(worst)
                elif output.outcome is Outcome.DTYPE:
                    sides = pair.values.get(output.name, (None, None))
                    told = list(signed_relative(*sides))
                    found += told
                    unknown += not told
                elif SIGNED in output.raw:
                    found.append(output.raw[SIGNED])
        if not found and not unknown:
            values = matched_values(self.outputs, pair)
            found = [x for _, a, b in values for x in signed_relative(a, b)]
        many, known = len(found) + unknown, math.fsum(found)
        if not unread and not pair.failed and self.outputs != "*":
            ranges.has_outputs(self.name, pair.method, has=many > 0)
        if not many:
            return []
        if not unknown:
            return [("n", 1.0), *splatted(known / many, plan.edges)]
        ends = (("w", known + unknown * worst), ("g", known))
        return [
            ("n", 1.0),
            *(
                (f"{end}{name}", weight)
                for end, total in ends
                for name, weight in splatted(total / many, plan.edges)
            ),
        ]

    def magnitude(self, plan: Plan, pair: JudgedPair, counted: Increments) -> float:
        """See `Criterion.magnitude`."""
        known = [(name.lstrip("w"), weight) for name, weight in counted]
        mean = splat_mean(plan.edges, known)
        if self.is_two_sided:
            return abs(mean)
        return -mean if self.is_downward else mean

    @property
    def unit(self) -> Unit:
        """See `Criterion.unit`."""
        return Unit.CHANGE

    @property
    def about(self) -> str:
        """See `Criterion.about`."""
        return "mean signed relative error"

    def said(self, plan: Plan, figure: str) -> str:
        """See `Criterion.said`."""
        return f"outputs are {figure} off on average"

    @property
    def is_two_sided(self) -> bool:
        """See `Criterion.is_two_sided`."""
        return self.direction == "both"

    @property
    def is_downward(self) -> bool:
        """See `Criterion.is_downward`."""
        return self.direction == "decrease"


def signed_relative(a: Value | None, b: Value | None) -> Iterator[float]:
    """Mean of 2(b-a)/(|a|+|b|) over the elements that are finite on both sides; 0 for 0 and 0."""
    if a is None or b is None:
        return
    x, y = np.atleast_1d(np.asarray(a)), np.atleast_1d(np.asarray(b))
    if x.shape != y.shape or {x.dtype.kind, y.dtype.kind} - set("biuf"):
        return
    x, y = x.astype(np.float64), y.astype(np.float64)
    both = np.isfinite(x) & np.isfinite(y)
    if both.any():
        x, y = x[both], y[both]
        size = np.abs(x) / 2 + np.abs(y) / 2  # halves, so that the largest floats do not overflow
        # A size of zero means that both are zero; any divisor gives the difference, zero.
        yield float(np.mean((y / 2 - x / 2) / np.where(size > 0, size, 1.0))) * 2
