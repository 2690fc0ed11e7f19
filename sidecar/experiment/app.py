"""The experiment: reads as the life of a call.

Rule: every call that is seen ends in exactly one fate for each receiver, compared or one skip
reason, and nothing on this path raises. The parts decide; this file only hands a call from one
to the next. Counterparts: `connections`, where bytes become calls; `operation`, what operators and
time decide; `serve/`, which reads `state()` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from sidecar.call import (
    Answered,
    Event,
    Lost,
    Observation,
    Requested,
    SkipReason,
    Started,
)
from sidecar.compare.readers.reflection import Reflection
from sidecar.experiment.connections import Connections
from sidecar.experiment.pair import Pair, Pairs
from sidecar.experiment.parts import Parts
from sidecar.experiment.skipped import Step
from sidecar.experiment.state import State
from sidecar.judge.labels import Label
from sidecar.log import Log
from sidecar.settings.difference import Difference
from sidecar.settings.settings import Settings
from sidecar.tee.shadow import Dispatch


class Experiment:
    """Turns what the tap copies into compared pairs."""

    def __init__(
        self,
        parts: Parts,
        now_ns: Callable[[], int],
        draw: Callable[[], float],
        log: Log,
        *,
        unix_offset_ns: int = 0,
    ) -> None:
        """Begin.

        Args:
            parts: what it hands calls to.
            now_ns: the monotonic clock.
            draw: uniform in [0, 1).
            log: told of changes of state.
            unix_offset_ns: what to add to the monotonic clock to get Unix time.
        """
        self._operation = parts.operation
        self._receivers = parts.receivers
        self._comparer = parts.comparer
        self._ledger = parts.ledger
        self._judging = parts.judging
        self._recent = parts.recent
        self._skips = parts.skips
        self._spans = parts.spans
        self._capturing = parts.capturing
        self._now_ns = now_ns
        self._draw = draw
        self._log = log
        self._unix_offset_ns = unix_offset_ns
        self._tasks = parts.tasks
        self.harmless = parts.harmless
        self._bounds = self._operation.settings.pairs
        self._budget = parts.budget
        self._pairs = Pairs(self._budget)
        self._read_calls = self._traced_calls = 0
        self._reflection: Reflection | None = None
        # 1. seen: there a connection's bytes become calls, and what happens to them is told here.
        self.connections = Connections(parts, self._seen, self._happened, now_ns, log)

    # ---- 2. admitted: decided before any answer is known ----------------------------------------

    def _seen(self, call: Started) -> bool:
        """Whether anybody gets the call; the checks run in the order of `SkipReason`."""
        self._judging.blind.seen(call.calls)
        if not call.sampled:
            self._left_out(call)
            return False
        reason = self._operation.check(call, self._draw())
        lost = reason
        if reason is None or reason in {SkipReason.SHED, SkipReason.BLIND}:
            # What each receiver's operator chose comes before what was lost for all of them.
            reason = None if self._receivers else SkipReason.NO_SHADOW
            if lost is None and (len(self._pairs) >= self._bounds.calls or self._budget.room <= 0):
                lost = SkipReason.PAIRS_FULL
        if reason is not None:
            self._ledger.refuse(reason)
            self._skips.add(call, "", reason, Step.ADMITTED, call.started_ns)
            self._spans.refused(call, reason)
            return False
        refused = self._receivers.refusals(self._draw, lost, self._judging.ended)
        if len(refused) == len(self._receivers) and len(set(refused.values())) == 1:
            reason = next(iter(refused.values()))
            self._ledger.refuse(reason)
            self._skips.add(call, "", reason, Step.ADMITTED, call.started_ns)
            self._spans.refused(call, reason)
            return False
        pair = Pair(call, self._ledger.see(), weight=self._operation.weight)
        for name, reason in refused.items():
            self._skip(pair, name, reason, Step.ADMITTED)
        if pair.entry.settled:
            self._spans.refused(call, next(iter(refused.values())))
            return False
        self._pairs.add(pair)
        return True

    def _left_out(self, call: Started) -> None:
        """Account for calls that the wire did not copy: nobody can have them, and that is all."""
        reason, chosen = self._operation.left_out(call, self._draw)
        shed = call.calls - chosen
        if shed and not len(self._receivers):
            self._refuse(call, SkipReason.NO_SHADOW, shed)
        elif shed:
            # What each receiver's operator chose comes before what was lost for all of them.
            told = self._receivers.lost(SkipReason.SHED, shed, self._draw, self._judging.ended)
            for reasons, calls in told.items():
                if len(set(reasons)) == 1:
                    self._refuse(call, reasons[0], calls)
                else:
                    self._ledger.refuse_each(reasons, calls)
                    for name, why in zip(self._receivers, reasons, strict=True):
                        self._skips.add_some(call, name, why)
                    self._spans.refused(call, reasons[0])
        if chosen:
            self._refuse(call, reason, chosen)

    def _refuse(self, call: Started, reason: SkipReason, calls: int) -> None:
        self._ledger.refuse(reason, calls)
        self._skips.add_some(call, "", reason)
        self._spans.refused(call, reason)

    def _happened(self, conn: int, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case Requested():
                    self._requested(event)
                case Answered():
                    self._answered(event)
                case Lost():
                    self._lost(event)
        while self._budget.room < 0:
            # The bound on memory is the operator's: the youngest call that is growing gives way.
            key = self._pairs.youngest_reading(conn)
            if key is None:
                break
            self._lost(Lost(key, SkipReason.PAIRS_FULL))

    # ---- 3. queued and shadowed, while production is still working ------------------------------

    def _requested(self, event: Requested) -> None:
        pair = self._pairs.get(event.key)
        if pair is None:
            return
        size = self._pairs.hold_request(pair, event.messages)
        self._judging.requested(pair)
        pair.plan = self._spans.plan(pair.call)
        self._read_calls += 1
        self._traced_calls += pair.plan.parent is not None
        for name in self._receivers.in_turn(self._draw):
            if pair.undecided(name):
                reason = self._receivers.offer(name, pair.call, event, pair.plan, size)
                if reason is not None:
                    self._skip(pair, name, reason, Step.QUEUED)
        self._settle(pair)
        if self._reflection is not None and self._reflection.wants(pair.call.method):
            # A method that nobody told us about: its shadow may know what its messages mean.
            self._tasks.start("reflection", self._reflection.resolve(pair.call.method))

    def _shadowed(self, name: str, dispatch: Dispatch, result: Observation | SkipReason) -> None:
        pair = self._pairs.get(dispatch.key)
        if pair is None or not pair.undecided(name):
            return
        if isinstance(result, SkipReason):
            self._skip(pair, name, result, Step.SHADOWED)
        else:
            pair.shadowed[name] = result
            self._pairs.hold(pair, result)
            self._pair(pair, name)
        self._settle(pair)

    def _goes_out(self, name: str, dispatch: Dispatch) -> None:
        """A copy goes out: from now on the shadow knows of the span that it was told."""
        pair = self._pairs.get(dispatch.key)
        if pair is not None:
            pair.sent[name] = self._now_ns()

    # ---- 4. paired: both observations are there -------------------------------------------------

    def _answered(self, event: Answered) -> None:
        pair = self._pairs.get(event.key)
        if pair is None:
            return
        pair.production = event.observation
        self._pairs.hold(pair, event.observation)
        for name in tuple(pair.shadowed):
            self._pair(pair, name)
        self._settle(pair)

    def _lost(self, event: Lost) -> None:
        pair = self._pairs.get(event.key)
        if pair is None:
            return
        for name in self._receivers:
            if pair.undecided(name):
                self._receivers.cancel(name, event.key)
                self._skip(pair, name, event.reason, Step.PAIRED)
        self._settle(pair)

    # ---- 5. compared ----------------------------------------------------------------------------

    def _pair(self, pair: Pair, name: str) -> None:
        if pair.production is None or not pair.undecided(name):
            return
        shadowed = pair.shadowed[name]
        found = self._comparer.examine(pair.call.method, pair.request, pair.production, shadowed)
        pair.compared[name] = found.comparison
        pair.entry.compare(name, found.comparison, pair.production, shadowed)
        self._judging.keep(pair, name, found)

    def _skip(self, pair: Pair, name: str, reason: SkipReason, step: Step) -> None:
        pair.skipped[name] = reason
        pair.entry.skip(name, reason)
        self._skips.add(pair.call, name, reason, step, self._now_ns(), pair.request_id)

    # ---- 6. judged, told ------------------------------------------------------------------------

    def _settle(self, pair: Pair) -> None:
        if not pair.entry.settled or not self._pairs.end(pair):
            return
        # Not before every fate is known: a difference is judged net of the control's.
        self._judging.judge(pair)
        if pair.production is None:
            self.connections.forget(pair.call.key)
        if self._capturing is not None:
            self._capturing.take(pair)
        if pair.plan is not None:
            self._spans.tell(
                pair.call,
                pair.plan,
                pair.production,
                pair.shadowed,
                pair.compared,
                pair.skipped,
                now_ns=self._now_ns,
                sent=pair.sent,
                request=pair.request,
                judged=pair.judged,
            )
        for name, comparison in pair.compared.items():
            assert pair.production is not None
            self._recent.add(
                pair.call, pair.plan, name, comparison, pair.production, pair.shadowed[name]
            )

    # ---- what time and operators ask for --------------------------------------------------------

    def sweep(self) -> None:
        """Give up on calls that are older than any call may get. Called about once a second."""
        oldest = self._now_ns() - int(self._bounds.max_age_seconds * 1e9)
        for key in self._pairs.begun_before(oldest):
            self._lost(Lost(key, SkipReason.ABANDONED))
        self._judging.sampled(self._operation.few_keys, keyed=self._operation.is_keyed)
        self._judging.sweep()
        self._spans.look(self._now_ns())
        if self._judging.all_ended:
            self.end()

    def end(self) -> None:
        """End the experiment: no further call is shadowed, whatever is decided stands."""
        if not self._operation.ended:
            self._operation.end()
            self._log.info("ended")

    def change(self, settings: Settings) -> Difference:
        """Take over what is live of the settings; what is not stays as it was, and is named."""
        found = self._operation.change(settings)
        self._receivers.change(self._operation.settings)
        self._judging.change(self._operation.settings)
        return found

    def configured(self, settings: Settings) -> Difference:
        """Take over the configuration as it was read again; `state()` tells what has to wait."""
        found = self.change(settings)
        self._operation.configured(found.restart)
        return found

    def refused(self, errors: Sequence[str]) -> None:
        """The configuration was read again and is wrong: `state()` tells; nothing changes."""
        self._operation.refused(tuple(errors))

    def label(self, label: Label, shadow: str | None = None) -> str:
        """Learn what turned out to be true about a call, for one shadow or for all.

        Returns:
            Why no criterion can use the label; empty: one can, or its call is not here.
        """
        return self._judging.label(label, shadow)

    async def start(self) -> None:
        """Make the receivers ready to be called.

        Raises:
            OSError: a TLS file cannot be read.
        """
        self._receivers.start(
            self._shadowed, self._goes_out, self._operation.settings.observer.wait_shadow_seconds
        )
        compare = self._operation.settings.compare
        if len(self._receivers) and compare.reflection:
            self._reflection = Reflection(
                partial(self._receivers.connect, compare.reflection_bytes),
                self._comparer.registry,
                clock=lambda: self._now_ns() / 1e9,
                max_bytes=compare.reflection_bytes,
            )

    async def close(self) -> None:
        """End every call in flight as `shutdown`, and let the receivers go."""
        await self._tasks.close()
        await self._receivers.close()
        for key in self._pairs.all():
            self._lost(Lost(key, SkipReason.SHUTDOWN))
        self._judging.close()

    # ---- what everybody else sees ---------------------------------------------------------------

    def state(self) -> State:
        """The experiment, now."""
        self._judging.sampled(self._operation.few_keys, keyed=self._operation.is_keyed)
        return State(
            settings=self._operation.settings,
            ledger=self._ledger,
            judged=self._judging.shadows,
            recent=self._recent,
            skips=self._skips,
            now_ns=self._now_ns(),
            unix_offset_ns=self._unix_offset_ns,
            control_fraction=self._judging.control_fraction,
            receivers=self._receivers.states(),
            configuration=self._operation.configuration,
            attached=self.connections.is_attached,
            ended=self._operation.ended,
            pace=self._operation.pace.share,
            pace_limit=self._operation.pace.limit,
            held_bytes=self._budget.held - self._budget.tables,
            table_bytes=self._budget.tables,
            background_died=self._tasks.died,
            not_judged=self._judging.failures,
            connections=self.connections.by_state,
            blind_calls=self._judging.blind.total,
            unsettled=self._judging.blind.unsettled,
            read_calls=self._read_calls,
            traced_calls=self._traced_calls,
            opaque=self.connections.opaque,
            wire=self.connections.wire_stats,
            spans=self._spans.counts,
            exemplars=self._spans.exemplars,
            production=self.harmless.state,
            store=self._judging.keeping.state,
            kept_nowhere=self._judging.keeping.why_not,
            capture=None if self._capturing is None else self._capturing.counts,
        )
