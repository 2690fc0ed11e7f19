"""What the user declares before the shadow starts: criteria, budgets, slices, labels.

Rule: everything that a verdict depends on is here and fixed; a change of it restarts evidence.
Counterpart: `sidecar.settings.settings`, which holds these settings as its section `judge`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sidecar.fields import Count, Fraction, Seconds, Section

Glob = Annotated[str, Field(min_length=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Edges = Annotated[tuple[Finite, ...], Field(min_length=1, max_length=100)]

Kind = Literal[
    "disagreement",  # share or mean score of calls whose outputs disagree, net of a control's
    "bias",  # mean signed relative error of a numeric output, in [-2, 2]
    "shadow_error_rate",  # share of calls that production answered and the shadow did not
    "latency_ratio",  # a quantile of the shadow's latency against production's: margin 0.1 is +10 %
    "latency_difference",  # mean of shadow minus production in seconds, within a declared range
    "decision_flips",  # share of calls whose decision changes, or its mean cost
    "out_of_range",  # share of shadow outputs outside production's observed or a declared range
    "accuracy",  # these six need labels; the margin is how much worse the shadow may be
    "precision",
    "recall",
    "f1",
    "precision_at_k",
    "recall_at_k",
]
LABELLED = frozenset({"accuracy", "precision", "recall", "f1", "precision_at_k", "recall_at_k"})
CLASSES = frozenset({"precision", "recall", "f1"})  # about one class: they need every label
AT_K = frozenset({"precision_at_k", "recall_at_k"})
RATES = frozenset({"disagreement", "shadow_error_rate", "out_of_range"}) | LABELLED


class Decision(Section):
    """What is done with an output downstream; exactly one of the first four."""

    threshold: Finite | None = None  # decision 1 above it, else 0
    argmax: bool = False  # the index of the largest along the last axis
    top_k: Count | None = None  # the set of the k largest along the last axis
    bands: Edges | None = None  # the number of edges at or below the value
    cost: tuple[tuple[Finite, ...], ...] | None = None  # [production's decision][shadow's]

    @model_validator(mode="after")
    def _one_rule(self) -> Decision:
        given = [self.threshold is not None, self.argmax, self.top_k is not None, bool(self.bands)]
        if sum(given) != 1:
            raise ValueError("give exactly one of threshold, argmax, top_k, bands")
        if self.bands is not None and list(self.bands) != sorted(set(self.bands)):
            raise ValueError("bands must ascend")
        if self.cost is None:
            return self
        size = len(self.cost)
        if any(len(row) != size for row in self.cost):
            raise ValueError("cost must be square: a row for each of production's decisions")
        if self.top_k is not None:
            raise ValueError("cost does not go with top_k")
        needed = 2 if self.threshold is not None else len(self.bands) + 1 if self.bands else 2
        if size < needed or (size > needed and not self.argmax):
            raise ValueError(f"cost needs {needed} rows, one for each decision")
        if len({value for row in self.cost for value in row}) == 1:
            raise ValueError("cost must distinguish at least two outcomes")
        return self

    @property
    def cost_range(self) -> tuple[float, float]:
        """The smallest and the largest cost; (0, 1) without costs."""
        flat = [value for row in self.cost or ((0.0, 1.0),) for value in row]
        return min(flat), max(flat)


class Criterion(Section):
    """One thing that must be good enough, and how good that is."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
    kind: Kind
    margin: Finite  # in the kind's unit
    required: bool = False  # else informative: shown, and no part of the verdict
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0  # share of the rejecting alpha
    direction: Literal["increase", "decrease", "both"] = "both"  # bias: which way is bad
    outputs: Glob = "*"
    methods: Glob = "*"
    slices: tuple[Glob, ...] = ("*",)  # names of the slices in which it is watched too
    score: Literal["any", "mean"] = "any"  # disagreement: does any output differ, or how much
    net: bool = True  # disagreement: net of the control's, where there is a control
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.95  # latency_ratio
    range_seconds: Seconds = 1.0  # latency_difference: larger differences count as this large
    decision: Decision | None = None  # decision_flips, accuracy and what concerns a class
    positive: int = 1  # precision, recall, f1: the decision that counts as positive
    k: Count = 10  # precision_at_k, recall_at_k
    labels: Literal["disagreements", "sample"] = "disagreements"  # which pairs get labels
    range: tuple[Finite, Finite] | None = None  # out_of_range; None: learned from production
    warmup_calls: Count = 1000  # out_of_range: calls from which a range is learned

    @model_validator(mode="after")
    def _consistent(self) -> Criterion:
        problems = [*self._margin_problems(), *self._decision_problems()]
        if self.range is not None and self.range[0] >= self.range[1]:
            problems.append("range must ascend")
        if self.kind in CLASSES and self.labels != "sample":
            problems.append(
                f"{self.kind} needs labels: sample, since it also depends on agreements"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _margin_problems(self) -> list[str]:
        m = self.margin
        if self.kind in LABELLED:
            return [] if 0 <= m < 1 else ["margin must be at least 0 and below 1"]
        if self.kind in RATES or (self.kind == "decision_flips" and not self._costs):
            return [] if 0 < m < 1 else ["margin must be between 0 and 1"]
        if self.kind == "bias":
            return [] if 0 < m < 2 else ["margin must be between 0 and 2"]
        if self.kind == "latency_ratio":
            return [] if 0 < m <= 100 else ["margin must be above 0, at most 100"]
        if self.kind == "latency_difference":
            allowed = -self.range_seconds < m < self.range_seconds
            return [] if allowed else ["margin must lie within range_seconds"]
        low, high = self.decision.cost_range if self.decision else (0.0, 1.0)
        return [] if low < m < high else [f"margin must lie between the costs {low} and {high}"]

    def _decision_problems(self) -> list[str]:
        if self.kind in {"decision_flips", "accuracy"} | CLASSES and self.decision is None:
            return [f"{self.kind} needs a decision"]
        if self.kind in {"accuracy"} | CLASSES and self.decision and self.decision.top_k:
            return [f"{self.kind} needs a decision with one answer, not top_k"]
        return []

    @property
    def _costs(self) -> bool:
        return self.decision is not None and self.decision.cost is not None


class SliceSettings(Section):
    """One way of dividing the traffic."""

    source: Annotated[str, Field(pattern=r"^(method|model|metadata:.+|field:.+|class:.+)$")]
    name: Annotated[str, Field(pattern=r"^[^=]*$")] = ""  # empty: the part after the colon
    bins: Edges | None = None  # numbers become ranges between these edges

    @property
    def label(self) -> str:
        """The name it goes by."""
        return self.name or self.source.rpartition(":")[2]


class LabelSettings(Section):
    """Pairs that wait for their labels, and labels that wait for their pairs."""

    # Where a call's correlation id is; None: the request's own id, else the trace id.
    correlation: (
        Annotated[str, Field(pattern=r"^(request_id|trace_id|metadata:[a-z0-9_.-]+)$")] | None
    ) = None
    pairs: Count = 100_000
    early: Count = 10_000  # labels that came before their pair
    max_age_seconds: Seconds = 7 * 86_400.0


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


DEFAULT_CRITERIA = (
    Criterion(name="disagreement", kind="disagreement", margin=0.01),
    Criterion(name="shadow-errors", kind="shadow_error_rate", margin=0.005),
    Criterion(name="latency-p50", kind="latency_ratio", margin=0.1, quantile=0.5, slices=()),
    Criterion(name="latency-p95", kind="latency_ratio", margin=0.1, quantile=0.95, slices=()),
    Criterion(name="latency-p99", kind="latency_ratio", margin=0.2, quantile=0.99, slices=()),
)
"""What runs, as informative, when no criteria are given."""


class JudgeSettings(Section):
    """What good enough means, and how long to look for it."""

    criteria: Annotated[tuple[Criterion, ...], Field(max_length=64)] = DEFAULT_CRITERIA
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05  # half for false PASS, half for false FAIL
    coverage_floor: Fraction = 0.9
    min_duration_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 60.0
    min_calls: Count = 100
    max_duration_seconds: Seconds | None = None
    max_calls: Count | None = None
    slices: tuple[SliceSettings, ...] = ()
    max_slices: Count = 64
    # A slice of a required criterion that is found worse: say so, forbid PASS, or make it FAIL.
    flagged: Literal["report", "hold", "fail"] = "fail"
    labels: LabelSettings = LabelSettings()
    worst: Annotated[int, Field(ge=0, le=1000)] = 10  # worst pairs kept for each criterion, slice
    sample: Annotated[int, Field(ge=0, le=1000)] = 20  # uniform sample of pairs, likewise
    examples: ExampleSettings = ExampleSettings()
    repeat_seconds: Annotated[float, Field(ge=0)] = 1.0  # identical requests within it count once
    # Where answers do not name their model's version: a field of their metadata that does, and
    # what production's is else (`shadows[].version` is the shadow's).
    version_metadata: Annotated[str, Field(pattern=r"^[a-z0-9_.-]*$")] = ""
    production_version: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> JudgeSettings:
        problems = [
            *_twice("criteria", [criterion.name for criterion in self.criteria]),
            *_twice("slices", [s.label for s in self.slices]),
        ]
        if self.max_calls is not None and self.max_calls < self.min_calls:
            problems.append("max_calls must be at least min_calls")
        longest = self.max_duration_seconds
        if longest is not None and longest < self.min_duration_seconds:
            problems.append("max_duration_seconds must be at least min_duration_seconds")
        if problems:
            raise ValueError("; ".join(sorted(problems)))
        return self


def _twice(key: str, names: list[str]) -> list[str]:
    return [f"{key}: name {n!r} is used twice" for n in set(names) if names.count(n) > 1]
