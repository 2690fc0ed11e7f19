"""What a kind of criterion is: its settings, and everything that is particular to it.

Rule: a criterion is frozen and pure; what it counts of a pair are increments of additive counters
that are never negative, and what it says of a cell depends on these counters alone, so that cells
of pods and restarts can be added. Only calls that production answered are counted: there is
nothing to agree with otherwise. A shadow that failed disagrees, whatever its reason. Counterparts:
`verdict`, which asks for evidence, and `judge`, which keeps the cells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from sidecar.fields import Finite, Glob, Section
from sidecar.judge.criteria.shapes import Increments, Measurement, Scores, Unit
from sidecar.judge.evidence.bets import Bets
from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.mixtures import Side
from sidecar.judge.pair import JudgedPair
from sidecar.judge.ranges import Ranges
from sidecar.judge.tallies.of_kind import OfKind
from sidecar.judge.tallies.tally import Counted, Tally

HORIZON = 1e5  # more than so many times the calls seen: no estimate


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A criterion with what follows from it and never changes."""

    criterion: Criterion
    control_fraction: float = 0.0  # share of the calls that also go to the control
    net: bool = False  # judged net of the control's
    edges: tuple[float, ...] = ()  # of its histogram of scores, if it has one
    swing: float = 1.0  # see `evidence.bets.Bets`

    def covers(self, slice_name: str) -> bool:
        """Whether the criterion is watched in the slices of that name."""
        return self.criterion.watches(slice_name)

    def is_about(self, pair: JudgedPair) -> bool:
        """Whether the criterion is about the call: production answered, and the method is its."""
        methods = self.criterion.methods
        return pair.answered and (methods == "*" or fnmatchcase(pair.method, methods))

    def score(self, counted: Counted) -> float | None:
        """A call's score, of what it added: in the unit of the margin; None if it has none."""
        worst, best = counted.worst, counted.best
        if counted.n <= 0 or not self.criterion.figure_is_mean or worst != best:
            return None  # not known, or not to its end
        return (-worst if self.criterion.is_downward else worst) / counted.n

    def measure(self, cell: Mapping[str, float], scale: float = 1.0) -> Measurement:
        """See `Criterion.measure`."""
        return self.criterion.measure(self, cell, scale)

    def interval(self, cell: Mapping[str, float], alpha: float) -> Interval | None:
        """See `Criterion.interval`."""
        return self.criterion.interval(self, cell, alpha)

    def calls_needed(self, cell: Mapping[str, float], limits: Mapping[Side, float]) -> int | None:
        """See `Criterion.calls_needed`."""
        return self.criterion.calls_needed(self, cell, limits)


class Criterion(Section):
    """One thing that must be good enough, and how good that is."""

    kind: str  # one of those below
    # As the report calls it: small letters, digits, ".", "_" and "-".
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
    # How much worse the shadow may be, in the unit of what the kind measures: a share, a change, a
    # difference of shares, or seconds; 0.01 is 1 % of calls.
    margin: Finite
    required: bool = False  # else informative: shown, and no part of the verdict
    # Its share of the alpha that FAIL may err by, beside the other required criteria.
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    methods: Glob = "*"  # glob over the methods that it is about
    slices: tuple[Glob, ...] = ("*",)  # names of the slices in which it is watched too
    # How bad a slice may be for PASS to count it as shown, in the unit of margin; none: twice the
    # margin.
    slice_margin: Finite | None = None

    needs_labels: ClassVar[bool] = False
    needs_values: ClassVar[bool] = False  # reads values of outputs, beside what the comparison told
    measures_latency: ClassVar[bool] = False
    figure_is_mean: ClassVar[bool] = True  # the figure is the mean of the score that blocks add up
    is_of_failures: ClassVar[bool] = False  # what makes calls fail must not hide its evidence

    @model_validator(mode="after")
    def _consistent(self) -> Criterion:
        if problems := self.problems():
            raise ValueError("; ".join(problems))
        return self

    def watches(self, slice_name: str) -> bool:
        """Whether it is watched in the slices of that name."""
        return "*" in self.slices or any(fnmatchcase(slice_name, glob) for glob in self.slices)

    @property
    def labels_all(self) -> bool:
        """Whether it counts a call only with its label, whatever both sides said."""
        return False

    @property
    def reads_outputs(self) -> str:
        """A glob over the outputs that it is about; empty when it is about none."""
        return str(getattr(self, "outputs", ""))

    def problems(self) -> list[str]:
        """What is wrong with the settings, a line each."""
        return [] if 0 < self.margin < 1 else ["margin must be between 0 and 1"]

    def plan(self, control_fraction: float = 0.0) -> Plan:
        """Prepare.

        Args:
            control_fraction: share of the calls that also go to the control; 0 without one.
        """
        return Plan(self, control_fraction)

    # ---- what it counts -------------------------------------------------------------------------

    def tally(self, plan: Plan) -> Tally:
        """Who counts calls for it; a kind that is declared for most has its own (`tallies`)."""
        return OfKind(plan)

    def count(self, plan: Plan, pair: JudgedPair, ranges: Ranges) -> Increments:
        """What an answered call adds to a cell; asked where there is no `tally` of its own."""
        raise NotImplementedError

    def magnitude(self, plan: Plan, pair: JudgedPair, counted: Increments) -> float:
        """How bad one call was, to rank calls by; 0 or less is not bad.

        Args:
            plan: the criterion's.
            pair: the call.
            counted: what it added.
        """
        bad = 0.0
        for name, weight in counted:
            if name == "k":
                bad += weight
        return bad

    def claims(self, plan: Plan) -> tuple[Bets, ...]:
        """The claims that blocks of time are evidence for.

        Empty for a kind that has none: its evidence takes calls as independent. With two claims
        PASS needs both, and FAIL either.
        """
        return ()

    def scored(self, plan: Plan, counted: Increments) -> Scores:
        """Of what a call added: its weight, and for each claim what it adds to a block's sums."""
        return 0.0, ()

    def unread(self, plan: Plan, counted: Increments) -> tuple[Increments, frozenset[Side]]:
        """What is to be added when calls that were compared as bytes turn out to be unknown.

        Equal bytes are equal values; bytes that differ may be equal values all the same.

        Args:
            plan: the criterion's.
            counted: what they added, together.

        Returns:
            More increments, and the claims that those calls told of; nothing where the bytes did
            not matter.
        """
        return [], frozenset()

    def share_of_lost(self, plan: Plan, counted: float) -> float:
        """Of the calls that were lost, what share would have counted, by a draw of their own.

        Args:
            plan: the criterion's.
            counted: the share of the calls that were compared that did.
        """
        return 1.0

    def with_lost(self, plan: Plan, cell: Mapping[str, float], calls: float) -> Mapping[str, float]:
        """A cell's counters with calls that were lost, where they can be told as not known.

        As FAIL counts them: at their best.

        Args:
            plan: the criterion's.
            cell: its counters.
            calls: how many were lost.
        """
        return cell

    def with_worst(
        self, plan: Plan, cell: Mapping[str, float], calls: float
    ) -> Mapping[str, float]:
        """The same for PASS; arguments as for `with_lost`."""
        return self.with_lost(plan, cell, calls)

    # ---- what it says ---------------------------------------------------------------------------

    def measure(self, plan: Plan, cell: Mapping[str, float], scale: float = 1.0) -> Measurement:
        """Estimate and evidence.

        Args:
            plan: the criterion's.
            cell: its counters.
            scale: pretend that everything had been counted so many times.
        """
        raise NotImplementedError

    def interval(self, plan: Plan, cell: Mapping[str, float], alpha: float) -> Interval | None:
        """Confidence sequence for the estimate, for people; None without calls."""
        raise NotImplementedError

    def interval_by_blocks(
        self, plan: Plan, cell: Mapping[str, float], blocks: Sequence[Blocks], alpha: float
    ) -> Interval | None:
        """The interval that goes with evidence from blocks, one for each of `claims`."""
        low, high = blocks[0].interval(alpha)
        return (-high, -low) if self.is_downward else (low, high)

    def control_rate(self, plan: Plan, cell: Mapping[str, float]) -> float | None:
        """How much a control itself differs, where its differences are taken off; else None."""
        return None

    def noise(self, plan: Plan, cell: Mapping[str, float]) -> tuple[float, float]:
        """How many answers of a control count, and the sum of the scores by which those differ.

        Scores in [0, 1]; two zeroes where no differences of a control are taken off.
        """
        return 0.0, 0.0

    def calls_needed(
        self, plan: Plan, cell: Mapping[str, float], limits: Mapping[Side, float]
    ) -> int | None:
        """How many more calls until a claim can be made, if they are like those seen so far.

        Args:
            plan: the criterion's.
            cell: its counters.
            limits: the ln E at which each claim is made.

        Returns:
            None without calls, or when it would take more than `HORIZON` times those seen.
        """
        n = self.measure(plan, cell).n
        if n <= 0:
            return None

        def decided(scale: float) -> bool:
            scaled = self.measure(plan, cell, scale)
            return any(scaled.evidence(side) >= limit for side, limit in limits.items())

        if decided(1.0):
            return 0
        far = 1.0
        while not decided(far):
            far *= 4
            if far > HORIZON:
                return None
        near = far / 4
        while far / near > 1.02:
            middle = math.sqrt(near * far)
            near, far = (near, middle) if decided(middle) else (middle, far)
        return math.ceil(n * (far - 1))

    # ---- words ----------------------------------------------------------------------------------

    @property
    def unit(self) -> Unit:
        """How its figures are written."""
        return Unit.SHARE

    @property
    def about(self) -> str:
        """What it measures, in a few words."""
        raise NotImplementedError

    def about_of(self, plan: Plan) -> str:
        """The same, with whom it is compared with."""
        return self.about

    def said(self, plan: Plan, figure: str) -> str:
        """Half a sentence around a figure: "9.8 % of calls disagree"."""
        raise NotImplementedError

    @property
    def is_two_sided(self) -> bool:
        """Whether too little is as bad as too much."""
        return False

    @property
    def is_downward(self) -> bool:
        """Whether too little is what is bad, and too much is not."""
        return False
