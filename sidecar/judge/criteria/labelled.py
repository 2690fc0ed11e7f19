"""Criteria that need labels: what a call was decided on each side, and who was right.

Rule: what waits for a label is small: decisions or ranked items, never the output. A shadow that
failed is never right. A label's weight scales the number and the sum of scores alike.
Counterparts: `judge.labels`, which joins.

Agreeing calls add exactly nothing to a difference of accuracies, so with `labels: disagreements`
they count at once, and a differing call counts as either way until its label comes. Counters:
"differing" and "labelled", calls whose decisions differ, and those of them that have a label.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import field_validator

from sidecar.judge.criteria.base import Increments, Loss, OutputCriterion, Plan, matched_values
from sidecar.judge.criteria.mean import MeanPlan
from sidecar.judge.criteria.memory import Memory
from sidecar.judge.criteria.units import Unit, written
from sidecar.judge.decision import Decided, Decision, decisions
from sidecar.judge.evidence.mixtures import Floats
from sidecar.judge.labels import Label
from sidecar.judge.pair import JudgedPair, Value

MAX_ROWS = 256  # of a batch; a larger one is judged by its first rows


class LabelledCriterion(OutputCriterion):
    """A criterion that compares how often each side is right."""

    margin: Loss  # how much worse the shadow may be
    labelled: ClassVar[bool] = True

    def wanted(self) -> tuple[str, ...]:
        return (self.outputs,)


class DecisionCriterion(LabelledCriterion):
    """One whose label says which decision would have been right."""

    decision: Decision  # what is done with an output downstream; one answer, not top_k

    @field_validator("decision")
    @classmethod
    def _one_answer(cls, decision: Decision) -> Decision:
        if decision.top_k is not None:
            raise ValueError("needs a decision with one answer, not top_k")
        return decision


class ClassCriterion(DecisionCriterion):
    """One that is about one class, and needs the labels of agreements too."""

    positive: int = 1  # the decision that counts as positive
    labels: Literal["sample"] = "sample"  # which calls get labels: it depends on agreements too


@dataclass(frozen=True, slots=True)
class Decisions:
    """What both sides decided about one call, row by row; no rows for a shadow that failed."""

    production: tuple[Decided, ...]
    shadow: tuple[Decided, ...]

    @property
    def differ(self) -> bool:
        """Whether a label could tell them apart."""
        return self.production != self.shadow


class LabelledPlan(Plan):
    """Counts when a label comes; what it must remember until then is `Decisions`."""

    criterion: LabelledCriterion
    unit = Unit.POINTS

    def count(self, pair: JudgedPair, memory: Memory) -> Increments:
        return []  # see `at_once` and `by_label`

    def decided(self, pair: JudgedPair) -> Decisions | None:
        """What it has to remember of a call; None when it is not about it."""
        if not self.concerns(pair):
            return None
        for _, a, b in matched_values(self.criterion.outputs, pair):
            if a is None:
                continue
            production = self.rows(a)
            if production:
                return Decisions(production, self.rows(b) if b is not None else ())
        return None

    @abstractmethod
    def rows(self, value: Value) -> tuple[Decided, ...]:
        """What was decided, row by row."""

    def at_once(self, rows: Decisions) -> Increments:
        """What a call adds before its label is known."""
        return []

    @abstractmethod
    def by_label(self, rows: Decisions, label: Label) -> Increments | None:
        """What a call adds when its label has come; None for a label that cannot be used."""

    def said(self, estimate: float) -> str:
        name, figure = self.figure(), written(abs(estimate), self.unit)
        return f"{name} is {figure} {'higher' if estimate < 0 else 'lower'}"

    def about(self) -> str:
        return f"{self.figure()} lost, by labels"

    def figure(self) -> str:
        """What it is a difference of."""
        return self.criterion.kind.replace("_", " ")


class DifferencePlan(LabelledPlan, MeanPlan):
    """Production's score minus the shadow's, in [-1, 1], of every call that has one."""

    disagreements = False  # only differing calls get labels

    @abstractmethod
    def score(self, rows: Decisions, label: Label) -> tuple[bool, float | None]:
        """Whether a label can be used, and the score; None where the call has none."""

    def at_once(self, rows: Decisions) -> Increments:
        if not self.disagreements:
            return []
        return [("differing", 1.0)] if rows.differ else self.scored(0.0)

    def by_label(self, rows: Decisions, label: Label) -> Increments | None:
        if self.disagreements and not rows.differ:
            return []
        usable, score = self.score(rows, label)
        if not usable:
            return None
        labelled: Increments = [("labelled", 1.0)] if self.disagreements else []
        if score is None:
            if not labelled:
                return []
            score = 0.0
        return labelled + self.scored(score, label.weight)

    def histograms(self, cell: Mapping[str, float], lost: float) -> tuple[Floats, Floats]:
        """A disagreement without a label may still turn out either way."""
        return super().histograms(cell, lost + self._open(cell))

    def known(self, cell: Mapping[str, float]) -> float:
        return cell.get("n", 0.0) + self._open(cell)

    def estimate(self, cell: Mapping[str, float]) -> float | None:
        n = self.known(cell)
        return cell.get("k", 0.0) / n if n > 0 else None

    def _open(self, cell: Mapping[str, float]) -> float:
        return max(0.0, cell.get("differing", 0.0) - cell.get("labelled", 0.0))


def decided_rows(decision: Decision, value: Value) -> tuple[Decided, ...]:
    """The decisions of a batch's first rows."""
    return tuple(decisions(decision, value)[:MAX_ROWS])


def truth_of(label: Label, rows: int) -> list[int] | None:
    """The right decision of every row; None for a label of another shape."""
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
    return found


def told(rows: Decisions, truth: Sequence[int]) -> list[tuple[Decided, Decided | None, int]]:
    """Production's decision, the shadow's and the right one, row by row."""
    shadow = rows.shadow if len(rows.shadow) == len(truth) else (None,) * len(truth)
    return list(zip(rows.production, shadow, truth, strict=True))
