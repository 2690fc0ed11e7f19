"""What the user declares before the shadow starts: criteria, budgets, slices, labels.

Rule: everything that a verdict depends on is declared and fixed; a change of it restarts evidence.
A kind of criterion has its own settings, in `criteria/`.
Counterpart: `sidecar.settings.settings`, which holds these settings as its section `judge`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from sidecar.fields import AtLeast0, Count, Fraction, Glob, Seconds, Section
from sidecar.judge.criteria.disagreement import Disagreement
from sidecar.judge.criteria.kinds import AnyCriterion
from sidecar.judge.criteria.latency_ratio import LatencyRatio
from sidecar.judge.criteria.shadow_error_rate import ShadowErrorRate
from sidecar.judge.decision import Edges
from sidecar.judge.distributions import DriftSettings
from sidecar.judge.evidence.block_sums import check_lengths
from sidecar.judge.evidence.likeness import LENGTHS, UNSEEN_SECONDS
from sidecar.judge.labels import LabelSettings

SOURCES = "method, model, label, metadata:KEY, field:INPUT, class:OUTPUT"


def _source(text: str) -> str:
    if not re.fullmatch(r"method|model|label|(metadata|field|class):.+", text):
        raise ValueError(f"must be one of {SOURCES}")
    return text


Source = Annotated[str, AfterValidator(_source)]


class SliceSettings(Section):
    """One way of dividing the traffic."""

    source: Source
    name: Annotated[str, Field(pattern=r"^[^=]*$")] = ""  # empty: the part after the colon
    bins: Edges | None = None  # numbers become ranges between these edges

    @property
    def label(self) -> str:
        """The name it goes by."""
        return self.name or self.source.rpartition(":")[2]


class ExampleSettings(Section):
    """What calls worth a look may show of their payload: nothing, unless it is allowed here."""

    values: bool = False  # values of the request and of the outputs that differ; masked, but for
    reveal_outputs: tuple[Glob, ...] = ()  # these outputs, on both sides
    reveal_inputs: tuple[Glob, ...] = ()  # and these fields of the request
    max_elements: Annotated[int, Field(ge=1, le=64)] = 8  # of each tensor

    @model_validator(mode="after")
    def _allowed(self) -> ExampleSettings:
        if (self.reveal_outputs or self.reveal_inputs) and not self.values:
            raise ValueError("reveal_outputs and reveal_inputs need values: true")
        return self


class LatencySettings(Section):
    """Whether latency against production itself may decide."""

    # control: only beside a control, which the same client asks in a drawn order; direct: also
    # against production, which is asked by other clients on other connections.
    trust: Literal["control", "direct"] = "control"


DEFAULT_CRITERIA: tuple[AnyCriterion, ...] = (
    Disagreement(name="disagreement", margin=0.01),
    ShadowErrorRate(name="shadow-errors", margin=0.005),
    LatencyRatio(name="latency-p50", margin=0.1, quantile=0.5, slices=()),
    LatencyRatio(name="latency-p95", margin=0.1, quantile=0.95, slices=()),
    LatencyRatio(name="latency-p99", margin=0.2, quantile=0.99, slices=()),
)
"""What runs, as informative, when no criteria are given."""


class JudgeSettings(Section):
    """What good enough means, and how long to look for it."""

    criteria: Annotated[tuple[AnyCriterion, ...], Field(max_length=64)] = DEFAULT_CRITERIA
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05  # half for false PASS, half for false FAIL
    coverage_floor: Fraction = 0.9
    # Evidence from calls, each taken as new, not from blocks of time: for replays of shuffled data.
    independent_calls: bool = False
    # Lengths of blocks of time, the shortest of which is decided at whose neighbours are not alike.
    block_seconds: Annotated[tuple[Seconds, ...], Field(min_length=1, max_length=6)] = LENGTHS
    unseen_seconds: Seconds = UNSEEN_SECONDS  # how long bursts may be while none has been seen
    # Until a whole day has been seen: how many times as high as over the day an hour's rate may be.
    # So before that only harm beyond as many margins FAILs; 1: rates do not swing with the hour.
    swing: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)] = 2.0
    min_duration_seconds: AtLeast0 = 3600.0  # for PASS
    min_blocks: Annotated[int, Field(ge=0)] = 30  # of the length that is decided at, for PASS
    min_calls: Count = 100
    min_effective_calls: AtLeast0 = 100.0  # calls that count as new, for PASS
    # Inputs that count as distinct, for PASS: a few that are asked again and again are worth few.
    min_distinct_inputs: AtLeast0 = 30.0
    # The share of its answers that a control may differ in, for PASS (the criterion's margin, where
    # that is larger): what it differs in is excused, and a broken one would excuse everything.
    max_noise: Fraction = 0.1
    # How many shadows are tried at once, for with each one a false PASS is likelier: PASS of each
    # takes its part of alpha. 0: as many as are configured.
    candidates: Annotated[int, Field(ge=0, le=1000)] = 0
    max_duration_seconds: Seconds | None = None
    max_calls: Count | None = None
    slices: tuple[SliceSettings, ...] = ()
    max_slices: Count = 64
    # Blocks of a slice (calls, where those are independent) without which PASS says "not shown for"
    # it, unless its interval lies within the criterion's slice_margin.
    slice_min_blocks: Annotated[int, Field(ge=0)] = 30
    # A slice of a required criterion that is found worse: say so, forbid PASS, or make it FAIL.
    flagged: Literal["report", "hold", "fail"] = "fail"
    labels: LabelSettings = LabelSettings()
    latency: LatencySettings = LatencySettings()
    drift: DriftSettings = DriftSettings()
    worst: Annotated[int, Field(ge=0, le=1000)] = 10  # worst pairs kept for each criterion, slice
    sample: Annotated[int, Field(ge=0, le=1000)] = 20  # uniform sample of pairs, likewise
    examples: ExampleSettings = ExampleSettings()
    # Identical requests that arrive within it count once, the first of them. Not given: 1 with
    # `independent_calls`; else 0, for blocks take account of calls that are alike.
    repeat_seconds: AtLeast0 | None = None
    # Where answers do not name their model's version: a field of their metadata that does, and
    # what production's is else (`shadows[].version` is the shadow's).
    version_metadata: Annotated[str, Field(pattern=r"^[a-z0-9_.-]*$")] = ""
    production_version: str = ""

    def needs_labels(self, name: str) -> bool:
        """Whether the criterion of that name is about labels."""
        return any(c.name == name and c.needs_labels for c in self.criteria)

    @property
    def repeats_within(self) -> float:
        """Seconds within which identical requests count once; 0: each counts."""
        if self.repeat_seconds is not None:
            return self.repeat_seconds
        return 1.0 if self.independent_calls else 0.0

    @model_validator(mode="after")
    def _consistent(self) -> JudgeSettings:
        problems = [
            *_twice("criteria", [criterion.name for criterion in self.criteria]),
            *_twice("slices", [s.label for s in self.slices]),
            *(p for s in self.slices for p in self._misleading(s)),
        ]
        if self.max_calls is not None and self.max_calls < self.min_calls:
            problems.append("max_calls must be at least min_calls")
        try:
            check_lengths(self.block_seconds)
        except ValueError as error:
            problems.append(f"block_seconds: {error}")
        longest = self.max_duration_seconds
        if longest is not None and longest < self.min_duration_seconds:
            problems.append("max_duration_seconds must be at least min_duration_seconds")
        if problems:
            raise ValueError("; ".join(sorted(problems)))
        return self

    def _misleading(self, divided: SliceSettings) -> list[str]:
        """What is wrong with a division of the traffic, a line each."""
        by_labels = [c for c in self.criteria if c.needs_labels and c.watches(divided.label)]
        if divided.source.startswith("class:") and by_labels:
            return [
                f"slices: {divided.source} divides by what production said, and among those calls "
                "production is right more often than a candidate that is as good: "
                f"{_names(by_labels)} would find it worse. Divide by the truth (`source: label`) "
                f'or by an input (`field:NAME`), or leave "{divided.label}" out of `slices` of '
                "these criteria"
            ]
        if divided.source == "label" and not any(c.labels_all for c in by_labels):
            return [
                "slices: source: label needs a criterion with `labels: sample`, for the label of a "
                "call is known only where one is given"
            ]
        return []


def _names(criteria: Iterable[AnyCriterion]) -> str:
    return ", ".join(f"{c.name} ({c.kind})" for c in criteria)


def untrusted(settings: JudgeSettings, has_control: bool) -> list[str]:
    """What is wrong with requiring a latency here, a line each; see `LatencySettings`."""
    if has_control or settings.latency.trust == "direct":
        return []
    return [
        f"judge.criteria: {c.name} ({c.kind}) cannot be required without a control: two identical "
        "servers can differ by more than a slower one does. Add a second replica of production "
        "under `shadows` with `role: control`, or leave `required` out, or write "
        "`judge.latency: {trust: direct}` to take production's own latency for it"
        for c in settings.criteria
        if c.required and c.measures_latency
    ]


def _twice(key: str, names: list[str]) -> list[str]:
    return [f"{key}: name {n!r} is used twice" for n in set(names) if names.count(n) > 1]
