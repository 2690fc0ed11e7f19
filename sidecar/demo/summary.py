"""What the demo found, from what three parties know. Pure.

The sidecar knows which pairs agree, the client which answer it got and when, and the demo alone
knows the truth and can ask the candidate itself. The trace id joins them.

Rule: agreement and coverage are the sidecar's own figures; labels only explain them.
Counterpart: `sidecar.demo.render`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sidecar.call import INELIGIBLE
from sidecar.demo.again import Again
from sidecar.demo.client import Answer
from sidecar.judge.evidence.interval import Interval, rate_interval
from sidecar.report.report import Report

ALPHA = 0.05  # the chance that the interval ever misses
MARGIN = 0.05  # of disagreement; the interval is narrowest near it


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One digit: how often the two agree on it, and how often each is right."""

    label: int
    calls: int
    agreeing: int
    production_right: int
    candidate_right: int


@dataclass(frozen=True, slots=True)
class Flip:
    """So many calls to which production said one digit and the candidate another."""

    production: int
    candidate: int
    calls: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that is shown. `latency` maps a side to its quantiles in milliseconds."""

    calls: int
    failed: int
    compared: int
    coverage: float
    skipped: dict[str, int]
    agreeing: int
    interval: Interval  # of the agreement
    classes: tuple[ClassRow, ...]
    flips: tuple[Flip, ...]
    latency: dict[str, dict[str, float]] = field(default_factory=dict)
    agreeing_trace: str = ""
    differing_trace: str = ""
    report: Report | None = None
    again: Again | None = None  # what was captured, asked again
    gate: str = ""  # what the gate says

    @property
    def accuracy(self) -> tuple[float, float]:
        """Production's and the candidate's share of right answers."""
        total = max(1, sum(row.calls for row in self.classes))
        return (
            sum(row.production_right for row in self.classes) / total,
            sum(row.candidate_right for row in self.classes) / total,
        )

    @property
    def worst_class(self) -> ClassRow:
        """The digit on which the candidate loses most against production."""
        return max(self.classes, key=lambda r: (r.production_right - r.candidate_right) / r.calls)


def summarize(
    answers: Sequence[Answer],
    candidate: Sequence[int],
    status: dict[str, Any],
    pairs: Sequence[dict[str, Any]],
    shadow: str,
    report: Report | None = None,
    *,
    again: Again | None = None,
    gate: str = "",
) -> Summary:
    """Join what the client, the sidecar and the demo know.

    Args:
        answers: the client's, in the traffic's order.
        candidate: the candidate's own prediction for every image of the traffic.
        status: the sidecar's `/status`.
        pairs: the sidecar's `/pairs`; all differing ones must be among them.
        shadow: the candidate's name in the sidecar.
        report: the sidecar's.
        again: what came of asking the candidate again.
        gate: what the gate says.
    """
    counts = status["shadows"][shadow]
    skipped = {reason: n for reason, n in counts["skipped"].items() if n}
    compared = counts["compared"]
    eligible = counts["seen"] - sum(n for reason, n in skipped.items() if reason in INELIGIBLE)
    agreeing = sum(counts["outcomes"].get(word, 0) for word in ("equal", "both_error_same"))
    low, high = rate_interval(compared, compared - agreeing, MARGIN, ALPHA)

    differing = [pair["trace_id"] for pair in pairs if not pair["agrees"]]
    agreed = [pair["trace_id"] for pair in pairs if pair["agrees"]]
    apart = set(differing)
    answered = [answer for answer in answers if answer.predicted is not None]
    return Summary(
        calls=counts["seen"],
        failed=len(answers) - len(answered),
        compared=compared,
        coverage=compared / eligible if eligible else 0.0,
        skipped=skipped,
        agreeing=agreeing,
        interval=(1 - high, 1 - low),
        classes=_classes(answered, candidate, apart),
        flips=_flips(answered, candidate, apart),
        latency=_latency(counts["latency_ms"], shadow),
        agreeing_trace=agreed[0] if agreed else "",
        differing_trace=differing[0] if differing else "",
        report=report,
        again=again,
        gate=gate,
    )


def _latency(sides: dict[str, dict[str, float | None]], shadow: str) -> dict[str, dict[str, float]]:
    """Production's and the shadow's quantiles; empty where nothing was compared."""
    named = {"production": sides["production"], shadow: sides["shadow"]}
    return {
        side: {name: ms for name, ms in values.items() if ms is not None}
        for side, values in named.items()
        if None not in values.values()
    }


def _classes(
    answers: Sequence[Answer], candidate: Sequence[int], apart: set[str]
) -> tuple[ClassRow, ...]:
    rows = []
    for label in sorted({answer.label for answer in answers}):
        mine = [answer for answer in answers if answer.label == label]
        rows.append(
            ClassRow(
                label=label,
                calls=len(mine),
                agreeing=sum(answer.trace_id not in apart for answer in mine),
                production_right=sum(answer.predicted == label for answer in mine),
                candidate_right=sum(candidate[answer.index] == label for answer in mine),
            )
        )
    return tuple(rows)


def _flips(
    answers: Sequence[Answer], candidate: Sequence[int], apart: set[str]
) -> tuple[Flip, ...]:
    """The commonest first."""
    counts = Counter(
        (answer.predicted, int(candidate[answer.index]))
        for answer in answers
        if answer.trace_id in apart and answer.predicted is not None
    )
    return tuple(Flip(a, b, n) for (a, b), n in counts.most_common() if a is not None)
