"""One shadow with its experiments: a row for each pair of versions that answered.

Rule: a call counts in the row of its versions, and only there; what tells no version, and what was
left out by choice, in the current row. What was lost may be any one's of the versions that answer
now, and counts in each. While several of the shadow's versions answer, so does a call that tells
none, as lost: else one's errors would be another's.
Nothing is begun again because other versions were seen, and rows are bounded: of many, the one that
was longest not seen goes from memory, never from the store; where nothing is kept it is forgotten,
but for a FAIL. Calls of versions for which there is no
room are lost, and nothing is PASS while they come.
Counterparts: `judging`, which makes rows; `judge.versions`, the rules; `row`; `row_labels`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sidecar.call import INELIGIBLE, SkipReason
from sidecar.experiment.epoch import EpochCounts
from sidecar.experiment.ledger import ShadowCounts
from sidecar.experiment.row import UNTOLD, Row
from sidecar.experiment.row_labels import RowLabels
from sidecar.judge.counts import Coverage
from sidecar.judge.judge import Judge
from sidecar.judge.labels import Label
from sidecar.judge.pair import JudgedPair, identity_of
from sidecar.judge.report import State, Verdict
from sidecar.judge.versions import GONE_NS, Known, current, told_by

MOST_ROWS = 16
CROWDED = "version_crowded"  # why calls are lost whose versions there is no room for
LOOK_NS = 10**9  # until room is looked for again, for a row may have to be read from the store
REST_NS = 10 * 10**9  # a row that was seen so lately stays


class Judged:
    """One shadow and its judges."""

    def __init__(
        self,
        counts: ShadowCounts,
        digest: str,
        begin: Callable[[str, str, Known, int], Row],
        rows: list[Row],
        now_ns: int,
    ) -> None:
        """Begin.

        Args:
            counts: the ledger's.
            digest: of everything that changes what is counted.
            begin: makes the row of a name, a digest and versions, or finds it in the store.
            rows: those to go on with.
            now_ns: the present.
        """
        self.counts = counts
        self.digest = digest
        self._few_keys = ""  # why nothing is known of calls that sampling leaves out now
        self.unsettled = 0  # connections whose calls the wire has not counted yet
        self._latest_ns = now_ns
        self.crowded = 0  # calls of versions for which there was no room: they are lost
        self._crowded_ns = self._full_until_ns = 0  # when the last came; no room is looked for
        self._begin = begin
        self._all = list(rows) or [begin(counts.name, digest, Known(), now_ns)]
        self.labels = RowLabels(self)
        self._choose()
        self._told: dict[SkipReason, int] = dict(counts.skipped)  # as was last accounted for

    # ---- what most readers want: the current row ------------------------------------------------

    @property
    def name(self) -> str:
        """The shadow's name."""
        return self.counts.name

    @property
    def rows(self) -> list[Row]:
        """Every row under the rules in force, the current one first, then as they came up."""
        here = [row for row in self._all if row.digest == self.digest and row is not self.row]
        return [self.row, *sorted(here, key=lambda row: -row.came_up_ns)]

    @property
    def every_row(self) -> list[Row]:
        """Those under other rules, too."""
        return list(self._all)

    @property
    def judge(self) -> Judge:
        """The current row's."""
        return self.row.judge

    @property
    def epoch(self) -> EpochCounts:
        """The current row's."""
        return self.row.epoch

    @property
    def verdict(self) -> Verdict:
        """The current row's, as last evaluated."""
        return self.row.verdict

    @property
    def coverage(self) -> Coverage:
        """The current row's, now."""
        self.account()
        return self.row.coverage

    @property
    def label_fates(self) -> dict[str, int]:
        """What became of labels, in all rows."""
        found: dict[str, int] = {}
        for row in self.rows:
            for fate, n in row.judge.label_fates.items():
                found[fate] = found.get(fate, 0) + n
        return found

    @property
    def few_keys(self) -> str:
        """Why nothing is known of calls that sampling leaves out, or left out; empty: it is."""
        return self._few_keys or self.row.few_keys

    def sampled(self, few_keys: str, *, keyed: bool) -> None:
        """Learn of the keys that are sampled now.

        Args:
            few_keys: why they are too few for those that are left out; empty: they are not.
            keyed: whether whole keys are left out at all.
        """
        self.row.sampled(few=bool(self._few_keys or few_keys), enough=keyed and not few_keys)
        self._few_keys = few_keys

    def evaluate(self, now_ns: int) -> Verdict:
        """Judge what has been counted so far of the current versions."""
        self.account(now_ns)
        self.row.unsettled, self.row.held = self.unsettled, self.few_keys
        verdict = self.row.evaluate(now_ns)
        if verdict.state is State.PASS and (why := self.few_keys or self.is_crowded(now_ns)):
            verdict = replace(verdict, state=State.INCONCLUSIVE, reason=f"{why}: {verdict.reason}")
            self.row.verdict = verdict
        return verdict

    def is_crowded(self, now_ns: int) -> str:
        """Why no PASS holds now: versions answer that nobody counts; empty: there are none."""
        if not self.crowded or now_ns - self._crowded_ns > GONE_NS:
            return ""
        return (
            f"{self.crowded:,} calls told versions beyond the {MOST_ROWS} that are counted at a "
            "time, and are lost; those that are counted"
        )

    # ---- counting -------------------------------------------------------------------------------

    def observe(
        self, pair: JudgedPair, now_ns: int, unix_ns: int, scores: dict[str, float] | None = None
    ) -> None:
        """Count one pair in the row of its versions."""
        models = pair.comparison.models
        if ":" not in models[1] and len(self._all) > 1 and (whose := self._any_of(models, now_ns)):
            for row in whose:
                row.lose_one(UNTOLD, now_ns)
            return
        found = self._row_of(models, now_ns)
        if found is None:
            self.crowded += 1
            self._crowded_ns = now_ns
            self.row.lose_one(CROWDED, now_ns)
        else:
            if len(self._all) > 1:
                self.labels.bring(identity_of(pair), found, now_ns)
            found.observe(pair, now_ns, unix_ns, scores)

    def label(self, label: Label, now_ns: int) -> str:
        """Count a label where its call is; see `RowLabels`.

        Returns:
            See `Judge.label`.
        """
        return self.labels.tell(label, now_ns)

    def blind(self, calls: float, now_ns: int) -> None:
        """Count calls that only the wire saw."""
        for row in self._answering(now_ns):
            row.miss({}, calls, now_ns)

    def account(self, now_ns: int | None = None) -> None:
        """Have what was skipped since the last time counted."""
        if now_ns is not None:
            self._latest_ns = max(self._latest_ns, now_ns)
        told = self._told
        new = {r: n - told[r] for r, n in self.counts.skipped.items() if n != told[r]}
        if new:
            told.update(self.counts.skipped)
            self.row.miss(new, 0.0, self._latest_ns)
            lost = {reason: n for reason, n in new.items() if reason not in INELIGIBLE}
            if lost and len(self._all) > 1:
                for row in self._answering(self._latest_ns):
                    if row is not self.row:
                        row.miss(lost, 0.0, self._latest_ns)

    def follow(self, digest: str, now_ns: int) -> None:
        """Other rules are in force: count under them, from where they were if they were before."""
        if digest == self.digest:
            return
        self.account(now_ns)
        known, self.digest = self.row.known, digest
        if not any(row.digest == digest for row in self._all):
            made = self._begin(self.name, digest, Known(*known.named), now_ns)
            self._count_attempts(made)
            if not self._add(made, now_ns):
                self._all.append(made)  # calls under other rules can be counted nowhere else
        self._choose()

    def _count_attempts(self, made: Row) -> None:
        """Where nothing is kept, this life's rows with calls count: each was an attempt."""
        known = made.known.named[1]
        others = sum(
            bool(row.judge.calls or row.is_decided) and row.known.named[1] == known
            for row in self._all
        )
        if others and not made.judge.attempt and not made.is_decided:
            made.judge.attempt = others + 1

    def replace(self, row: Row, now_ns: int) -> None:
        """A row was ended by hand: one without calls takes its place."""
        self._all.remove(row)
        if row is self.row or not self._here:
            self._all.append(self._begin(self.name, row.digest, row.known, now_ns))
        self._choose()
        self.labels.leave(row, now_ns)

    # ---- whose a call is ------------------------------------------------------------------------

    def _any_of(self, models: tuple[str, str], now_ns: int) -> list[Row]:
        """The rows of versions that answer now and that a call may be of which tells none."""
        told = told_by(models)
        found = [
            row
            for row in self._here
            if row.known.named[1] and now_ns - row.seen_ns <= GONE_NS and row.known.fits(told)
        ]
        shadows = {row.known.versions.shadow for row in found}
        return found if len(shadows) > 1 else []  # of one shadow it is known whose it is

    def _answering(self, now_ns: int) -> list[Row]:
        """The rows of versions that answer now: a call that was lost may be any one's."""
        return [r for r in self._here if r is self.row or now_ns - r.seen_ns <= GONE_NS]

    @property
    def _here(self) -> list[Row]:
        return [row for row in self._all if row.digest == self.digest]

    def _choose(self) -> None:
        here = self._here
        self.row = here[current((row.came_up_ns, row.seen_ns) for row in here)]
        # Those that came up later are gone, so these have come up again: reports of parts, which
        # are led by who came up last, must be about the same versions as the headline.
        others = [row.came_up_ns for row in here if row is not self.row]
        if others and max(others) >= self.row.came_up_ns:
            self.row.came_up_ns = max(others) + 1
        self._lately: dict[tuple[str, str], Row] = {}  # by what was told; the row may be touched

    def _row_of(self, models: tuple[str, str], now_ns: int) -> Row | None:
        row = self._lately.get(models)
        if row is None:
            row = self._find(models, now_ns)
            if row is None:
                return None
            if len(self._lately) < MOST_ROWS * 4:
                self._lately[models] = row
        told_shadow = ":" in models[1] or not row.known.named[1]
        if told_shadow:
            if now_ns - row.seen_ns > GONE_NS:
                row.came_up_ns = now_ns
                row.seen_ns = now_ns
                self._turn()
            row.seen_ns = max(row.seen_ns, now_ns)
            if row is not self.row and now_ns - self.row.seen_ns > GONE_NS:
                self._turn()
        return row

    def _turn(self) -> None:
        """Another pair of versions may be the current one now."""
        self.account()
        self._choose()

    def _find(self, models: tuple[str, str], now_ns: int) -> Row | None:
        """The row that a call counts in; None where there is no room for another."""
        told, row = told_by(models), self.row
        if row.known.has(told):
            return row
        wanted = row.known.plus(told)
        for other in self._here:
            if other.known == wanted:
                return other
        if now_ns < self._full_until_ns:
            return None
        self.account(now_ns)
        # A FAIL goes with whoever then tells that it is here; a PASS must be its own.
        passed = row.is_decided and not row.fails
        adopts = row.known.fits(told) and not (passed and row.known.extends(told))
        made = self._begin(self.name, self.digest, wanted, now_ns)
        if adopts and not made.judge.calls and not made.is_decided:
            # Nothing is known of these versions but that they are what is here already.
            before = row.judge.attempt if row.judge.calls else 0
            row.judge.attempt = max(before, made.judge.attempt)
            row.named(wanted)
            self._lately.clear()
            return row
        if not self._add(made, now_ns):
            self._full_until_ns = now_ns + LOOK_NS
            return None
        # It has just come up, whenever it was here before.
        made.came_up_ns = made.seen_ns = now_ns
        self._choose()
        return made

    def _add(self, row: Row, now_ns: int) -> bool:
        """Make room for a row; False where all are in use."""
        if len(self._all) >= MOST_ROWS:
            others = [r for r in self._all if r is not self.row and not r.has_changed]
            oldest = min(others, key=lambda r: r.seen_ns, default=self.row)
            if oldest is self.row or now_ns - oldest.seen_ns < REST_NS:
                return False
            self._all.remove(oldest)
            self.labels.leave(oldest, now_ns)
        self._all.append(row)
        self.labels.join(row, now_ns)
        return True
