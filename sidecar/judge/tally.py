"""A pair becomes increments of counters: what each kind of criterion counts of one call.

Rule: increments are never negative, and depend on this call and on constants only (the learned
range of `out_of_range` is fixed before its first increment). Counterpart: `measure`, which turns
the counters into evidence. Counters by kind:

    n, k                  calls, and the sum of their scores in [0, 1]
    "0", "1", ...         a splat histogram on the criterion's edges (bias, latency_difference,
                          decision cost, disagreement net of a control, label scores)
    controls              calls to which the control gave an answer
    a<i>, b<i>            production's and the shadow's latency in bucket i
    differing, labelled   calls whose decisions differ, and those of them that have a label
    an, ak, bn, bk        each side's rate among the calls that count for it (precision, f1)

Only calls that production answered are counted: there is nothing to agree with otherwise. A shadow
that failed disagrees, whatever its reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeAlias

import numpy as np

from sidecar.compare.result import Comparison, Outcome
from sidecar.judge.decision import decisions, flips, mean_cost
from sidecar.judge.evidence.quantile import bucket
from sidecar.judge.evidence.splat import even_edges, signed_edges, splat
from sidecar.judge.pair import DEADLINE_EXCEEDED, JudgedPair, Value
from sidecar.judge.ranges import Ranges
from sidecar.judge.settings import Criterion

Increments: TypeAlias = list[tuple[str, float]]

BIAS = "signed_relative"  # the comparison's figure for 2(b-a)/(|a|+|b|), mean over the output
_UNREADABLE = frozenset({Outcome.SHADOW_ERROR, Outcome.UNDECODABLE, Outcome.MESSAGE_COUNT})
_NAMES = tuple(str(i) for i in range(256))


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A criterion with what follows from it and never changes."""

    criterion: Criterion
    control_fraction: float  # share of the calls that also go to the control; 0 without one
    net: bool  # a disagreement, judged net of the control's
    edges: tuple[float, ...]  # of its splat histogram

    def covers(self, slice_name: str) -> bool:
        """Whether the criterion is watched in the slices of that name."""
        globs = self.criterion.slices
        return "*" in globs or any(fnmatchcase(slice_name, glob) for glob in globs)


def plan_of(criterion: Criterion, control_fraction: float) -> Plan:
    """Prepare a criterion.

    Args:
        criterion: as declared.
        control_fraction: share of the calls that also go to the control; 0 without one.
    """
    net = criterion.kind == "disagreement" and criterion.net and control_fraction > 0
    match criterion.kind:
        case "bias":
            edges = signed_edges(2.0)
        case "latency_difference":
            edges = signed_edges(criterion.range_seconds)
        case "decision_flips" if criterion.decision:
            edges = even_edges(*criterion.decision.cost_range)
        case "disagreement" if net:
            heaviest = 1 / control_fraction  # weight of a controlled call, so that means agree
            edges = even_edges(-heaviest, 1.0, also=(0.0, 1.0 - heaviest))
        case _:
            edges = even_edges(-1.0, 1.0)
    return Plan(criterion, control_fraction, net, edges)


def increments(plan: Plan, pair: JudgedPair, ranges: Ranges) -> Increments:
    """What one pair adds to a criterion's cells; nothing when the criterion is not about it.

    Args:
        plan: the criterion.
        pair: the call.
        ranges: what has been learned of production's values so far; learns from this call.
    """
    criterion = plan.criterion
    if not pair.answered or not fnmatchcase(pair.method, criterion.methods):
        return []
    match criterion.kind:
        case "disagreement":
            return _disagreement(plan, pair)
        case "shadow_error_rate":
            return [("n", 1.0), ("k", 1.0)] if pair.failed else [("n", 1.0)]
        case "latency_ratio" | "latency_difference":
            return _latency(plan, pair)
        case "bias":
            return _bias(plan, pair)
        case "decision_flips":
            return _decision(plan, pair)
        case "out_of_range":
            share = ranges.outside(criterion, matched_values(criterion, pair))
            return [] if share is None else [("n", 1.0), ("k", share)]
        case _:
            return []  # labels: see `truth`


def score_of(criterion: Criterion, comparison: Comparison) -> float | None:
    """A comparison's score in [0, 1] under a criterion; None when no output concerns it."""
    if comparison.outcome in _UNREADABLE:
        return 1.0
    if not comparison.outputs:
        return 0.0 if comparison.agrees else 1.0
    outputs = [o for o in comparison.outputs if _covers(criterion.outputs, o.name)]
    if not outputs:
        return None
    if criterion.score == "any":
        return 1.0 if any(o.outcome is not Outcome.EQUAL for o in outputs) else 0.0
    return min(1.0, max(0.0, math.fsum(o.score for o in outputs) / len(outputs)))


def _covers(glob: str, name: str) -> bool:
    if glob == "*":
        return True
    _, _, bare = name.rpartition("]") if name.startswith("[") else ("", "", name)
    return fnmatchcase(bare, glob)


def _disagreement(plan: Plan, pair: JudgedPair) -> Increments:
    score = score_of(plan.criterion, pair.comparison)
    if score is None:
        return []
    counted = [("n", 1.0), ("k", score)] if score else [("n", 1.0)]
    if not plan.net:
        return counted
    floor = 0.0
    if pair.control is not None and pair.control.outcome is not Outcome.SHADOW_ERROR:
        # A control that gave no answer excuses nothing.
        floor = score_of(plan.criterion, pair.control) or 0.0
        counted.append(("controls", 1.0))
    return counted + splatted(score - floor / plan.control_fraction, plan.edges)


def splatted(x: float, edges: Sequence[float]) -> Increments:
    """One score, shared between its neighbours on the edges."""
    return [(_NAMES[i], weight) for i, weight in splat(x, edges)]


def _latency(plan: Plan, pair: JudgedPair) -> Increments:
    if pair.failed and pair.shadow_status != DEADLINE_EXCEEDED:
        return []  # how fast it failed is no latency; a missed deadline took at least as long
    if plan.criterion.kind == "latency_ratio":
        return [
            (f"a{bucket(pair.production_latency_ns)}", 1.0),
            (f"b{bucket(pair.shadow_latency_ns)}", 1.0),
        ]
    seconds = (pair.shadow_latency_ns - pair.production_latency_ns) / 1e9
    return [("n", 1.0), *splatted(seconds, plan.edges)]


def matched_values(
    criterion: Criterion, pair: JudgedPair
) -> list[tuple[str, Value | None, Value | None]]:
    """The outputs with values that a criterion is about: (name, production's, shadow's)."""
    return [
        (name, a, b) for name, (a, b) in pair.values.items() if _covers(criterion.outputs, name)
    ]


def _bias(plan: Plan, pair: JudgedPair) -> Increments:
    criterion = plan.criterion
    found = [
        o.raw[BIAS]
        for o in pair.comparison.outputs
        if BIAS in o.raw and _covers(criterion.outputs, o.name)
    ]
    if not found:
        found = [x for _, a, b in matched_values(criterion, pair) for x in _signed_relative(a, b)]
    if not found:
        return []
    mean = math.fsum(found) / len(found)
    return [("n", 1.0), *splatted(mean, plan.edges)]


def _signed_relative(a: Value | None, b: Value | None) -> Iterator[float]:
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


def _decision(plan: Plan, pair: JudgedPair) -> Increments:
    criterion, rule = plan.criterion, plan.criterion.decision
    if rule is None:
        return []
    decided = [
        (decisions(rule, a), decisions(rule, b) if b is not None else [])
        for _, a, b in matched_values(criterion, pair)
        if a is not None
    ]
    decided = [(a, b) for a, b in decided if a]
    if not decided and not pair.failed:
        return []
    if rule.cost is None:
        share = math.fsum(flips(a, b) for a, b in decided) / len(decided) if decided else 1.0
        return [("n", 1.0), ("k", share)] if share else [("n", 1.0)]
    if not decided:
        cost = rule.cost_range[1]
    else:
        cost = math.fsum(mean_cost(rule, a, b) for a, b in decided) / len(decided)
    return [("n", 1.0), *splatted(cost, plan.edges)]


def magnitude(plan: Plan, pair: JudgedPair, counted: Increments) -> float:
    """How bad one call was for a criterion, to rank calls by; 0 or less is not bad.

    Args:
        plan: the criterion.
        pair: the call.
        counted: what it added, from `increments`.
    """
    if plan.criterion.kind.startswith("latency"):
        return (pair.shadow_latency_ns - pair.production_latency_ns) / 1e9
    if plan.criterion.kind == "bias":
        toward = -1.0 if plan.criterion.direction == "decrease" else 1.0
        mean = _splat_mean(plan, counted)
        return abs(mean) if plan.criterion.direction == "both" else toward * mean
    if plan.criterion.decision is not None and plan.criterion.decision.cost is not None:
        return _splat_mean(plan, counted) - plan.edges[0]
    share = math.fsum(weight for name, weight in counted if name == "k")
    if plan.criterion.kind != "disagreement" or not share:
        return share
    # Among calls that disagree alike, those whose outputs are further apart come first.
    scores = [o.score for o in pair.comparison.outputs]
    return share + (math.fsum(scores) / len(scores) if scores else 1.0)


def _splat_mean(plan: Plan, counted: Increments) -> float:
    return math.fsum(plan.edges[int(n)] * weight for n, weight in counted if n.isdigit())
