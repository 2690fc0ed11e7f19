"""Decisions that stand, and how long.

Rule: FAIL stands. PASS stands while a second, restarting process sees no harm that began later;
when it does the verdict is FAIL, and says when it passed and since when it is worse. Counterparts:
`verdict`, which decides; `evidence.watch`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sidecar.judge.counts import ALL, CellKey, Coverage, Total
from sidecar.judge.criteria.base import Plan
from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.watch import RUN_LENGTH, Watch
from sidecar.judge.report import State

COVERED_CALLS = 5_000  # over so many eligible calls coverage is looked at after a PASS
SHORTEST_SECONDS, LONGEST_SECONDS = 10.0, 600.0  # of the blocks that a PASS is watched by


@dataclass(frozen=True, slots=True)
class Decided:
    """What the figures were when something was decided."""

    unix_ns: int
    n: float
    estimate: float | None
    interval: Interval | None


@dataclass(slots=True)
class Latches:
    """The decisions that stand. Belongs to one epoch of one judge."""

    overall: tuple[State, str] | None = None
    criteria: dict[str, State] = field(default_factory=dict)
    decided_unix_ns: int = 0  # when
    figures: dict[str, Decided] = field(default_factory=dict)  # by criterion, then
    slices: dict[CellKey, Decided] = field(default_factory=dict)  # those that were found worse
    watches: dict[str, list[Watch]] = field(default_factory=dict)  # by criterion, one a claim
    window: Coverage | None = None  # at the begin of the calls whose coverage is looked at next
    latest: float | None = None  # coverage of the last such calls, where it was below its floor
    # By criterion: answers of its control and how much they differ, when they were last looked at;
    # and what share they differ in since then, where that is more than it may be.
    controls: dict[str, tuple[float, float]] = field(default_factory=dict)
    noisy: dict[str, float] = field(default_factory=dict)
    slice_watches: dict[CellKey, list[Watch]] = field(default_factory=dict)  # after a PASS

    def forget(self, key: CellKey) -> None:
        """What was found of a cell rests on calls that are not known any more: FAIL alone did."""
        self.slices.pop(key, None)
        if key.slice == ALL and self.criteria.get(key.criterion) is State.FAIL:
            del self.criteria[key.criterion]
            self.figures.pop(key.criterion, None)


def begin_watch(latches: Latches, plans: Sequence[Plan], total: Total, alpha: float) -> None:
    """After a PASS: watch every required criterion, from what comes next."""
    for plan in plans:
        if plan.criterion.required:
            blocks = total.blocks.get(CellKey(plan.criterion.name, ALL), ())
            latches.watches[plan.criterion.name] = [watch_of(one, alpha) for one in blocks]


def harm(
    latches: Latches, plans: Sequence[Plan], total: Total, delay_seconds: float = 0.0
) -> str | None:
    """Why a PASS no longer stands; None while it does.

    Args:
        latches: with what is watched.
        plans: the criteria.
        total: the counts.
        delay_seconds: within which the labels of a sample of calls come (`LabelSettings`).
    """
    labelled = total.unix_ns - round(delay_seconds * 1e9)
    for plan in plans:
        name = plan.criterion.name
        until = labelled if delay_seconds and plan.criterion.labels_all else None
        blocks = total.blocks.get(CellKey(name, ALL), ())
        for watch, one in zip(latches.watches.get(name, ()), blocks, strict=False):
            if watch.follow(one, until):
                latches.criteria[name] = State.FAIL
                since = watch.worse_since_ns or total.unix_ns
                passed = moment(latches.decided_unix_ns)
                return f"{name}: passed at {passed}, worse since {moment(since)}"
    return None


def uncovered(latches: Latches, coverage: Coverage, floor: float, least: int) -> str | None:
    """Why a PASS says nothing of the calls that come now: too few of them are compared.

    A shadow that dies answers nothing that could be worse, and its calls are lost by the thousand.

    Args:
        latches: with the calls that were looked at last.
        coverage: of all calls until now.
        floor: of the share that must be compared.
        least: of so many eligible calls, at least.
    """
    since = latches.window
    if since is None or coverage[:2] < since[:2]:
        latches.window = coverage  # the first look, or a part of the sum has gone
    elif (eligible := coverage.eligible - since.eligible) >= max(least, COVERED_CALLS):
        share = (coverage.compared - since.compared) / eligible
        latches.latest = share if share < floor else None
        latches.window = coverage
    if latches.latest is None:
        return None
    words = f"{latches.latest:.1%} of the latest calls were compared, the floor is {floor:.1%}"
    return f"passed at {moment(latches.decided_unix_ns)}; {words}"


def watch_of(blocks: Blocks, alpha: float, run_length: float = RUN_LENGTH) -> Watch:
    """Watches one claim of one cell from the next block on; arguments as of `Watch`."""
    score = blocks.bets.watched(blocks.total)
    # As long as the decision's own blocks, for shorter ones may be alike; at most ten minutes, so
    # that harm is seen, and not so short that a call's own latency matters.
    most = max(SHORTEST_SECONDS, min(blocks.chosen().seconds, LONGEST_SECONDS))
    fitting = [s for s in blocks.lengths if s <= most] or [blocks.lengths[0]]
    watch = Watch(
        score.margin,
        score.low,
        score.high,
        seconds=fitting[-1],
        alpha=alpha,
        run_length=run_length,
        weights=score.weights,
    )
    watch.begin_after(blocks)
    return watch


def moment(unix_ns: int) -> str:
    """A time, to the second."""
    return datetime.fromtimestamp(unix_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
