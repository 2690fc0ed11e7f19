"""One experiment of a shadow: a pair of versions under given rules, its judge and what is shown.

Rule: what is here is about the calls of these versions and no others, and goes on where it was when
they come back, in this process or the next. A decision is written down before anybody hears of it.
Counterparts: `judged`, which says whose a call is; `row_pieces`, what of it is to be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sidecar.call import DRAWN, INELIGIBLE, SkipReason
from sidecar.experiment.epoch import EpochCounts
from sidecar.experiment.row_pieces import PLAIN, RowPieces
from sidecar.judge.counts import OF_FEW_KEYS, SIDES, Coverage, Snapshot
from sidecar.judge.counts import Gap as PutDown
from sidecar.judge.judge import Judge
from sidecar.judge.pair import JudgedPair
from sidecar.judge.pieces import restore
from sidecar.judge.report import State, Verdict
from sidecar.judge.verdict import few_keys_of
from sidecar.judge.versions import Known
from sidecar.store.kept import Kept, Key

MOST_GAPS = 50  # the latest
LONG_NS = 30 * 10**9  # of being put down: shorter than what a collector looks at
UNSEEN = "unseen"  # why calls are lost that only the wire saw
UNTOLD = "version_untold"  # and those that told no version while several answered


class Gap(NamedTuple):
    """A stretch of time in which nobody watched: an observer was killed, or ended."""

    from_unix_ns: int
    to_unix_ns: int
    lost_calls: float | None = None  # by the wire's own count, of those to be compared

    @property
    def seconds(self) -> float:
        """How long; never negative, whatever clocks do."""
        return max(0, self.to_unix_ns - self.from_unix_ns) / 1e9


def _long(gaps: list[PutDown]) -> tuple[PutDown, ...]:
    """The longest of them, in order."""
    found = [gap for gap in gaps if gap.to_unix_ns - gap.from_unix_ns > LONG_NS]
    shortest = sorted(found, key=lambda gap: gap.from_unix_ns - gap.to_unix_ns)[MOST_GAPS:]
    return tuple(gap for gap in found if gap not in shortest)


class Row:
    """Counts, evidence and verdict of one pair of versions."""

    def __init__(
        self,
        name: str,
        digest: str,
        known: Known,
        judge: Judge,
        now_ns: int,
        decided: Callable[[Row], None] = lambda _: None,
        is_kept: Callable[[Row], bool] = lambda _: True,
        begun: Callable[[Row], None] = lambda _: None,
        unkept: Callable[[], str] = lambda: "",
        life: str = "",
        place: Sequence[str] = ("", ""),
    ) -> None:
        """Begin.

        Args:
            name: the shadow's.
            digest: of everything that changes what is counted.
            known: the versions.
            judge: of no call yet.
            now_ns: the present, on the monotonic clock.
            decided: told of a decision, before anybody else.
            is_kept: whether what a decision rests on would outlive us. A PASS waits for it, a
                second at most: else a kill would leave a PASS without a call.
            begun: told before the first call is counted; says which attempt this is.
            unkept: why nothing can be written now, for then nothing passes.
            life: names this process's among all.
            place: the addresses of both sides, which stand for versions that are not told.
        """
        self.life, self.place = life, list(place)
        self._begin, self._unkept = begun, unkept
        self._is_begun = False
        self.put_down: tuple[PutDown, ...] = ()  # and taken up again; the longest
        self.name, self.digest, self.known, self.judge = name, digest, known, judge
        self.epoch = EpochCounts(judge.epoch)
        self.compared = 0
        self.blind = 0.0  # calls to be compared that only the wire saw
        self.unplaced = 0  # compared calls that may be of these versions or of others
        self.bytes = self.unreadable = 0  # of all connections; of those that are no HTTP/2
        self.held = ""  # why no PASS is decided now, whatever was counted
        self.of_few = 0  # compared calls of keys that were too few for those that were left out
        self._looked = 0  # compared calls when that was last asked
        self.unsettled = 0  # connections whose calls nobody has counted yet: nothing passes
        self.gaps: tuple[Gap, ...] = ()
        self.books: list[Any] | None = None  # of the wire's calls, see `blind`
        self.seen_ns = now_ns  # when a call of these versions was last seen
        self.came_up_ns = now_ns  # and since when they are seen without a long pause
        self.has_changed = True
        self._decided, self._is_kept = decided, is_kept
        self._stands: State | None = None
        self.pieces = RowPieces(self)
        self.verdict = judge.verdict(now_ns, self.coverage)  # as last evaluated

    @property
    def key(self) -> Key:
        """What it is kept under."""
        return Key(self.name, *self.known.versions, self.digest)

    @property
    def is_decided(self) -> bool:
        """Whether a decision stands."""
        return self.judge.stands is not None

    @property
    def fails(self) -> bool:
        """Whether a FAIL stands."""
        return self.judge.stands is not None and self.judge.stands[0] is State.FAIL

    def named(self, known: Known) -> None:
        """Learn more of whose calls these are; a decision that stands is theirs from now on."""
        self.known = known
        self.has_changed = True
        if self._is_begun:
            before = self.judge.attempt
            self._begin(self)
            self.judge.attempt = max(before, self.judge.attempt)
        if self.is_decided:
            self._decided(self)

    @property
    def coverage(self) -> Coverage:
        """Compared, of the calls whose fate is known and that were to be compared."""
        missed = sum(n for reason, n in self.epoch.skipped.items() if reason not in INELIGIBLE)
        blind = round(self.blind)
        return Coverage(
            self.compared,
            self.compared + missed + blind + self.unplaced,
            blind,
            self.unsettled,
            self.bytes,
            self.unreadable,
        )

    # ---- counting -------------------------------------------------------------------------------

    def observe(
        self, pair: JudgedPair, now_ns: int, unix_ns: int, scores: dict[str, float] | None = None
    ) -> None:
        """Count one pair, as evidence and for what is shown beside it."""
        self.has_changed = True
        if not self._is_begun:
            self._is_begun = True
            self._begin(self)
        counted = self.judge.observe(pair, now_ns, scores)
        if self._stands is not None and self.judge.stands is None:
            self._stands = None
            why = "what was decided rested on calls that are not known any more"
            self.verdict = replace(self.verdict, state=State.WATCHING, reason=why)
            self._decided(self)  # that it was taken back is kept as it was
        self.compared += 1
        if counted:
            self.epoch.add(pair, unix_ns)

    def lose_one(self, reason: str, now_ns: int) -> None:
        """Count a call that was compared and may be of these versions, or of others."""
        self.has_changed = True
        self.unplaced += 1
        self.judge.lose({reason: 1}, now_ns)

    def miss(self, skipped: Mapping[SkipReason, int], blind: float, now_ns: int) -> None:
        """Count calls that were not compared, by why; of the blind ones only the wire knows."""
        self.has_changed = True
        before = round(self.blind)
        self.blind += blind
        for reason, n in skipped.items():
            self.epoch.skipped[reason] = self.epoch.skipped.get(reason, 0) + n
        lost = {r.value: n for r, n in skipped.items() if r not in INELIGIBLE | DRAWN}
        unseen = round(self.blind) - before
        if unseen > 0:
            lost[UNSEEN] = unseen
        if lost:
            self.judge.lose(lost, now_ns)

    def sampled(self, *, few: bool, enough: bool) -> None:
        """Note whether what was compared since this was last told was of too few sticky keys.

        Args:
            few: it was, for those that were left out.
            enough: by now there are enough of them, so that all of it counts.
        """
        if few and self.compared > self._looked:
            self.of_few += self.compared - self._looked
        self._looked = self.compared
        if enough:
            self.of_few = 0

    @property
    def few_keys(self) -> str:
        """Why nothing follows for keys that were left out before; empty: most is of others."""
        return few_keys_of(self.judge.settings, self.of_few, self.compared)

    def passed(self, size: int, unreadable: int) -> None:
        """Count bytes that passed the wire, and of those, what was no HTTP/2 that could be read."""
        self.has_changed |= size > 0
        self.bytes += size
        self.unreadable += unreadable

    def evaluate(self, now_ns: int) -> Verdict:
        """Judge what has been counted so far."""
        self.has_changed = True
        unkept = self._unkept()  # once: another thread writes
        waits = self.held or unkept or not self._is_kept(self)
        if waits and not self.is_decided:
            verdict = self.judge.verdict(now_ns, self.coverage, binding=False)
            if verdict.state is State.PASS:
                self.verdict = self._waiting(verdict, unkept)
                return self.verdict
        self.verdict = self.judge.verdict(now_ns, self.coverage)
        stands = self.judge.stands
        if stands is not None and stands[0] is not self._stands:
            self._stands = stands[0]
            self._decided(self)
        if self.verdict.state is State.PASS and unkept:
            # A kill would forget what comes now, be it harm.
            self.verdict = _not_kept(self.verdict, unkept)
        return self.verdict

    def _waiting(self, verdict: Verdict, unkept: str) -> Verdict:
        """A PASS that is not decided now, and why."""
        if self.held:
            reason = f"{self.held}: {verdict.reason}"
            return replace(verdict, state=State.INCONCLUSIVE, reason=reason)
        if unkept:
            return _not_kept(verdict, unkept)
        reason = f"the evidence is being written down: {verdict.reason}"
        return replace(verdict, state=State.WATCHING, reason=reason)

    def snapshot(self, now_ns: int) -> Snapshot:
        """What the judge has counted, for merging with others'."""
        self.judge.since_unix_ns = self.came_up_ns + self.judge.unix_offset_ns
        snapshot = self.judge.snapshot(now_ns, self.coverage)
        events = {**snapshot.events, OF_FEW_KEYS: self.of_few} if self.of_few else snapshot.events
        return replace(snapshot, life=self.life, gaps=self.put_down, events=events)

    def away(self, gap: Gap) -> None:
        """Note that nobody watched."""
        self.has_changed = True
        self.gaps = (*self.gaps, gap)[-MOST_GAPS:]

    def away_lost(self, calls: float) -> None:
        """Learn how many calls came while nobody watched the last time, by the wire's count."""
        if self.gaps:
            self.has_changed = True
            self.gaps = (*self.gaps[:-1], self.gaps[-1]._replace(lost_calls=calls))

    # ---- as it was kept -------------------------------------------------------------------------

    def is_elsewhere(self, kept: Kept) -> str:
        """Why what was kept is of another server: it told no version, and has another address."""
        then = kept.pieces.get("row/place")
        sides = zip(SIDES, self.known.versions, then or self.place, self.place, strict=True)
        moved = [
            f"{side} tells no version, and was at {before}, now at {now}"
            for side, version, before, now in sides
            if not version and before != now
        ]
        return "; ".join(moved)

    def restore(self, kept: Kept, now_ns: int) -> None:
        """Take over what was kept.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is another version's, or damaged.
        """
        if kept.pieces:  # else only that it failed is known
            restore(self.judge, kept.pieces, now_ns)
        if kept.row.state == State.FAIL.value and self.judge.stands is None:
            # The disk took that it failed, and nothing more.
            self.judge.latches.overall = State.FAIL, kept.row.reason
            self.judge.latches.decided_unix_ns = kept.row.decided_unix_ns
        put_down = PutDown(self.judge.latest_unix_ns, now_ns + self.judge.unix_offset_ns)
        self.judge.attempt = kept.row.attempt
        own = {p.removeprefix("row/"): v for p, v in kept.pieces.items() if p.startswith("row/")}
        if own:
            offset = self.judge.unix_offset_ns
            self.compared, self.blind = own.pop("counts")
            self.bytes, self.unreadable = own.pop("bytes", (0, 0))
            self.unplaced = own.pop("unplaced", 0)
            self.of_few, self._looked = own.pop("of_few", 0), self.compared
            self.gaps = tuple(Gap(*gap) for gap in own.pop("gaps"))
            own.pop("place", None)
            before = [PutDown(*gap) for gap in own.pop("put_down", [])]
            self.put_down = _long([*before, put_down])
            self.books = own.pop("books") or None
            self.came_up_ns, self.seen_ns = (at - offset for at in own.pop("seen"))
            PLAIN.restore(self.epoch, own)
        self.epoch.number = self.judge.epoch
        stands = self.judge.stands
        self._stands = stands[0] if stands else None
        self._is_begun = stands is not None  # what is decided keeps its number
        # Shown, and no more: a decision is made where it is written down.
        self.verdict = self.judge.verdict(now_ns, self.coverage, binding=False)
        if self.verdict.state is State.PASS:
            # What forbids it now (sampling, the disk, connections) is known at the first look.
            reason = f"not looked at since this process began; before: {self.verdict.reason}"
            self.verdict = replace(self.verdict, state=State.WATCHING, reason=reason)


def _not_kept(verdict: Verdict, why: str) -> Verdict:
    reason = f"not kept on disk: {why}; otherwise: {verdict.reason}"
    return replace(verdict, state=State.INCONCLUSIVE, reason=reason)
