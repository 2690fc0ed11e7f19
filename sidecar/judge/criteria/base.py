"""What every kind of criterion is made of: its settings, and the plan that counts and measures.

A kind is one file beside this one. It declares its settings (a `Criterion`) and its `Plan`:

    count       what one pair adds to the criterion's cells: increments of additive counters
    measure     a cell's estimate, and its evidence for and against
    interval    the same as bounds, for people
    magnitude   how bad one call was, to rank calls by
    said, about, unit, way    its words

Every kind scores a call in [low, high], and is good enough where the mean score is at most
`bound`. Whatever else a kind counts, "n" is the number of scores (weighted, where labels have
weights) and "k" their sum, so that evidence of sums over blocks of time is made alike for all.
"lost" counts calls that it is about and has no score of, because the shadow gave none: for PASS
they count as `high`, for FAIL as `low`.

Rule: increments depend on this call and on what `Memory` fixed before it; evidence is a pure
function of the counters, so it may be scaled and asked of merged ones. Increments other than "k"
are never negative. Counterparts: `criteria.kinds`, the list of kinds; `rate` and `mean`, the two
ways of measuring that most kinds share; `labelled`, for those that need labels.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, TypeAlias

from pydantic import Field

from sidecar.fields import Section
from sidecar.judge.criteria.memory import Memory
from sidecar.judge.criteria.units import Unit, Way
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.mixtures import Side, threshold
from sidecar.judge.pair import JudgedPair, Value

Glob = Annotated[str, Field(min_length=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Edges = Annotated[tuple[Finite, ...], Field(min_length=1, max_length=100)]
Share = Annotated[float, Field(gt=0, lt=1)]
Loss = Annotated[float, Field(ge=0, lt=1)]

Increments: TypeAlias = list[tuple[str, float]]
LOST: Increments = [("lost", 1.0)]
HORIZON = 1e5  # more than so many times the calls seen: no estimate


class Criterion(Section):
    """One thing that must be good enough, and how good that is."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
    kind: str
    margin: Finite  # in the kind's unit
    required: bool = False  # else informative: shown, and no part of the verdict
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0  # share of the rejecting alpha
    methods: Glob = "*"
    slices: tuple[Glob, ...] = ("*",)  # names of the slices in which it is watched too

    labelled: ClassVar[bool] = False  # needs labels
    alike: ClassVar[bool] = False  # exchanging production and shadow changes no score
    despite_coverage: ClassVar[bool] = False  # what it finds is what lowers coverage

    def plan(self, control_fraction: float) -> Plan:
        """Prepare it.

        Args:
            control_fraction: share of the calls that also go to the control; 0 without one.
        """
        raise NotImplementedError

    def wanted(self) -> tuple[str, ...]:
        """Globs of the outputs whose values it reads; none when it goes by the comparison."""
        return ()


class OutputCriterion(Criterion):
    """A criterion about outputs."""

    outputs: Glob = "*"  # names of the outputs that it is about


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a cell says about a criterion. Evidence is ln E; see `evidence`."""

    n: float  # calls; for labels, those that can be told apart
    estimate: float | None  # in the unit of the margin; None without calls
    log_pass: float
    log_fail: float

    def evidence(self, side: Side) -> float:
        """ln E for one claim."""
        return self.log_pass if side is Side.PASS else self.log_fail


NOTHING = Measurement(0.0, None, 0.0, 0.0)


class Plan(ABC):
    """A criterion with what follows from it and never changes."""

    criterion: Criterion
    low = 0.0  # the best score of a call
    high = 1.0  # the worst
    unit = Unit.SHARE
    way = Way.ABOVE
    net = False  # judged net of a control's

    def __init__(self, criterion: Criterion, control_fraction: float) -> None:
        self.criterion = criterion
        self.control_fraction = control_fraction

    @property
    def bound(self) -> float:
        """The mean score at most which it is good enough: the margin in units of the score."""
        return self.criterion.margin

    def covers(self, slice_name: str) -> bool:
        """Whether the criterion is watched in the slices of that name."""
        globs = self.criterion.slices
        return "*" in globs or any(fnmatchcase(slice_name, glob) for glob in globs)

    def concerns(self, pair: JudgedPair) -> bool:
        """Whether there is something to agree with, in a method that it is about."""
        return pair.answered and fnmatchcase(pair.method, self.criterion.methods)

    def increments(self, pair: JudgedPair, memory: Memory) -> Increments:
        """What one pair adds to its cells; nothing when the criterion is not about it."""
        return self.count(pair, memory) if self.concerns(pair) else []

    @abstractmethod
    def count(self, pair: JudgedPair, memory: Memory) -> Increments:
        """What a pair that it concerns adds.

        Args:
            pair: the call.
            memory: what has been learned of production so far; may learn from this call.
        """

    @abstractmethod
    def measure(
        self, cell: Mapping[str, float], scale: float = 1.0, lost: float = 0.0
    ) -> Measurement:
        """Estimate and evidence.

        Args:
            cell: its counters.
            scale: pretend that everything had been counted so many times.
            lost: calls that never became pairs, for a reason that may depend on them.
        """

    @abstractmethod
    def interval(
        self, cell: Mapping[str, float], alpha: float, lost: float = 0.0
    ) -> Interval | None:
        """Confidence sequence for the estimate, for people; None without calls."""

    def magnitude(self, pair: JudgedPair, counted: Increments) -> float:
        """How bad one call was, to rank calls by; 0 or less is not bad.

        Args:
            pair: the call.
            counted: what it added, from `increments`.
        """
        return math.fsum(weight for name, weight in counted if name in {"k", "lost"})

    @abstractmethod
    def said(self, estimate: float) -> str:
        """The estimate as half a sentence: "9.8 % of calls disagree"."""

    @abstractmethod
    def about(self) -> str:
        """What it measures, in a few words."""


def matched_values(glob: str, pair: JudgedPair) -> list[tuple[str, Value | None, Value | None]]:
    """The outputs with values that a glob names: (name, production's, shadow's)."""
    return [(name, a, b) for name, (a, b) in pair.values.items() if names(glob, name)]


def names(glob: str, name: str) -> bool:
    """Whether a glob names an output; "[i]" before the name says in which message it came."""
    if glob == "*":
        return True
    _, _, bare = name.rpartition("]") if name.startswith("[") else ("", "", name)
    return fnmatchcase(bare, glob)


def calls_needed(
    plan: Plan, cell: Mapping[str, float], limits: Mapping[Side, float], lost: float = 0.0
) -> int | None:
    """How many more calls until a claim can be made, if they are like those seen so far.

    Args:
        plan: the criterion.
        cell: its counters.
        limits: the ln E at which each claim is made.
        lost: see `Plan.measure`.

    Returns:
        None without calls, or when it would take more than `HORIZON` times those seen.
    """
    n = plan.measure(cell).n
    if n <= 0:
        return None

    def decided(scale: float) -> bool:
        scaled = plan.measure(cell, scale, lost)
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


def limits(alpha_pass: float, alpha_fail: float) -> dict[Side, float]:
    """The ln E at which each claim is made."""
    return {Side.PASS: threshold(alpha_pass), Side.FAIL: threshold(alpha_fail)}
