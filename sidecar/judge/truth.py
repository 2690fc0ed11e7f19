"""Scores against labels: what a call was decided on each side, and who was right.

Rule: what waits for a label is small: decisions or ranked items, never the output. A shadow that
failed is never right. Counterparts: `labels`, which joins, and `measure`, which reads the cells.

Agreeing calls add exactly nothing to a difference of accuracies, so with `labels: disagreements`
they count at once, and a differing call counts as either way until its label comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sidecar.judge.decision import Decided, decisions
from sidecar.judge.labels import Label
from sidecar.judge.pair import JudgedPair, Value
from sidecar.judge.settings import AT_K, LABELLED
from sidecar.judge.tally import Increments, Plan, matched_values, splatted

MAX_ROWS = 256  # of a batch; a larger one is judged by its first rows


@dataclass(frozen=True, slots=True)
class Decisions:
    """What both sides decided about one call, row by row; no rows for a shadow that failed."""

    production: tuple[Decided, ...]
    shadow: tuple[Decided, ...]

    @property
    def differ(self) -> bool:
        """Whether a label could tell them apart."""
        return self.production != self.shadow


def decided(plan: Plan, pair: JudgedPair) -> Decisions | None:
    """What a labelled criterion has to remember of a call; None when it is not about it."""
    criterion = plan.criterion
    if criterion.kind not in LABELLED or not pair.answered:
        return None
    for _, a, b in matched_values(criterion, pair):
        if a is None:
            continue
        production = _rows(plan, a)
        if production:
            return Decisions(production, _rows(plan, b) if b is not None else ())
    return None


def _rows(plan: Plan, value: Value) -> tuple[Decided, ...]:
    criterion = plan.criterion
    if criterion.kind in AT_K:
        return _rankings(value, criterion.k)
    return tuple(decisions(criterion.decision, value)[:MAX_ROWS]) if criterion.decision else ()


def _rankings(value: Value, k: int) -> tuple[Decided, ...]:
    """The first k items: of ranked item numbers as they are, of scores the indices of the best."""
    array = np.atleast_1d(np.asarray(value))
    if array.dtype.kind not in "biuf" or array.size == 0:
        return ()
    rows = array.reshape(-1, array.shape[-1])[:MAX_ROWS]
    if array.dtype.kind == "f":
        rows = np.argsort(-rows, axis=1, kind="stable")
    # As sets: the criteria at k ask what is among the first k, not in which order.
    return tuple(frozenset(int(i) for i in row[:k]) for row in rows)


def counted_at_once(plan: Plan, rows: Decisions) -> Increments:
    """What a call adds before its label is known."""
    if plan.criterion.labels == "sample":
        return []
    return [("n", 1.0), ("differing", 1.0)] if rows.differ else [("n", 1.0)]


def counted_by_label(plan: Plan, rows: Decisions, label: Label) -> Increments | None:
    """What a call adds when its label has come; None for a label that cannot be used."""
    criterion = plan.criterion
    if criterion.labels == "disagreements" and not rows.differ:
        return []
    if criterion.kind in AT_K:
        score = _at_k(plan, rows, label)
    else:
        truth = _truth(label, len(rows.production))
        if truth is None:
            return None
        if criterion.kind in {"precision", "f1"}:
            return _class_counts(plan, rows, truth, label.weight)
        score = _score(plan, rows, truth)
    if score is None:
        return None
    labelled: Increments = [("n", 1.0)]
    if criterion.labels == "disagreements":
        labelled = [("labelled", 1.0)]
    return labelled + splatted(score * label.weight, plan.edges)


def _truth(label: Label, rows: int) -> list[int] | None:
    value = label.value
    several = isinstance(value, Sequence) and not isinstance(value, str)
    truth = _whole(value) if several else _whole([value] * rows)
    return truth[:rows] if truth is not None and len(truth) >= rows else None


def _whole(items: object) -> list[int] | None:
    """Numbers, or text that holds them, as whole numbers; None when any is something else."""
    found = []
    for item in items if isinstance(items, Sequence) else ():
        try:
            found.append(int(item) if isinstance(item, bool) else int(float(str(item))))
        except (ValueError, OverflowError):
            return None
    return found


def _score(plan: Plan, rows: Decisions, truth: Sequence[int]) -> float | None:
    """Production's share of right rows minus the shadow's, in [-1, 1]; recall: of positive rows."""
    shadow = rows.shadow if len(rows.shadow) == len(truth) else (None,) * len(truth)
    told = list(zip(rows.production, shadow, truth, strict=True))
    if plan.criterion.kind == "recall":
        told = [row for row in told if row[2] == plan.criterion.positive]
    if not told:
        return 0.0 if plan.criterion.labels == "disagreements" else None
    return sum((a == y) - (b == y) for a, b, y in told) / len(told)


def _class_counts(plan: Plan, rows: Decisions, truth: Sequence[int], weight: float) -> Increments:
    """Calls that count for precision or F1 on each side, and how many of them were right."""
    positive, size = plan.criterion.positive, len(truth)
    shadow = rows.shadow if len(rows.shadow) == size else (None,) * size
    counts = dict.fromkeys(("an", "ak", "bn", "bk"), 0.0)
    for side, answers in (("a", rows.production), ("b", shadow)):
        for answer, y in zip(answers, truth, strict=True):
            says, so = answer == positive, y == positive
            if says or (so and plan.criterion.kind == "f1"):
                counts[f"{side}n"] += weight / size
                counts[f"{side}k"] += weight / size if says and so else 0.0
    return [(name, count) for name, count in counts.items() if count]


def _at_k(plan: Plan, rows: Decisions, label: Label) -> float | None:
    relevant = _relevant(label, len(rows.production))
    if relevant is None:
        return None
    scores = []
    for i, items in enumerate(relevant):
        if not items:
            continue  # nothing to be found: no score
        size = plan.criterion.k if plan.criterion.kind == "precision_at_k" else len(items)
        a, b = rows.production[i], rows.shadow[i] if i < len(rows.shadow) else frozenset()
        if isinstance(a, frozenset) and isinstance(b, frozenset):
            scores.append((len(a & items) - len(b & items)) / size)
    return sum(scores) / len(scores) if scores else None


def _relevant(label: Label, rows: int) -> list[frozenset[int]] | None:
    value = label.value
    if isinstance(value, str):
        value = value.replace(",", " ").split()
    if not isinstance(value, Sequence):
        value = [value]
    nested = [v for v in value if isinstance(v, Sequence) and not isinstance(v, str)]
    groups = [_whole(group) for group in nested] if nested else [_whole(value)]
    known = [frozenset(group) for group in groups if group is not None]
    return known if len(known) == len(groups) == rows else None
