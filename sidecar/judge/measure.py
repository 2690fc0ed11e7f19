"""A cell becomes a measurement: estimate, and evidence for and against one criterion.

Rule: a pure function of the counters, the criterion and the control's fraction; so it may be
scaled (how many more calls would it take?) and asked of merged counters. Counterpart: `tally`,
which fills the cells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sidecar.judge.evidence.interval import Interval, mean_interval, rate_interval
from sidecar.judge.evidence.mixtures import (
    Floats,
    Side,
    average,
    mean_evidence,
    rate_evidence,
    threshold,
)
from sidecar.judge.evidence.quantile import quantile_estimate, quantile_interval, ratio_evidence
from sidecar.judge.evidence.ratio import score_difference_evidence, score_difference_interval
from sidecar.judge.settings import CLASSES, LABELLED
from sidecar.judge.tally import Plan

HORIZON = 1e5  # more than so many times the calls seen: no estimate


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


def measure(plan: Plan, cell: Mapping[str, float], scale: float = 1.0) -> Measurement:
    """Estimate and evidence.

    Args:
        plan: the criterion.
        cell: its counters.
        scale: pretend that everything had been counted so many times.
    """
    criterion = plan.criterion
    if criterion.kind == "latency_ratio":
        return _latency_ratio(plan, cell, scale)
    if criterion.kind in CLASSES:
        return _classes(plan, cell, scale)
    if _is_rate(plan):
        n, k = cell.get("n", 0.0) * scale, cell.get("k", 0.0) * scale
        if n <= 0:
            return NOTHING
        return Measurement(
            n,
            k / n,
            float(rate_evidence(n, k, criterion.margin, Side.PASS)),
            float(rate_evidence(n, k, criterion.margin, Side.FAIL)),
        )
    good, bad = _histograms(plan, cell)
    n = float(bad.sum()) * scale
    if n <= 0:
        return NOTHING
    x = np.asarray(plan.edges)
    return Measurement(
        n,
        float((good + bad) @ x) / (2 * n) * scale,
        _mean_claim(plan, bad * scale, Side.PASS),
        _mean_claim(plan, good * scale, Side.FAIL),
    )


def interval_of(plan: Plan, cell: Mapping[str, float], alpha: float) -> Interval | None:
    """Confidence sequence for the estimate, for people; None without calls."""
    criterion = plan.criterion
    if criterion.kind == "latency_ratio":
        a, b = _buckets(cell, "a"), _buckets(cell, "b")
        if not a:
            return None
        low_a, high_a = quantile_interval(a, criterion.quantile, alpha / 2)
        low_b, high_b = quantile_interval(b, criterion.quantile, alpha / 2)
        return low_b / high_a - 1, high_b / low_a - 1 if low_a > 0 else math.inf
    if criterion.kind in CLASSES:
        return score_difference_interval(_sides(cell), criterion.kind == "f1", alpha)
    if _is_rate(plan):
        n = cell.get("n", 0.0)
        return rate_interval(n, cell.get("k", 0.0), criterion.margin, alpha) if n > 0 else None
    good, bad = _histograms(plan, cell)
    if bad.sum() <= 0:
        return None
    low, high = plan.edges[0], plan.edges[-1]
    highest = mean_interval(plan.edges, bad, low, high, alpha)[1]
    lowest = mean_interval(plan.edges, good, low, high, alpha)[0]
    return lowest, highest


def calls_needed(plan: Plan, cell: Mapping[str, float], limits: Mapping[Side, float]) -> int | None:
    """How many more calls until a claim can be made, if they are like those seen so far.

    Args:
        plan: the criterion.
        cell: its counters.
        limits: the ln E at which each claim is made.

    Returns:
        None without calls, or when it would take more than `HORIZON` times those seen.
    """
    n = measure(plan, cell).n
    if n <= 0:
        return None

    def decided(scale: float) -> bool:
        scaled = measure(plan, cell, scale)
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


def _is_rate(plan: Plan) -> bool:
    kind, decision = plan.criterion.kind, plan.criterion.decision
    if kind == "decision_flips":
        return decision is None or decision.cost is None
    return kind in {"shadow_error_rate", "out_of_range"} or (
        kind == "disagreement" and not plan.net
    )


def _histograms(plan: Plan, cell: Mapping[str, float]) -> tuple[Floats, Floats]:
    """Counts on the edges, taking what has no label yet for the best and for the worst case.

    Labels are given to disagreements only, because agreements add nothing to the difference;
    so a disagreement without a label may still turn out either way, and must not be left out.
    """
    counts = np.array([cell.get(str(i), 0.0) for i in range(len(plan.edges))])
    if plan.criterion.kind not in LABELLED or plan.criterion.labels == "sample":
        return counts, counts
    open_ = max(0.0, cell.get("differing", 0.0) - cell.get("labelled", 0.0))
    zero = plan.edges.index(0.0)
    counts[zero] += max(0.0, cell.get("n", 0.0) - cell.get("differing", 0.0))
    good, bad = counts.copy(), counts.copy()
    good[0] += open_
    bad[-1] += open_
    return good, bad


def _mean_claim(plan: Plan, counts: Floats, side: Side) -> float:
    """ln E about the mean of the histogram, in the direction that the criterion calls bad."""
    margin, low, high = plan.criterion.margin, plan.edges[0], plan.edges[-1]
    other = Side.FAIL if side is Side.PASS else Side.PASS
    up = float(mean_evidence(plan.edges, counts, margin, low, high, side))
    if plan.criterion.kind != "bias" or plan.criterion.direction == "increase":
        return up
    down = float(mean_evidence(plan.edges, counts, -margin, low, high, other))
    if plan.criterion.direction == "decrease":
        return down
    # Within both margins needs both claims; outside either needs one, at half the error each.
    return min(up, down) if side is Side.PASS else average((up, down), (1.0, 1.0))


def _latency_ratio(plan: Plan, cell: Mapping[str, float], scale: float) -> Measurement:
    a, b = _buckets(cell, "a", scale), _buckets(cell, "b", scale)
    p, ratio = plan.criterion.quantile, 1 + plan.criterion.margin
    before, after = quantile_estimate(a, p), quantile_estimate(b, p)
    if before is None or after is None:
        return NOTHING
    return Measurement(
        sum(b.values()),
        after / before - 1,
        ratio_evidence(a, b, p, ratio, Side.PASS),
        ratio_evidence(a, b, p, ratio, Side.FAIL),
    )


def _buckets(cell: Mapping[str, float], side: str, scale: float = 1.0) -> dict[int, float]:
    return {int(k[1:]): v * scale for k, v in cell.items() if k.startswith(side)}


def _sides(cell: Mapping[str, float], scale: float = 1.0) -> tuple[float, float, float, float]:
    an, ak, bn, bk = (cell.get(name, 0.0) * scale for name in ("an", "ak", "bn", "bk"))
    return an, ak, bn, bk


def _classes(plan: Plan, cell: Mapping[str, float], scale: float) -> Measurement:
    an, ak, bn, bk = sides = _sides(cell, scale)
    if an <= 0 or bn <= 0:
        return NOTHING
    f1 = plan.criterion.kind == "f1"
    a, b = ak / an, bk / bn
    estimate = 2 * a / (1 + a) - 2 * b / (1 + b) if f1 else a - b
    margin = plan.criterion.margin
    return Measurement(
        bn,
        estimate,
        score_difference_evidence(sides, margin, f1, Side.PASS),
        score_difference_evidence(sides, margin, f1, Side.FAIL),
    )


def limits(alpha_pass: float, alpha_fail: float) -> dict[Side, float]:
    """The ln E at which each claim is made."""
    return {Side.PASS: threshold(alpha_pass), Side.FAIL: threshold(alpha_fail)}
