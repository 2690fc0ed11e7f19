"""The experiment: reads as the life of a call.

Rule: every call that is seen ends in exactly one fate for each receiver, compared or one skip
reason, and nothing on this path raises. The parts decide; this file only hands a call from one
to the next. Counterparts: `session`, which brings the bytes in; `operation`, what operators and
time decide; `serve/`, which reads `state()` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sidecar.call import (
    Answered,
    CallKey,
    Chunk,
    Direction,
    Event,
    Lost,
    Observation,
    Requested,
    SkipReason,
    Started,
)
from sidecar.compare.comparer import Comparer
from sidecar.compare.readers.reflection import Reflection
from sidecar.experiment.capturing import Capturing
from sidecar.experiment.epoch import BoundedCounts
from sidecar.experiment.judging import Judging
from sidecar.experiment.ledger import Ledger
from sidecar.experiment.link import WireLink
from sidecar.experiment.operation import Operation
from sidecar.experiment.pair import Pair, Pairs
from sidecar.experiment.receivers import Receivers
from sidecar.experiment.recent import RecentPairs
from sidecar.experiment.skipped import SkipLog, Step
from sidecar.experiment.state import State
from sidecar.http2.budget import Budget
from sidecar.http2.limits import ReadLimits
from sidecar.judge.labels import Label
from sidecar.log import Log
from sidecar.observe.connection import Connection
from sidecar.settings.difference import Difference
from sidecar.settings.settings import Settings
from sidecar.tasks import Tasks
from sidecar.tee.shadow import Dispatch
from sidecar.telemetry.pairs import PairSpans
from sidecar.wire.records import Kind

OPAQUE_REASONS = 8  # why connections cannot be read, counted by themselves


@dataclass(frozen=True, slots=True)
class Parts:
    """What an experiment is made of; `assembly` puts them together."""

    operation: Operation
    receivers: Receivers
    comparer: Comparer
    ledger: Ledger
    judging: Judging
    recent: RecentPairs
    skips: SkipLog
    spans: PairSpans
    capturing: Capturing | None
    wire: WireLink
    budget: Budget  # of calls in flight
    tasks: Tasks


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
        self._wire = parts.wire
        self._now_ns = now_ns
        self._draw = draw
        self._log = log
        self._unix_offset_ns = unix_offset_ns
        self._connections: dict[int, Connection] = {}
        self._budget = parts.budget
        self._pairs = Pairs(self._budget)
        self._wire_hello: dict[str, Any] | None = None
        self._wire_stats: dict[str, Any] = {}
        self._read_calls = self._traced_calls = 0
        self._opaque = BoundedCounts(OPAQUE_REASONS)
        bounds = self._bounds = self._operation.settings.pairs
        self._limits = ReadLimits(
            max_request_bytes=bounds.max_request_bytes,
            max_response_bytes=bounds.max_response_bytes,
        )
        self._reflection: Reflection | None = None
        self._tasks = parts.tasks

    # ---- 1. seen: a connection's bytes become calls ---------------------------------------------

    def attached(self, hello: dict[str, Any]) -> None:
        self._wire_hello = hello
        self._wire.attached.set()
        self._log.info("attached", wire_pid=hello.get("pid"))

    def detached(self) -> None:
        for number in list(self._connections):
            self.out_of_sight(number, Kind.BLIND, "detached from the wire")
        self._wire_hello = None
        self._wire_stats = {}
        self._judging.detached()
        self._log.info("detached")

    def stats(self, figures: dict[str, Any]) -> None:
        self._wire_stats = figures
        self._judging.stats(figures, self._operation.fraction)

    def heard(self, copied_ns: int) -> None:
        """Learn how late the copies come, and change how many there will be."""
        now_ns = self._now_ns()
        self._operation.heard(now_ns - copied_ns, self._receivers.pressure(), now_ns)

    def opened(self, conn: int, about: dict[str, Any]) -> None:
        self._connections[conn] = Connection(
            conn, about["peer"], self._seen, self._limits, self._budget
        )
        self._spans.upstream(conn, about["upstream"])

    def copied(self, conn: int, direction: Direction, data: Chunk, now_ns: int) -> None:
        connection = self._connections.get(conn)
        if connection is not None:
            self._read(connection, connection.feed(direction, data, now_ns))

    def gap(self, conn: int, direction: Direction, size: int, now_ns: int) -> None:
        self._operation.pace.lost()
        connection = self._connections.get(conn)
        if connection is not None:
            self._read(connection, connection.gap(direction, size, now_ns))

    def unsampled(self, conn: int, streams: tuple[int, ...]) -> None:
        connection = self._connections.get(conn)
        if connection is not None:
            for stream in streams:
                if lost := connection.unsampled(stream):
                    self._read(connection, lost)

    def out_of_sight(self, conn: int, kind: Kind, reason: str) -> None:
        connection = self._connections.pop(conn, None)
        if kind is Kind.OPAQUE:
            self._opaque.count(reason)
        if connection is not None:
            state: Literal["opaque", "blind"] = "opaque" if kind is Kind.OPAQUE else "blind"
            self._read(connection, connection.lose_sight(state, reason))
            self._spans.gone(conn)

    def closed(self, conn: int, by: Direction, how: str, now_ns: int) -> None:
        connection = self._connections.pop(conn, None)
        if connection is not None:
            self._read(connection, connection.close(by, how, now_ns))
            self._spans.gone(conn)

    def _read(self, connection: Connection, events: Sequence[Event]) -> None:
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
            key = self._pairs.youngest_reading(connection.conn)
            if key is None:
                break
            self._lost(Lost(key, SkipReason.PAIRS_FULL))

    # ---- 2. admitted: decided before any answer is known ----------------------------------------

    def _seen(self, call: Started) -> bool:
        """Whether anybody gets the call; the checks run in the order of `SkipReason`."""
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
        pair = Pair(call, self._ledger.see())
        for name, reason in refused.items():
            self._skip(pair, name, reason, Step.ADMITTED)
        if pair.entry.settled:
            self._spans.refused(call, next(iter(refused.values())))
            return False
        self._pairs.add(pair)
        return True

    # ---- 3. queued and shadowed, while production is still working ------------------------------

    def _requested(self, event: Requested) -> None:
        pair = self._pairs.get(event.key)
        if pair is None:
            return
        size = self._pairs.hold_request(pair, event.messages)
        pair.plan = self._spans.plan(pair.call)
        self._read_calls += 1
        self._traced_calls += pair.plan.parent is not None
        for name in self._receivers:
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
            self._stop_reading(pair.call.key)
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

    def _stop_reading(self, key: CallKey) -> None:
        connection = self._connections.get(key.connection)
        if connection is not None:
            connection.forget(key)

    # ---- what time and operators ask for --------------------------------------------------------

    def sweep(self) -> None:
        """Give up on calls that are older than any call may get. Called about once a second."""
        oldest = self._now_ns() - int(self._bounds.max_age_seconds * 1e9)
        for key in self._pairs.begun_before(oldest):
            self._lost(Lost(key, SkipReason.ABANDONED))
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

    def label(self, label: Label, shadow: str | None = None) -> None:
        """Learn what turned out to be true about a call, for one shadow or for all."""
        self._judging.label(label, shadow)

    async def start(self) -> None:
        """Make the receivers ready to be called.

        Raises:
            OSError: a TLS file cannot be read.
        """
        self._receivers.start(
            self._shadowed, self._goes_out, self._operation.settings.observer.wait_shadow_seconds
        )
        channel = self._receivers.channel
        if channel is not None and self._operation.settings.compare.reflection:
            self._reflection = Reflection(
                channel,
                self._comparer.registry,
                clock=lambda: self._now_ns() / 1e9,
                max_bytes=self._operation.settings.compare.reflection_bytes,
            )

    async def close(self) -> None:
        """End every call in flight as `shutdown`, and let the receivers go."""
        await self._tasks.close()
        await self._receivers.close()
        for key in self._pairs.all():
            self._lost(Lost(key, SkipReason.SHUTDOWN))

    # ---- what everybody else sees ---------------------------------------------------------------

    def state(self) -> State:
        """The experiment, now."""
        here = [connection.state for connection in self._connections.values()]
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
            attached=self._wire_hello is not None,
            ended=self._operation.ended,
            pace=self._operation.pace.share,
            pace_limit=self._operation.pace.limit,
            held_bytes=self._budget.held - self._budget.tables,
            table_bytes=self._budget.tables,
            background_died=self._tasks.died,
            not_judged=self._judging.failures,
            connections={
                "open": self._wire_stats.get("connections_open", 0),
                "opaque": self._wire_stats.get("connections_opaque", 0) + here.count("opaque"),
                "blind": self._wire_stats.get("connections_blind", 0) + here.count("blind"),
            },
            read_calls=self._read_calls,
            traced_calls=self._traced_calls,
            opaque=self._opaque.counts,
            wire=self._wire_stats,
            spans=self._spans.counts,
            exemplars=self._spans.exemplars,
            capture=None if self._capturing is None else self._capturing.counts,
        )
