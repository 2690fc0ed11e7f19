"""Kinds that wait for labels: what a call was decided on each side, and who was right.

Rule: what waits for a label is small: decisions or ranked items, never the output. A shadow that
failed is never right. A batch of more than `MAX_ROWS` rows is too large to remember: where its
outputs differ at all it stays open, as if its label never came, and the label is `unusable`; with
`labels: sample` it is open once its label has come, as a lost call is, so that large batches are
not left out of what passes.
Counterpart: `labels`, which joins.

Agreeing calls add exactly nothing to a difference of accuracies, so with `labels: disagreements`
they count at once, and a differing call counts as either way until its label comes. Counters: n,
differing (calls whose decisions differ), labelled (those of them that have a label), and a splat
histogram of production's score less the shadow's. A label's weight scales its call and its score
alike; with `labels: disagreements` the rest of the call stays without a label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from sidecar.fields import Glob
from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.counting import UNREADABLE, matched_values, splatted
from sidecar.judge.criteria.mean import Mean
from sidecar.judge.criteria.shapes import Increments, Scores, Unit
from sidecar.judge.decision import RULES, UNDECIDED, Decided, Decision, decisions
from sidecar.judge.evidence.mixtures import Floats
from sidecar.judge.evidence.splat import even_edges
from sidecar.judge.labels import Label
from sidecar.judge.pair import JudgedPair, Value
from sidecar.judge.ranges import Ranges

MAX_ROWS = 256  # of a batch that is judged by labels; of a larger one the label is unusable


@dataclass(frozen=True, slots=True)
class Decisions:
    """What both sides decided about one call, row by row; no rows for a shadow that failed.

    Production's rows are none for a batch that was too large, and the shadow's one that decides
    nothing, if they differ.
    """

    production: tuple[Decided, ...]
    shadow: tuple[Decided, ...]

    @property
    def differ(self) -> bool:
        """Whether a label could tell them apart."""
        return self.production != self.shadow


class Labelled(Mean):
    """How much worse the shadow is, by labels; the margin is how much worse it may be."""

    outputs: Glob = "*"  # glob over the names of the outputs that it is about
    labels: Literal["disagreements", "sample"] = "disagreements"  # which pairs get labels
    needs_labels: ClassVar[bool] = True
    needs_values: ClassVar[bool] = True

    def problems(self) -> list[str]:
        """See `Criterion.problems`."""
        return [] if 0 <= self.margin < 1 else ["margin must be at least 0 and below 1"]

    def plan(self, control_fraction: float = 0.0) -> Plan:
        """See `Criterion.plan`."""
        return Plan(self, control_fraction, edges=even_edges(-1.0, 1.0))

    def count(self, plan: Plan, pair: JudgedPair, ranges: Ranges) -> Increments:
        """See `Criterion.count`: nothing before `remember` and a label."""
        return []

    def remember(self, pair: JudgedPair) -> Decisions | None:
        """What to remember of a call until its label comes; None when it is not about it."""
        if not pair.answered:
            return None
        # Without a single value of either side nobody knows whether it is about the call, unless
        # production's answer is of other outputs.
        unread = not pair.values and not pair.failed and not pair.has_others
        lost = unread and pair.comparison.outcome in UNREADABLE
        for _, a, b in matched_values(self.outputs, pair):
            production = self.rows(a) if a is not None else ()
            shadow = self.rows(b) if b is not None else ()
            if not production:
                lost = lost or bool(shadow)  # the shadow says something where production does not
            elif max(len(production), len(shadow)) <= MAX_ROWS:
                return Decisions(production, shadow)
            else:
                return Decisions((), () if _is_same(a, b) else (UNDECIDED,))
        return Decisions((), (UNDECIDED,)) if lost else None

    def rows(self, value: Value) -> tuple[Decided, ...]:
        """What is decided about each row of an output; of more than `MAX_ROWS`, one row more."""
        raise NotImplementedError

    def at_once(self, rows: Decisions) -> Increments:
        """What a call adds before its label is known."""
        if self.labels == "sample":
            return []
        return [("n", 1.0), ("differing", 1.0)] if rows.differ else [("n", 1.0)]

    @property
    def labels_all(self) -> bool:
        """See `Criterion.labels_all`."""
        return self.labels == "sample"

    def share_of_lost(self, plan: Plan, counted: float) -> float:
        """See `Criterion.share_of_lost`: where labels are of a sample, as many as of the others."""
        return counted if self.labels == "sample" else 1.0

    def scored(self, plan: Plan, counted: Increments) -> Scores:
        """See `Criterion.scored`: a call that differs is open, at either end, until its label."""
        n = x = open_ = 0.0
        for name, weight in counted:
            match name:
                case "n":
                    n += weight
                case "differing":
                    open_ += weight
                case "labelled":
                    open_ -= weight
                case _:
                    x += plan.edges[int(name)] * weight
        return n, ((x + open_ * plan.edges[-1], x + open_ * plan.edges[0]),)

    def by_label(self, plan: Plan, rows: Decisions, label: Label) -> Increments | None:
        """What a call adds when its label has come; None for a label that cannot be used."""
        if self.labels == "disagreements" and not rows.differ:
            return []
        score = self.lead(rows, label)
        if score is None:
            return None
        weighed = [(name, weight * label.weight) for name, weight in splatted(score, plan.edges)]
        if self.labels == "disagreements":
            # It was counted in n and differing at once. What its label does not weigh stays open:
            # agreements, which need no label, count in full, and it must not count less.
            return [("labelled", label.weight), *weighed]
        return [("n", label.weight), *weighed]

    def stays_open(self, rows: Decisions) -> bool:
        """Whether no label whatever can tell about a call that differs."""
        return not rows.production and rows.differ

    def lead(self, rows: Decisions, label: Label) -> float | None:
        """Production's score minus the shadow's, in [-1, 1]; None for a label of no use."""
        raise NotImplementedError

    def with_lost(self, plan: Plan, cell: Mapping[str, float], calls: float) -> Mapping[str, float]:
        """See `Criterion.with_lost`: calls that differ and have no label."""
        lost = {name: cell.get(name, 0.0) + calls for name in ("n", "differing")}
        return {**cell, **lost}

    def ends(self, plan: Plan, cell: Mapping[str, float]) -> tuple[Floats, Floats]:
        """See `Mean.ends`: calls that differ and have no label count as either way."""
        counts = np.array([cell.get(str(i), 0.0) for i in range(len(plan.edges))])
        open_ = max(0.0, cell.get("differing", 0.0) - cell.get("labelled", 0.0))
        if self.labels != "sample":
            zero = plan.edges.index(0.0)
            counts[zero] += max(0.0, cell.get("n", 0.0) - cell.get("differing", 0.0))
        good, bad = counts.copy(), counts.copy()
        good[0] += open_
        bad[-1] += open_
        return good, bad

    @property
    def unit(self) -> Unit:
        """See `Criterion.unit`."""
        return Unit.POINTS

    @property
    def about(self) -> str:
        """See `Criterion.about`."""
        return f"{self.kind.replace('_', ' ')} lost, by labels"

    def said(self, plan: Plan, figure: str) -> str:
        """See `Criterion.said`."""
        return f"{self.kind.replace('_', ' ')} is {figure} lower"


class ByDecision(Labelled):
    """About a decision with one answer a row, against the true one."""

    decision: Decision | None = None  # what is done with an output; must be given

    def problems(self) -> list[str]:
        """See `Criterion.problems`."""
        found = super().problems()
        if self.decision is None:
            return [*found, f"{self.kind} needs a decision: one of {RULES}"]
        if self.decision.top_k:
            found.append(f"{self.kind} needs a decision with one answer, not top_k")
        return found

    def rows(self, value: Value) -> tuple[Decided, ...]:
        """See `Labelled.rows`."""
        assert self.decision is not None
        return tuple(decisions(self.decision, value)[: MAX_ROWS + 1])


class OfOneClass(ByDecision):
    """About the rows of one class; they need labels of agreements too."""

    positive: int = 1  # the decision that counts as positive

    def problems(self) -> list[str]:
        """See `Criterion.problems`."""
        found = super().problems()
        if self.labels != "sample":
            needs = f"{self.kind} needs labels: sample, since it also depends on agreements"
            found.append(needs)
        return found


def _is_same(a: Value | None, b: Value | None) -> bool:
    """Whether all of two outputs is equal, and so whatever is decided about any row."""
    return a is not None and b is not None and np.array_equal(np.asarray(a), np.asarray(b))


def told(rows: Decisions, label: Label) -> list[tuple[Decided, Decided | None, int]] | None:
    """Each row's two decisions and the truth; None when the label does not fit the rows."""
    truth = _truth(label, len(rows.production))
    if truth is None:
        return None
    shadow = rows.shadow if len(rows.shadow) == len(truth) else (None,) * len(truth)
    return list(zip(rows.production, shadow, truth, strict=True))


def _truth(label: Label, rows: int) -> list[int] | None:
    value = label.value
    several = isinstance(value, Sequence) and not isinstance(value, str)
    truth = whole(value) if several else whole([value] * rows)
    return truth[:rows] if truth is not None and len(truth) >= rows else None


def whole(items: object) -> list[int] | None:
    """Numbers, or text that holds them, as whole numbers; None when any is something else."""
    found = []
    for item in items if isinstance(items, Sequence) else ():
        try:
            found.append(int(item) if isinstance(item, bool) else int(float(str(item))))
        except (ValueError, OverflowError):
            return None
        if found[-1] <= UNDECIDED:
            return None  # else no decision would be right
    return found
