"""What a verdict says, as plain immutable data.

Rule: nothing here decides; whoever shows a verdict (gate, page, table) needs only this module.
Counterpart: `verdict`, which fills it in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from sidecar.judge.criteria.shapes import Unit
from sidecar.judge.evidence.interval import Interval


class State(StrEnum):
    """Where a judgement stands."""

    PASS = "PASS"
    FAIL = "FAIL"
    WATCHING = "WATCHING"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class CriterionVerdict:
    """One criterion over all traffic. Evidence is ln E."""

    name: str
    kind: str
    required: bool
    weight: float
    state: State
    reason: str
    margin: float
    estimate: float | None  # in the margin's unit
    interval: Interval | None  # holds at every look, with error alpha
    n: float
    log_pass: float
    log_fail: float
    calls_needed: int | None  # None: decided, no data, or too close to the margin to tell
    unit: Unit  # of margin, estimate and interval
    about: str  # what is measured, in a few words
    two_sided: bool  # too little is as bad as too much
    of_failures: bool  # what makes calls fail must not hide its evidence
    basis: str = ""  # what the evidence is made of: blocks of which length and why, or calls
    blocks: int | None = None  # closed blocks of that length; None: calls
    effective_calls: float | None = None  # how many independent calls they are worth
    bounds: Interval | None = None  # the mean with what was lost at its best, and at its worst
    unlabelled: float = 0.0  # calls that both sides decided differently and that lack a label
    control_rate: float | None = None  # where it is net of a control: how much that differs itself
    # The same figures when it was decided; 0 seconds: it was not.
    decided_unix: float = 0.0
    decided_n: float = 0.0
    decided_estimate: float | None = None
    decided_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class SliceVerdict:
    """One criterion in one slice."""

    criterion: str
    slice: str  # "name=value"
    required: bool
    flagged: bool  # found worse; false discoveries are controlled over all slices
    n: float
    estimate: float | None
    log_fail: float
    interval: Interval | None = None
    share: float = 0.0  # of the criterion's calls
    blocks: int | None = None  # closed blocks; None: calls
    decided_unix: float = 0.0  # when it was found worse; 0: it was not. And the figures then:
    decided_n: float = 0.0
    decided_estimate: float | None = None
    decided_interval: Interval | None = None

    @property
    def effect(self) -> float:
        """The least it can be, times its share of the traffic: what to look at first."""
        return self.interval[0] * self.share if self.interval else 0.0

    def bounded(self, interval: Interval | None, share: float, blocks: int | None) -> SliceVerdict:
        """The same with its interval, its share of the traffic, and how many blocks it has."""
        return replace(self, interval=interval, share=share, blocks=blocks)


@dataclass(frozen=True, slots=True)
class Verdict:
    """May the new version replace the old one?"""

    state: State
    reason: str
    ended: bool  # the budget of calls or time is used up: the shadow may stop
    calls: int
    coverage: float | None  # compared / eligible; None when nothing was eligible
    elapsed_seconds: float
    criteria: tuple[CriterionVerdict, ...]
    slices: tuple[SliceVerdict, ...]  # those worth a look, most effect first
    models: Mapping[str, str]
    events: Mapping[str, int]
    judges: int = 1
    left_out: int = 0
    blind: int = 0  # eligible calls on connections that could not be followed
    lost: Mapping[str, int] = field(default_factory=dict)  # eligible calls, by why not compared
    # How many different requests the calls are worth (Kish's effective number); None: not known.
    distinct_inputs: float | None = None
    hours_of_day: int = 0  # in how many of 24 there were calls
    days_of_week: int = 0  # on how many of 7

    @property
    def evidence(self) -> list[str]:
        """What the evidence is made of, and what is missing from it, a line each."""
        bases: dict[str, list[str]] = {}
        for criterion in self.criteria:
            if criterion.n > 0 and criterion.basis:
                bases.setdefault(criterion.basis, []).append(criterion.name)
        lines = [f"{', '.join(names)}: {basis}" for basis, names in bases.items()]
        lines += [
            f"{c.name}: {c.unlabelled:,.0f} disagreements lack a label; for PASS each counts as "
            "the worst, for FAIL as the best"
            for c in self.criteria
            if c.unlabelled > 0
        ]
        lines += [
            f"{c.name}: the control itself differs in {100 * c.control_rate:.3g} % of calls, and "
            "excuses as much"
            for c in self.criteria
            if c.control_rate
        ]
        if self.lost:
            why = ", ".join(f"{name} {n:,}" for name, n in sorted(self.lost.items()))
            by_blocks = any(c.blocks is not None for c in self.criteria)
            how = (
                "for PASS each counts as the worst, for FAIL as the best"
                if by_blocks
                else "where calls are taken as independent only coverage takes account of them"
            )
            lines.append(f"{sum(self.lost.values()):,} calls were lost ({why}); {how}")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is not finite becomes null."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
