"""The judge in the running observer: each finished call is told to its shadows' judges.

Rule: a call is only counted here. Nothing raises on the data path. Counterparts: `app`, which
calls; `pair_reader`, which reads a call for the judge; `blind`, which counts those that only the
wire saw; `judged`, one shadow's experiments; `keeping`, which brings them from the store;
`sweeping`, which evaluates and keeps them; `judge`, which is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sidecar.call import CallKey
from sidecar.compare.comparer import Comparer, Examination
from sidecar.compare.readers.opaque import OPAQUE
from sidecar.compare.result import Comparison
from sidecar.experiment.blind import BlindCalls, chance
from sidecar.experiment.judged import Judged
from sidecar.experiment.keeping import Keeping, digest_of
from sidecar.experiment.ledger import Ledger
from sidecar.experiment.pair_reader import PairReader
from sidecar.experiment.row import Row
from sidecar.experiment.sweeping import Sweeping
from sidecar.judge.judge import Judge
from sidecar.judge.labels import Label
from sidecar.judge.pair import JudgedPair
from sidecar.judge.repeats import Repeats
from sidecar.judge.settings import JudgeSettings
from sidecar.judge.versions import Known
from sidecar.log import Log
from sidecar.settings.settings import Settings

if TYPE_CHECKING:
    from sidecar.experiment.pair import Pair

SIDES = ("client", "server")
NOT_JUDGED = "not_judged"  # why a call is lost that we cannot count: a defect of ours


class Judging:
    """Every shadow's judge; controls have none, for they are what the noise is measured by."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        comparer: Comparer,
        now_ns: Callable[[], int],
        log: Log,
        *,
        instance: str,
        unix_offset_ns: int,
        keeping: Keeping | None = None,
    ) -> None:
        """Begin to judge, or go on.

        Args:
            settings: the whole configuration.
            ledger: where coverage is read.
            comparer: reads what a comparison did not have to.
            now_ns: the monotonic clock.
            log: told of every change of a verdict.
            instance: names this process's life among all pods and restarts.
            unix_offset_ns: what to add to that clock to get Unix time.
            keeping: has what an earlier life counted, and takes what this one does; None: nothing
                outlives the process.
        """
        self.settings: JudgeSettings = settings.judged
        self.keeping = keeping or Keeping(None)
        self.instance = self.keeping.instance or instance
        self._life = instance
        self.unix_offset_ns = unix_offset_ns
        self.failures = 0  # calls that could not be counted: a defect of ours
        self.listeners: list[Callable[[str, JudgedPair], None]] = []
        self._now_ns = now_ns
        self._log = log
        self._told_unread = False
        self._unkept: set[tuple[CallKey, str]] = set()  # in flight, and cannot be judged
        self._scored = bool(settings.capture.dir)  # whether somebody wants each call's scores
        self._control = next((s.name for s in settings.shadows if s.role == "control"), None)
        self.control_fraction = self._fraction_of(settings, 0.0)
        self._repeats = Repeats(self.settings.repeats_within)
        self._reader = PairReader(settings, comparer, self._control)
        self._fractions = {s.name: s.fraction for s in settings.shadows}
        self.blind = BlindCalls(settings.observer.processes)
        self._passed: tuple[int, int] | None = None  # bytes, and unreadable ones, as last told
        self._ledger = ledger
        self._numbers = self.keeping.numbers()
        self._rules = self._rules_of(settings)
        upstreams = " ".join(sorted({str(route.upstream) for route in settings.wire.routes}))
        self._places = {s.name: (upstreams, str(s.address)) for s in settings.shadows}
        rate = self.settings.drift.calls_per_second
        self._draws_ns = round(1e9 / rate) if rate else 0  # between calls that are drawn; 0: none
        self._draw_ns = dict.fromkeys(self._rules, 0)
        self.shadows: dict[str, Judged] = {}
        resumed: list[Judged] = []
        for counts in ledger.shadows:
            if counts.role == "shadow":
                digest = digest_of(self.settings, self.control_fraction, self._rules[counts.name])
                rows = self.keeping.rows(counts.name, digest, now_ns(), self._new_row)
                judged = Judged(counts, digest, self._begin, rows, now_ns())
                self.shadows[counts.name] = judged
                if rows:
                    resumed.append(judged)
        # The largest share of calls to be compared since the session began: what was in it is told
        # when the next begins, and sampling may have been lowered meanwhile.
        self._most = dict.fromkeys(self.shadows, 0.0)
        self._sweeping = Sweeping(
            self.shadows, self._most, self.keeping, ledger, self.blind, now_ns, log
        )
        self._resumed = bool(resumed)
        if resumed:
            # Where other rules were in force meanwhile, calls in between were counted under those.
            latest = [judged for judged in resumed if self.keeping.latest(judged)]
            kept = (j.row.books for j in latest or resumed)
            books = next((books for books in kept if books), None)
            self.blind.resume(
                None if books is None else books[:3],
                whole=bool(latest),
                unknown=max((int(n) for n in (books or [])[4:]), default=0),
            )
            self._miss(0, 0.0)
            for name, judged in self.shadows.items():
                self._most[name] = max([0.0, *(judged.row.books or [])[3:4]])

    def _rules_of(self, settings: Settings) -> dict[str, str]:
        """Beside what is declared: everything that changes what is counted about a shadow."""
        shared = f"{settings.compare.model_dump_json()}\n{settings.match.model_dump_json()}"
        return {s.name: f"{shared}\n{s.deadline_seconds!r}" for s in settings.shadows}

    def _new_row(self, name: str, digest: str, known: Known, now_ns: int) -> Row:
        judge = Judge(
            self.settings,
            self.instance,
            now_ns,
            unix_offset_ns=self.unix_offset_ns,
            control_fraction=self.control_fraction,
            rules=self._rules[name],
            numbers=self._numbers,
        )
        keeping = self.keeping
        return Row(
            name,
            digest,
            known,
            judge,
            now_ns,
            keeping.decided,
            keeping.has,
            keeping.begun,
            keeping.unkept,
            life=self._life,
            place=self._places[name],
        )

    def _begin(self, name: str, digest: str, known: Known, now_ns: int) -> Row:
        return self.keeping.begin(self._new_row(name, digest, known, now_ns), now_ns, self._new_row)

    def _fraction_of(self, settings: Settings, otherwise: float) -> float:
        return next((s.fraction for s in settings.shadows if s.name == self._control), otherwise)

    # ---- on the data path ---------------------------------------------------------------------

    def forget_requests(self) -> None:
        """What comes from now on repeats nothing before: the same calls, another shadow's."""
        self._repeats = Repeats(self.settings.repeats_within)

    def requested(self, pair: Pair) -> None:
        """Note, before any answer is compared, whether a call repeats one of a moment before."""
        call = pair.call
        pair.is_repeat = self._repeats.is_repeat(call.method, pair.request, call.started_ns)

    def keep(self, pair: Pair, name: str, found: Examination) -> None:
        """Keep, of what a comparison just read, what criteria and slices are about."""
        if name not in self.shadows:
            return
        try:
            self._reader.keep(pair, name, found)
            if self._draws_ns and (now_ns := self._now_ns()) >= self._draw_ns[name]:
                self._draw_ns[name] = now_ns + self._draws_ns
                self._reader.draw(pair, name, found)
        except Exception as error:  # a payload must not end the observer
            self._failed(pair, error)
            self._unkept.add((pair.call.key, name))

    def correlation_id(self, pair: Pair) -> str:
        """What a label names a call by; empty: its trace id.

        Raises:
            Exception: whatever a payload may cause; the caller counts it.
        """
        return self._reader.correlation_id(pair)

    def word(self, name: str) -> str:
        """The latest verdict on a shadow; empty for a control."""
        judged = self.shadows.get(name)
        return "" if judged is None else judged.verdict.state.value

    def judge(self, pair: Pair) -> None:
        """Count a call whose every fate is known."""
        if pair.production is None:
            return
        for name, comparison in pair.compared.items():
            judged = self.shadows.get(name)
            if judged is None:
                continue
            kept = (pair.call.key, name)
            if kept in self._unkept:
                self._unkept.discard(kept)
                judged.row.lose_one(NOT_JUDGED, self._now_ns())
                continue
            try:
                self._count(judged, pair, comparison)
            except Exception as error:
                self._failed(pair, error)
                judged.row.lose_one(NOT_JUDGED, self._now_ns())

    def _failed(self, pair: Pair, error: Exception) -> None:
        self.failures += 1
        if self.failures == 1:
            self._log.warning("not_judged", error=repr(error), method=pair.call.method)

    def _count(self, judged: Judged, pair: Pair, comparison: Comparison) -> None:
        judged_pair = pair.judged[judged.name] = self._reader.read(pair, judged.name)
        if comparison.reader == OPAQUE and not self._told_unread:
            self._told_unread = True
            self._log.warning(
                "answers_compared_as_bytes", method=pair.call.method, further="doctor, report"
            )
        scores = pair.scores.setdefault(judged.name, {}) if self._scored else None
        unix_ns = pair.call.started_ns + self.unix_offset_ns
        judged.observe(judged_pair, self._now_ns(), unix_ns, scores)
        for listener in self.listeners:
            listener(judged.name, judged_pair)

    # ---- what the wire tells, about once a second -----------------------------------------------

    def stats(self, figures: Mapping[str, Any], fraction: float) -> None:
        """Count the calls that only the wire saw.

        Args:
            figures: the wire's own counters.
            fraction: the share of all calls that was to be compared.
        """
        self._note(fraction)
        self._miss(self.blind.since_last(figures), fraction)
        size = sum(int(figures.get(f"bytes_from_{side}_total", 0)) for side in SIDES)
        unreadable = int(figures.get("opaque_bytes_total", 0))
        before = self._passed or (size, unreadable)  # those came before this session
        self._passed = size, unreadable
        for judged in self.shadows.values():
            judged.row.passed(max(0, size - before[0]), max(0, unreadable - before[1]))

    def attached(self, hello: Mapping[str, Any], fraction: float) -> None:
        """Count the calls that were lost with the session before, of this process or the last."""
        calls = self.blind.attached(hello)
        self._note(fraction)
        self._miss(calls, fraction, before=True)
        self._most.update(dict.fromkeys(self.shadows, 0.0))
        self._note(fraction)
        if self._resumed:
            self._resumed = False
            for judged in self.shadows.values():
                judged.row.away_lost(calls)
        self._sweeping.keep()  # at once: else nobody would know what came after a kill

    def detached(self) -> None:
        """No wire is there to tell."""
        self.blind.detached()
        self._miss(0, 0.0)
        self._passed = None

    def unreadable(self, conn: int) -> None:
        """A connection cannot be read any more: until the wire has counted, nothing passes."""
        self.blind.unreadable(conn)
        self._miss(0, 0.0)

    def counted(self, conn: int, calls: int, seen: int, fraction: float) -> None:
        """Count the calls of a connection that were copied and not seen here."""
        self._miss(self.blind.counted(conn, calls, seen), fraction)

    def _note(self, fraction: float) -> None:
        for name, most in self._most.items():
            self._most[name] = max(most, fraction * self._fractions[name])

    def _miss(self, calls: int, fraction: float, *, before: bool = False) -> None:
        """Count calls that only the wire saw; before: of the session that is over."""
        for name, judged in self.shadows.items():
            judged.unsettled = judged.row.unsettled = self.blind.unsettled
            if calls:
                share = self._most[name] if before else fraction * self._fractions[name]
                sampled = chance(judged.counts, share)
                judged.blind(calls * sampled, self._now_ns())

    # ---- when somebody asks, and now and then ---------------------------------------------------

    def sampled(self, few_keys: str, *, keyed: bool) -> None:
        """See `Judged.sampled`."""
        for judged in self.shadows.values():
            judged.sampled(few_keys, keyed=keyed)

    def sweep(self) -> None:
        """Keep, and evaluate unless that took long. Called about once a second."""
        self._sweeping.sweep()

    def ended(self, name: str) -> bool:
        """Whether a shadow's budget is used up; a control ends with the last shadow."""
        judged = self.shadows.get(name)
        return self.all_ended if judged is None else judged.verdict.ended

    @property
    def all_ended(self) -> bool:
        """Whether there is a shadow, and every one's budget is used up."""
        return bool(self.shadows) and all(j.verdict.ended for j in self.shadows.values())

    def label(self, label: Label, shadow: str | None = None) -> str:
        """Tell what turned out to be true about a call, to one shadow's judge or to all.

        Returns:
            See `Judge.label`; of several shadows, of any.
        """
        self._sweeping.look_again()
        now_ns, why = self._now_ns(), ""
        for judged in self.shadows.values():
            if shadow in {None, judged.name}:
                why = judged.label(label, now_ns) or why
        return why

    def change(self, settings: Settings) -> None:
        """Follow what is live and changes what is counted: evidence under each rules is its own."""
        self._fractions |= {s.name: s.fraction for s in settings.shadows}
        self.control_fraction = self._fraction_of(settings, self.control_fraction)
        self._rules |= self._rules_of(settings)
        now_ns = self._now_ns()
        for name, judged in self.shadows.items():
            digest = digest_of(self.settings, self.control_fraction, self._rules[name])
            if digest != judged.digest:
                judged.follow(digest, now_ns)
                self._log.info("rules_changed", shadow=name, calls=judged.judge.calls)

    def close(self) -> None:
        """Keep what was counted to the last call."""
        self._sweeping.close()
