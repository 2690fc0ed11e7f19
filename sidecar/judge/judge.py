"""The judge: told of every pair, asked for the verdict.

Rule: observing only counts; evidence is evaluated on read, and is never begun again. All pairs that
one judge is told of are of the same versions on either side. When a method's payloads, compared as
bytes so far, can be read, its calls whose bytes differed are not known any more (`unread`); a FAIL
stands nevertheless, unless it rests on such calls alone. Counterparts:
`criteria` (what a pair adds), `verdict` (what the sums say), `counts` (how sums of pods merge),
`versions` (whose pairs these are), `pieces` (how a judge is kept).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

from sidecar.call import SkipReason
from sidecar.compare.readers.opaque import OPAQUE
from sidecar.judge.counts import (
    ALL,
    READER,
    SIDES,
    Cell,
    CellKey,
    Coverage,
    Snapshot,
    SnapshotKey,
    add,
    counts_of,
    total,
)
from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.shapes import Increments, Scores
from sidecar.judge.examples import rank_of
from sidecar.judge.held import Held
from sidecar.judge.labels import Label
from sidecar.judge.pair import JudgedPair, identity_of
from sidecar.judge.report import State, Verdict
from sidecar.judge.slices import OTHER, Place, named
from sidecar.judge.verdict import decide
from sidecar.judge.waiting import Waiting
from sidecar.judge.worst import Example, Note, note_of

BREAKER_OPEN = SkipReason.BREAKER_OPEN.value
MOST_KEPT_BACK = 600  # entries, one a second


class Judge(Held):
    """Counts pairs and judges the counts. One for each shadow."""

    def observe(
        self, pair: JudgedPair, now_ns: int, scores: dict[str, float] | None = None
    ) -> bool:
        """Count one pair; returns whether it counts, which a repeat does not.

        Args:
            pair: the call.
            now_ns: the present.
            scores: takes the call's score in each criterion that has one of a single call.
        """
        comparison = pair.comparison
        reader = comparison.reader
        told = (pair.method, reader, comparison.models)
        # Most calls tell what the one before told.
        if told != self._learned and not self._is_read(told):
            return False
        self._sequence += 1
        self._latest_ns = max(self._latest_ns, now_ns)
        if pair.is_repeat:
            self._repeated += 1
            return False
        self._calls += 1
        self._weight = pair.weight
        if pair.request_digest is not None:
            self._inputs.add(pair.request_digest)
        if reader == OPAQUE:
            self._as_bytes[pair.method] = self._as_bytes.get(pair.method, 0) + 1
        places: list[Place] = []
        if pair.slices:
            places, gone = self._slices.see(pair.slices, self._latches.slices)
            for name in gone:
                self._fold(name)
        identity = identity_of(pair)
        arrived = pair.arrived_ns + self.unix_offset_ns
        if pair.answered:
            self._count_in_all(pair, places, arrived, rank_of(identity), scores)
        if self._labelled:
            self._await_label(pair, places, identity, now_ns)
        if self._kept_back and pair.answered:
            self._tried(arrived, failed=pair.failed)
        return True

    def _count_in_all(
        self,
        pair: JudgedPair,
        places: list[Place],
        arrived: int,
        rank: int,
        scores: dict[str, float] | None,
    ) -> None:
        """Count a call that production answered for every criterion that is about it."""
        by_bytes = pair.comparison.reader == OPAQUE and not pair.failed
        weight, examples, blocks = pair.weight, self._examples, self._blocks
        note: Note | None = None
        for tally, plan, everywhere in self._tallies:
            counted = tally.count(pair, self._ranges)
            if counted is None:
                continue
            if scores is not None and (score := plan.score(counted)) is not None:
                scores[plan.criterion.name] = score
            for key in self._keys(plan, places) if places else everywhere:
                cell = self._cells.get(key)
                if cell is None:
                    cell = self._cells[key] = {}
                add_all(cell, counted.increments)
                if counted.many is None:
                    worst, best = counted.worst * weight, counted.best * weight
                    blocks.add_one(key, arrived, counted.n * weight, worst, best)
                else:
                    blocks.add(key, arrived, weighed(counted.many, weight))
                if by_bytes and plan.criterion.unread(plan, counted.increments)[0]:
                    add_all(self._by_bytes.setdefault(key, {}), counted.increments)
                if examples.wants(key, counted.magnitude, rank):
                    note = note or note_of(pair, arrived)
                    examples.add(key, Example(counted.magnitude, rank, note))

    def _tried(self, arrived: int, *, failed: bool) -> None:
        """The shadow was tried again: it tells of the calls that were kept back before.

        Where it failed again, it answered none of those in between either, for all that anybody
        could see: they are errors, for FAIL too. Where it answered, nobody knows.
        """
        here = [(at, n) for at, n in self._kept_back if at <= arrived]
        self._kept_back = self._kept_back[len(here) :]
        for plan in self._plans if failed else ():
            if plan.criterion.is_of_failures and plan.criterion.methods == "*":
                key = CellKey(plan.criterion.name, ALL)
                for at, n in here:
                    add_all(self._cells.setdefault(key, {}), [("n", n), ("k", n)])
                    self._blocks.add(key, at, (0.0, ((0.0, float(n)),)))

    def _is_read(self, told: tuple[str, str, tuple[str, str]]) -> bool:
        """Learn of a call by whom its answers were read and what both sides say that they are.

        Returns:
            False for a call that was compared byte by byte, just before it was known what the
            bytes mean: it is not counted.
        """
        method, reader, models = told
        known = self._versions.get(f"{READER}{method}", "")
        if reader == OPAQUE and known not in {"", OPAQUE}:
            return False
        if reader:
            self._versions[f"{READER}{method}"] = reader
        self._learn(models)
        if known == OPAQUE and reader not in {"", OPAQUE} and self._as_bytes.get(method):
            self._forget_bytes()
        self._learned = told
        return True

    def _forget_bytes(self) -> None:
        """A method's payloads can be read now: calls whose bytes differed may not have differed.

        They are not known from now on, those of other methods too; what they told of a claim is
        given back, and everything else goes on. A FAIL that rests on any other call stands: else a
        client could have it forgotten by calling a method that nobody has called yet.
        """
        plans = {plan.criterion.name: plan for plan in self._plans}
        only_bytes = sum(self._as_bytes.values()) >= self._calls
        fails = self.stands is not None and self.stands[0] is State.FAIL
        for key, counted in self._by_bytes.items():
            plan = plans[key.criterion]
            more, sides = plan.criterion.unread(plan, list(counted.items()))
            if key in self._cells:
                add_all(self._cells[key], more)
            self._blocks.forfeit(key, sides, plan.criterion.scored(plan, more))
            if only_bytes or not fails:
                self._latches.forget(key)
        if fails and only_bytes:
            self._latches.overall, self._latches.decided_unix_ns = None, 0
        self._unread += sum(self._as_bytes.values())
        self._as_bytes, self._by_bytes = {}, {}

    def lose(self, reasons: Mapping[str, int], now_ns: int) -> None:
        """Count calls that should have been compared and were not, by why.

        Only those that no draw has left out: each may be the worst for all that is known.
        """
        for reason, calls in reasons.items():
            self._lost[reason] = self._lost.get(reason, 0) + calls
        unix_ns = now_ns + self.unix_offset_ns
        # A lost call is one of as many as a call that is compared now.
        self._blocks.lose(self._weight * sum(reasons.values()), unix_ns, self._calls)
        if kept_back := reasons.get(BREAKER_OPEN, 0):
            self._kept_back = [*self._kept_back, (unix_ns, kept_back)][-MOST_KEPT_BACK:]

    def label(self, label: Label, now_ns: int) -> str:
        """Count what turned out to be true about a call, now or when its pair comes.

        Returns:
            Why no criterion can use it, so that the call waits for another; else empty.
        """
        self._sequence += 1
        self._latest_ns = max(self._latest_ns, now_ns)
        waiting = self._labels.label(label, now_ns)
        if waiting is not None:
            return self._use(waiting, label, now_ns)
        if self._labels.contradicts(label):
            return "its call was counted by a label that says something else, which stays"
        return ""

    @property
    def stands(self) -> tuple[State, str] | None:
        """The decision that stands, and why; None while there is none."""
        return self._latches.overall

    @property
    def label_fates(self) -> dict[str, int]:
        """What became of the labels so far, by `labels.Fate`."""
        return dict(self._labels.fates)

    def knows(self, correlation_id: str) -> bool:
        """Whether a call of that id waits for its label here, or did."""
        return self._labels.knows(correlation_id)

    def wanted(self, most: int) -> list[str]:
        """Correlation ids of the disagreements whose labels would decide soonest."""
        return self._labels.wanted(most)

    def verdict(self, now_ns: int, coverage: Coverage, *, binding: bool = True) -> Verdict:
        """Judge what has been counted so far.

        Args:
            now_ns: the present.
            coverage: of these pairs, since the evidence began.
            binding: whether a decision that is reached stands from now on.
        """
        sums = total(counts_of([self.snapshot(now_ns, coverage)]))
        latches = self._latches if binding else deepcopy(self._latches)
        return decide(self._settings, self._plans, sums, latches)

    def snapshot(self, now_ns: int, coverage: Coverage) -> Snapshot:
        """The counts so far, for merging with other pods'; arguments as for `verdict`."""
        self._latest_ns = max(self._latest_ns, now_ns)
        self._sequence += 1  # time and coverage are counted too
        self._blocks.lose(0.0, now_ns + self.unix_offset_ns, self._calls)  # as more is labelled
        self._blocks.advance(self._latest_ns + self.unix_offset_ns)
        return Snapshot(
            key=SnapshotKey(self._instance, self._epoch),
            sequence=self._sequence,
            rules=self._rules,
            models=dict(self._versions),
            began_unix_ns=self._began_ns + self.unix_offset_ns,
            elapsed_ns=self._latest_ns - self._began_ns,
            calls=self._calls,
            coverage=coverage,
            attempt=self._attempt,
            since_unix_ns=self.since_unix_ns,
            cells={key: dict(cell) for key, cell in self._cells.items()},
            events={
                "repeats": self._repeated,
                "unread": self._unread,
                "labels_too_late": self._too_late(),
                **self._labels.fates,
            },
            blocks=self._blocks.cells,
            lost=dict(self._lost),
            inputs=self._inputs,
        )

    def _too_late(self) -> int:
        """Labels that came when the block of their call was no longer kept."""
        cells = [self._blocks.of(CellKey(plan.criterion.name, ALL)) for plan, _ in self._labelled]
        return round(max((cell[0].late for cell in cells if cell), default=0.0))

    def worst(self, criterion: str, slice_: str = ALL) -> list[Example]:
        """The worst calls for a criterion, worst first."""
        return self._examples.worst(CellKey(criterion, slice_))

    def sample(self, criterion: str, slice_: str = ALL) -> list[Example]:
        """A uniform sample of the calls that a criterion counted."""
        return self._examples.sample(CellKey(criterion, slice_))

    def _learn(self, models: tuple[str, str]) -> None:
        """Remember what either side says that it is."""
        for side, model in zip(SIDES, models, strict=True):
            name, _, version = model.rpartition(":")
            if version:
                self._versions[f"{side} {name}"] = version

    def _keys(self, plan: Plan, places: Sequence[Place]) -> Sequence[CellKey]:
        """The cells that a call counts in."""
        name = plan.criterion.name
        if not places:
            return self._everywhere[name]
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
            by_bytes = self._by_bytes.pop(CellKey(plan.criterion.name, gone), None)
            if by_bytes is not None:
                add(self._by_bytes.setdefault(CellKey(plan.criterion.name, others), {}), by_bytes)
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
            if plan.is_about(pair) and (decided := criterion.remember(pair)) is not None
        ]
        arrived = pair.arrived_ns + self.unix_offset_ns
        for plan, criterion, decided in rows:
            if counted := criterion.at_once(decided):
                scores = criterion.scored(plan, counted)
                for key in self._keys(plan, places):
                    self._count(key, counted, scores, arrived, pair.weight)
        waiting = Waiting(arrived, tuple(places), tuple(rows), pair.weight)
        label = self._labels.pair(identity, waiting, waiting.interest, now_ns)
        if label is not None:
            self._use(waiting, label, now_ns)

    def _use(self, waiting: Waiting, label: Label, now_ns: int) -> str:
        """Count a label's call; why no criterion can, or nothing."""
        found = [
            (plan, criterion, criterion.by_label(plan, rows, label), rows)
            for plan, criterion, rows in waiting.decisions
        ]
        open_ = [one for one in found if one[2] is None and one[1].stays_open(one[3])]
        for _ in [one for one in found if one[2] is None]:
            self._labels.unusable()
        if found and all(counted is None for _, _, counted, _ in found) and not open_:
            name = label.correlation_id
            self._labels.wait_on(name, waiting, waiting.interest, now_ns)
            return waiting.misfit(label)
        places = self._slices.settle(waiting.places)
        by_label = self._by_label(label)
        for plan, criterion, counted, _ in found:
            if counted:
                scores = criterion.scored(plan, counted)
                # Of a call that both sides decided alike no label may come: it is in no such slice.
                own = [*places, *by_label] if criterion.labels_all else places
                for key in self._keys(plan, own):
                    self._count(key, counted, scores, waiting.unix_ns, waiting.weight)
        for plan, criterion, _, _ in open_:
            if criterion.labels_all:  # else it has been open since it came
                for key in self._keys(plan, [*places, *by_label]):
                    open_calls = [("n", label.weight), ("differing", label.weight)]
                    add_all(self._cells.setdefault(key, {}), open_calls)
                    self._blocks.lose_in(key, waiting.unix_ns, label.weight * waiting.weight)
        return ""

    def _by_label(self, label: Label) -> list[Place]:
        """The slices that a call is in by its label."""
        value = label.value if isinstance(label.value, (str, int, float)) else None
        truth = [
            (s.label, named(value, s.bins)) for s in self._settings.slices if s.source == "label"
        ]
        places, gone = self._slices.see(truth, self._latches.slices)
        for name in gone:
            self._fold(name)
        return places

    def _count(
        self, key: CellKey, counted: Increments, scores: Scores, unix_ns: int, weight: float
    ) -> None:
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = {}
        add_all(cell, counted)
        self._blocks.add(key, unix_ns, scores if weight == 1.0 else weighed(scores, weight))


def weighed(scores: Scores, weight: float) -> Scores:
    """The scores of a call that stands for several of its block.

    Calls that are left out for want of time are those of busy moments. Each call that is compared
    counts in its block as one over the chance that it had, so that busy moments count in full
    (Horvitz and Thompson, "A generalization of sampling without replacement", 1952).
    """
    n, sums = scores
    return n * weight, tuple([tuple([x * weight for x in one]) for one in sums])


def add_all(cell: Cell, counted: Increments) -> None:
    """Add increments to a cell in place."""
    for name, weight in counted:
        cell[name] = cell.get(name, 0.0) + weight
