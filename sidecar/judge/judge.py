"""The judge: told of every pair, asked for the verdict.

Rule: observing only counts; evidence is evaluated on read. Evidence restarts when a model's
version changes on either side, because what was counted was about another model, and when a
method's payloads, compared as bytes so far, can be read. Counterparts:
`criteria` (what a pair adds), `verdict` (what the sums say), `counts` (how sums of pods merge).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from sidecar.compare.readers.opaque import OPAQUE
from sidecar.judge.block_cells import BlockCells
from sidecar.judge.counts import (
    ALL,
    READER,
    Cell,
    CellKey,
    Coverage,
    Snapshot,
    SnapshotKey,
    add,
    counts_of,
    total,
)
from sidecar.judge.criteria.base import Increments, Plan, Scores
from sidecar.judge.criteria.labelled import Decisions, Labelled
from sidecar.judge.labels import Label, LabelStore
from sidecar.judge.latches import Latches
from sidecar.judge.pair import JudgedPair
from sidecar.judge.ranges import Ranges
from sidecar.judge.repeats import Repeats
from sidecar.judge.report import State, Verdict
from sidecar.judge.settings import JudgeSettings
from sidecar.judge.slices import OTHER, Place, Slices
from sidecar.judge.verdict import decide, plans_of
from sidecar.judge.worst import Example, Examples, identity_of, note_of, rank_of


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What a label will be joined to."""

    unix_ns: int  # when the call arrived
    places: tuple[Place, ...]
    decisions: tuple[tuple[Plan, Labelled, Decisions], ...]


class Judge:
    """Counts pairs and judges the counts. One for each shadow."""

    def __init__(
        self,
        settings: JudgeSettings,
        instance: str,
        now_ns: int,
        *,
        unix_offset_ns: int = 0,
        control_fraction: float = 0.0,
        rules: str = "",
    ) -> None:
        """Start judging.

        Args:
            settings: what was declared.
            instance: names this process's life among all pods and restarts.
            now_ns: the present, on the monotonic clock; the budget of time begins here.
            unix_offset_ns: what to add to that clock for the time since 1970.
            control_fraction: share of the calls that also go to a control; 0 without one.
            rules: how outputs are compared, in any fixed form: evidence under different rules
                is not added.
        """
        self._settings = settings
        self._instance = instance
        self._unix_offset_ns = unix_offset_ns
        self._plans = plans_of(settings, control_fraction)
        self._labelled = [
            (plan, plan.criterion) for plan in self._plans if isinstance(plan.criterion, Labelled)
        ]
        # Rules of the whole evidence, so that only like is added to like.
        declared = settings.model_dump_json(exclude={"examples"})  # what is shown decides nothing
        text = f"{declared}\n{control_fraction!r}\n{rules}"
        self._rules = sha256(text.encode()).hexdigest()[:16]
        self._labels: LabelStore[_Waiting] = LabelStore(settings.labels)
        self._sequence = 0
        self._epoch = -1
        self._coverage = Coverage(0, 0)  # as last told
        self._versions: dict[str, str] = {}
        self._restart(now_ns)

    def _restart(self, now_ns: int) -> None:
        self._epoch += 1
        self._began_ns = self._latest_ns = now_ns
        self._before = self._coverage
        self._calls = 0
        self._repeated = 0
        self._cells: dict[CellKey, Cell] = {}
        self._blocks = BlockCells(
            self._plans, self._settings.block_seconds, self._settings.unseen_seconds
        )
        self._lost: dict[str, int] = {}
        self._repeats = Repeats(self._settings.repeat_seconds)
        self._slices = Slices(self._settings)
        self._ranges = Ranges()
        self._latches = Latches()
        self._examples = Examples(self._settings.worst, self._settings.sample)
        self._labels.forget()

    def cover_from(self, coverage: Coverage) -> None:
        """Count coverage from here: what came before this epoch's first call is not of it."""
        self._before = self._coverage = coverage

    @property
    def epoch(self) -> int:
        """How often the evidence has begun again."""
        return self._epoch

    def observe(
        self, pair: JudgedPair, now_ns: int, scores: dict[str, float] | None = None
    ) -> bool:
        """Count one pair; returns whether it counts, which a repeat does not.

        Args:
            pair: the call.
            now_ns: the present.
            scores: takes the call's score in each criterion that has one of a single call.
        """
        known = self._versions.get(f"{READER}{pair.method}", "")
        reader = pair.comparison.reader
        if reader == OPAQUE and known not in {"", OPAQUE}:
            return False  # compared byte by byte, just before it was known what the bytes mean
        if reader:
            self._versions[f"{READER}{pair.method}"] = reader
        if self._changed(pair.comparison.models) or (
            known == OPAQUE and reader not in {"", OPAQUE}
        ):
            self._restart(now_ns)
        self._sequence += 1
        self._latest_ns = max(self._latest_ns, now_ns)
        if self._repeats.is_repeat(pair.request_digest, now_ns):
            self._repeated += 1
            return False
        self._calls += 1
        places, gone = self._slices.see(pair.slices)
        for name in gone:
            self._fold(name)
        identity = identity_of(pair)
        rank, note = rank_of(identity), None
        arrived = pair.arrived_ns + self._unix_offset_ns
        for plan in self._plans:
            counted = plan.increments(pair, self._ranges)
            if not counted:
                continue
            if scores is not None and (score := plan.score(counted)) is not None:
                scores[plan.criterion.name] = score
            bad = plan.magnitude(pair, counted)
            added = plan.criterion.scored(plan, counted)
            for key in self._keys(plan, places):
                self._count(key, counted, added, arrived)
                if self._examples.wants(key, bad, rank):
                    note = note or note_of(pair, arrived)
                    self._examples.add(key, Example(bad, rank, note))
        if self._labelled:
            self._await_label(pair, places, identity, now_ns)
        return True

    def lose(self, reasons: Mapping[str, int], now_ns: int) -> None:
        """Count calls that should have been compared and were not, by why.

        Only those that no draw has left out: each may be the worst for all that is known.
        """
        for reason, calls in reasons.items():
            self._lost[reason] = self._lost.get(reason, 0) + calls
        self._blocks.lose(sum(reasons.values()), now_ns + self._unix_offset_ns, self._calls)

    def label(self, label: Label, now_ns: int) -> None:
        """Count what turned out to be true about a call, now or when its pair comes."""
        self._sequence += 1
        self._latest_ns = max(self._latest_ns, now_ns)
        waiting = self._labels.label(label, now_ns)
        if waiting is not None:
            self._use(waiting, label)

    @property
    def stands(self) -> tuple[State, str] | None:
        """The decision that stands, and why; None while there is none."""
        return self._latches.overall

    @property
    def label_fates(self) -> dict[str, int]:
        """What became of the labels so far, by `labels.Fate`."""
        return dict(self._labels.fates)

    def wanted(self, most: int) -> list[str]:
        """Correlation ids of the disagreements whose labels would decide soonest."""
        return self._labels.wanted(most)

    def verdict(self, now_ns: int, coverage: Coverage) -> Verdict:
        """Judge what has been counted so far.

        Args:
            now_ns: the present.
            coverage: of the whole life of the process; what preceded a restart is taken off.
        """
        sums = total(counts_of([self.snapshot(now_ns, coverage)]))
        return decide(self._settings, self._plans, sums, self._latches)

    def snapshot(self, now_ns: int, coverage: Coverage) -> Snapshot:
        """The counts so far, for merging with other pods'; arguments as for `verdict`."""
        self._coverage = coverage
        self._latest_ns = max(self._latest_ns, now_ns)
        self._sequence += 1  # time and coverage are counted too
        self._blocks.lose(0.0, now_ns + self._unix_offset_ns, self._calls)  # as more is labelled
        self._blocks.advance(self._latest_ns + self._unix_offset_ns)
        return Snapshot(
            key=SnapshotKey(self._instance, self._epoch),
            sequence=self._sequence,
            rules=self._rules,
            models=dict(self._versions),
            began_unix_ns=self._began_ns + self._unix_offset_ns,
            elapsed_ns=self._latest_ns - self._began_ns,
            calls=self._calls,
            coverage=coverage - self._before,
            cells={key: dict(cell) for key, cell in self._cells.items()},
            events={"repeats": self._repeated, "restarts": self._epoch, **self._labels.fates},
            blocks=self._blocks.cells,
            lost=dict(self._lost),
        )

    def worst(self, criterion: str, slice_: str = ALL) -> list[Example]:
        """The worst calls for a criterion, worst first."""
        return self._examples.worst(CellKey(criterion, slice_))

    def sample(self, criterion: str, slice_: str = ALL) -> list[Example]:
        """A uniform sample of the calls that a criterion counted."""
        return self._examples.sample(CellKey(criterion, slice_))

    def _changed(self, models: tuple[str, str]) -> bool:
        """Whether a known model has another version than before, on either side."""
        changed = False
        for side, model in zip(("production", "shadow"), models, strict=True):
            name, _, version = model.rpartition(":")
            if not version:
                continue  # not told in this answer
            known = self._versions.get(f"{side} {name}")
            changed = changed or known not in {None, version}
            self._versions[f"{side} {name}"] = version
        return changed

    def _keys(self, plan: Plan, places: Iterable[Place]) -> list[CellKey]:
        """The cells that a call counts in."""
        name = plan.criterion.name
        return [
            CellKey(name, ALL),
            *(CellKey(name, place.full) for place in places if plan.covers(place.name)),
        ]

    def _fold(self, gone: str) -> None:
        """Move what a slice counted to its division's others."""
        others = f"{gone.partition('=')[0]}={OTHER}"
        for plan in self._plans:
            cell = self._cells.pop(CellKey(plan.criterion.name, gone), None)
            if cell is not None:
                add(self._cells.setdefault(CellKey(plan.criterion.name, others), {}), cell)
        self._examples.drop(gone)
        self._blocks.drop(gone)

    def _await_label(
        self,
        pair: JudgedPair,
        places: list[Place],
        identity: str,
        now_ns: int,
    ) -> None:
        rows = [
            (plan, criterion, decided)
            for plan, criterion in self._labelled
            if (decided := criterion.remember(pair)) is not None
        ]
        interest = 0.0
        arrived = pair.arrived_ns + self._unix_offset_ns
        for plan, criterion, decided in rows:
            if decided.differ:
                interest += 2.0 if criterion.required else 1.0
            if counted := criterion.at_once(decided):
                scores = criterion.scored(plan, counted)
                for key in self._keys(plan, places):
                    self._count(key, counted, scores, arrived)
        waiting = _Waiting(arrived, tuple(places), tuple(rows))
        label = self._labels.pair(identity, waiting, interest, now_ns)
        if label is not None:
            self._use(waiting, label)

    def _use(self, waiting: _Waiting, label: Label) -> None:
        places = self._slices.settle(waiting.places)
        for plan, criterion, rows in waiting.decisions:
            counted = criterion.by_label(plan, rows, label)
            if counted is None:
                self._labels.unusable()
                continue
            scores = criterion.scored(plan, counted)
            for key in self._keys(plan, places):
                self._count(key, counted, scores, waiting.unix_ns)

    def _count(self, key: CellKey, counted: Increments, scores: Scores, unix_ns: int) -> None:
        add_all(self._cells.setdefault(key, {}), counted)
        self._blocks.add(key, unix_ns, scores)


def add_all(cell: Cell, counted: Increments) -> None:
    """Add increments to a cell in place."""
    for name, weight in counted:
        cell[name] = cell.get(name, 0.0) + weight
