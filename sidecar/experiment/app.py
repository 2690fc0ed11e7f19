"""The observer's composition root: reads as the life of a call.

Rule: every call that is seen ends in exactly one fate for each shadow, compared or one skip
reason, and nothing on this path raises. The parts decide; this file only hands a call from one
to the next. Counterpart: `session.py` brings the bytes in, `admin/` shows what came of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
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
from sidecar.experiment.capturing import Capturing, Writer
from sidecar.experiment.judging import Judging
from sidecar.experiment.ledger import Ledger
from sidecar.experiment.pair import Pair, Pairs
from sidecar.experiment.recent import RecentPairs
from sidecar.http2.limits import ReadLimits
from sidecar.log import Log
from sidecar.observe.connection import Connection
from sidecar.settings.settings import Settings
from sidecar.tee.admission import Admission
from sidecar.tee.metadata import MetadataPolicy
from sidecar.tee.pace import Pace
from sidecar.tee.shadow import LIVE, Dispatch, Shadow
from sidecar.telemetry.pairs import PairSpans
from sidecar.wire.records import Kind


class Observer:
    """Turns what the tap copies into compared pairs."""

    def __init__(
        self,
        settings: Settings,
        comparer: Comparer,
        spans: PairSpans,
        now_ns: Callable[[], int],
        draw: Callable[[], float],
        log: Log,
        *,
        instance: str = "observer",
        unix_offset_ns: int = 0,
        capture: Writer | None = None,
    ) -> None:
        self.settings = settings
        self.log = log
        self.now_ns = now_ns
        self.draw = draw
        self.admission = Admission(settings.match, settings.sample, settings.paused)
        self.pace = Pace()
        self.comparer = comparer
        self.spans = spans
        self.ledger = Ledger([(s.name, s.role) for s in settings.shadows])
        self.judging = Judging(
            settings,
            self.ledger,
            comparer,
            now_ns,
            log,
            instance=instance,
            unix_offset_ns=unix_offset_ns,
        )
        self.recent = RecentPairs()
        self._capturing = (
            None
            if capture is None
            else Capturing(
                settings.capture,
                capture,
                comparer,
                roles={s.name: s.role for s in settings.shadows},
                experiment=settings.capture.experiment,
                instance=instance,
                unix_offset_ns=unix_offset_ns,
                draw=draw,
                judged=self.judging.read,
            )
        )
        self.shadows = {
            s.name: Shadow(s, settings.pairs, now_ns, partial(self._shadowed, s.name))
            for s in settings.shadows
        }
        # A control that is slow must not cost the candidate its calls.
        leading = [s for s in self.shadows.values() if s.settings.role == "shadow"]
        self._leading = leading or list(self.shadows.values())
        self._policies = {s.name: MetadataPolicy(s) for s in settings.shadows}
        self.connections: dict[int, Connection] = {}
        self.pairs = Pairs()
        self.reading_bytes = 0  # messages that connections are still collecting
        self.wire_hello: dict[str, Any] | None = None
        self.wire_stats: dict[str, Any] = {}
        self.on_attached: Callable[[], object] = lambda: None
        self.on_fraction: Callable[[], object] = lambda: None
        self._limits = ReadLimits(
            max_request_bytes=settings.pairs.max_request_bytes,
            max_response_bytes=settings.pairs.max_response_bytes,
        )
        self._reflection: Reflection | None = None
        self._asking: set[asyncio.Task[bool]] = set()

    @property
    def wire_fraction(self) -> float:
        """The share of new streams that the wire should copy, as there is time for them."""
        return self.admission.wire_fraction * self.pace.share

    @property
    def held_bytes(self) -> int:
        """Messages that calls in flight hold, complete or still being read."""
        return self.pairs.held_bytes + self.reading_bytes

    # ---- 1. seen: a connection's bytes become calls -------------------------------------------

    def attached(self, hello: dict[str, Any]) -> None:
        self.wire_hello = hello
        self.on_attached()
        self.log.info("attached", wire_pid=hello.get("pid"))

    def detached(self) -> None:
        for number in list(self.connections):
            self.out_of_sight(number, Kind.BLIND, "detached from the wire")
        self.wire_hello = None
        self.wire_stats = {}
        self.judging.detached()
        self.log.info("detached")

    def stats(self, figures: dict[str, Any]) -> None:
        self.wire_stats = figures
        chosen = not (self.admission.paused or self.admission.ended)
        self.judging.stats(figures, self.settings.sample.fraction if chosen else 0.0)

    def heard(self, copied_ns: int) -> None:
        """Learn how late the copies come, and change how many there will be."""
        now_ns = self.now_ns()
        pressure = min((shadow.pressure(now_ns) for shadow in self._leading), default=0.0)
        if self.pace.heard(now_ns - copied_ns, pressure, now_ns):
            self.on_fraction()

    def opened(self, conn: int, about: dict[str, Any]) -> None:
        self.connections[conn] = Connection(conn, about["peer"], self._seen, self._limits)
        self.spans.upstream(conn, about["upstream"])

    def copied(self, conn: int, direction: Direction, data: Chunk, now_ns: int) -> None:
        connection = self.connections.get(conn)
        if connection is not None:
            self._read(connection, connection.feed(direction, data, now_ns))

    def gap(self, conn: int, direction: Direction, size: int, now_ns: int) -> None:
        self.pace.lost()
        connection = self.connections.get(conn)
        if connection is not None:
            self._read(connection, connection.gap(direction, size, now_ns))

    def unsampled(self, conn: int, streams: tuple[int, ...]) -> None:
        connection = self.connections.get(conn)
        if connection is not None:
            for stream in streams:
                if lost := connection.unsampled(stream):
                    self._read(connection, lost)

    def out_of_sight(self, conn: int, kind: Kind, reason: str) -> None:
        connection = self.connections.pop(conn, None)
        if connection is not None:
            state: Literal["opaque", "blind"] = "opaque" if kind is Kind.OPAQUE else "blind"
            self._read(connection, connection.lose_sight(state, reason))
            self.spans.gone(conn)

    def closed(self, conn: int, by: Direction, how: str, now_ns: int) -> None:
        connection = self.connections.pop(conn, None)
        if connection is not None:
            self._read(connection, connection.close(by, how, now_ns))
            self.spans.gone(conn)

    def _read(self, connection: Connection, events: Sequence[Event]) -> None:
        self._count(connection)
        for event in events:
            match event:
                case Requested():
                    self._requested(event)
                case Answered():
                    self._answered(event)
                case Lost():
                    self._lost(event)
        while self.held_bytes > self.settings.pairs.bytes:
            # The bound on memory is the operator's: the youngest call that is growing gives way.
            key = self.pairs.youngest_reading(connection.conn)
            if key is None:
                break
            self._lost(Lost(key, SkipReason.PAIRS_FULL))

    # ---- 2. admitted: decided before any answer is known --------------------------------------

    def _seen(self, call: Started) -> bool:
        reason = self.admission.check(call, self.draw(), self.pace.share)
        if reason is None and (
            len(self.pairs) >= self.settings.pairs.calls
            or self.held_bytes >= self.settings.pairs.bytes
        ):
            reason = SkipReason.PAIRS_FULL
        if reason is None and not self.shadows:
            reason = SkipReason.NO_SHADOW
        if reason is None:
            # One reason for all, or the call is read and each shadow gives its own.
            refusals = {shadow.refusal() for shadow in self.shadows.values()}
            reason = refusals.pop() if len(refusals) == 1 else None
        if reason is not None:
            self.ledger.refuse(reason)
            return False
        self.pairs.add(Pair(call, self.ledger.see()))
        return True

    # ---- 3. queued and shadowed, while production is still working ----------------------------

    def _requested(self, event: Requested) -> None:
        pair = self.pairs.get(event.key)
        if pair is None:
            return
        call = pair.call
        size = self.pairs.hold_request(pair, event.messages)
        pair.plan = self.spans.plan(call)
        callers_trace = dict(call.metadata).get("traceparent", "")
        for name, shadow in self.shadows.items():
            if self.judging.ended(name):
                self._skip(pair, name, SkipReason.ENDED)
                continue
            dispatch = Dispatch(
                key=event.key,
                method=call.method,
                messages=event.messages,
                metadata=self._policies[name].outgoing(
                    pair.plan.metadata_for(name, call.metadata),
                    pair.plan.traceparent_for(name) or callers_trace,
                ),
                size=size,
                offered_ns=event.ended_ns,
            )
            reason = shadow.offer(dispatch, self.draw())
            if reason is not None:
                self._skip(pair, name, reason)
        self._settle(pair)
        if self._reflection is not None and self._reflection.wants(call.method):
            # A method that nobody told us about: its shadow may know what its messages mean.
            task = asyncio.create_task(self._reflection.resolve(call.method))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    def _shadowed(self, name: str, dispatch: Dispatch, result: Observation | SkipReason) -> None:
        pair = self.pairs.get(dispatch.key)
        if pair is None or not pair.undecided(name):
            return
        if isinstance(result, SkipReason):
            self._skip(pair, name, result)
        else:
            pair.shadowed[name] = result
            self.pairs.hold(pair, result)
            self._pair(pair, name)
        self._settle(pair)

    # ---- 4. paired: both observations are there -----------------------------------------------

    def _answered(self, event: Answered) -> None:
        pair = self.pairs.get(event.key)
        if pair is None:
            return
        pair.production = event.observation
        self.pairs.hold(pair, event.observation)
        for name in tuple(pair.shadowed):
            self._pair(pair, name)
        self._settle(pair)

    def _lost(self, event: Lost) -> None:
        pair = self.pairs.get(event.key)
        if pair is None:
            return
        for name, shadow in self.shadows.items():
            if pair.undecided(name):
                shadow.cancel(event.key)
                self._skip(pair, name, event.reason)
        self._settle(pair)

    # ---- 5. compared ----------------------------------------------------------------------------

    def _pair(self, pair: Pair, name: str) -> None:
        if pair.production is None or not pair.undecided(name):
            return
        shadowed = pair.shadowed[name]
        found = self.comparer.examine(pair.call.method, pair.request, pair.production, shadowed)
        pair.compared[name] = found.comparison
        pair.entry.compare(name, found.comparison, pair.production, shadowed)
        self.judging.keep(pair, name, found)

    def _skip(self, pair: Pair, name: str, reason: SkipReason) -> None:
        pair.skipped[name] = reason
        pair.entry.skip(name, reason)

    # ---- 6. judged, told ------------------------------------------------------------------------

    def _settle(self, pair: Pair) -> None:
        if not pair.entry.settled or not self.pairs.end(pair):
            return
        # Not before every fate is known: a difference is judged net of the control's.
        self.judging.judge(pair)
        if pair.production is None:
            self._stop_reading(pair.call.key)
        if self._capturing is not None:
            self._capturing.take(pair)
        if pair.plan is not None:
            self.spans.tell(
                pair.call, pair.plan, pair.production, pair.shadowed, pair.compared, pair.skipped
            )
        for name, comparison in pair.compared.items():
            assert pair.production is not None
            self.recent.add(
                pair.call, pair.plan, name, comparison, pair.production, pair.shadowed[name]
            )

    def _stop_reading(self, key: CallKey) -> None:
        connection = self.connections.get(key.connection)
        if connection is not None:
            connection.forget(key)
            self._count(connection)

    def _count(self, connection: Connection) -> None:
        """Take over what a connection holds now."""
        held = connection.buffered_bytes
        self.reading_bytes += held - connection.counted_bytes
        connection.counted_bytes = held

    # ---- what time and operators do -------------------------------------------------------------

    def sweep(self) -> None:
        """Give up on calls that are older than any call may get. Called about once a second."""
        oldest = self.now_ns() - int(self.settings.pairs.max_age_seconds * 1e9)
        for key in self.pairs.begun_before(oldest):
            self._lost(Lost(key, SkipReason.ABANDONED))
        self.judging.sweep()
        if self.judging.all_ended and not self.admission.ended:
            self.end()

    def end(self) -> None:
        """End the experiment: no further call is shadowed, whatever is decided stands."""
        self.admission = replace(self.admission, ended=True)
        self.log.info("ended")

    def change(self, settings: Settings) -> None:
        """Take over what may change while running: sample, pause, and what `tee.shadow.LIVE` names.

        The rest of the new settings waits for a restart.
        """
        self.settings = self.settings.model_copy(
            update={"sample": settings.sample, "paused": settings.paused}
        )
        self.admission = replace(
            Admission(self.settings.match, settings.sample, settings.paused),
            ended=self.admission.ended,
        )
        for wanted in settings.shadows:
            shadow = self.shadows.get(wanted.name)
            if shadow is not None:
                live = {name: getattr(wanted, name) for name in LIVE}
                shadow.update(shadow.settings.model_copy(update=live))
        self.judging.change(settings)

    async def start(self) -> None:
        """Make the shadows ready to be called."""
        for shadow in self.shadows.values():
            shadow.start()
        first = next((s.client for s in self.shadows.values() if s.client is not None), None)
        if first is not None and self.settings.compare.reflection:
            self._reflection = Reflection(
                first.channel, self.comparer.registry, clock=lambda: self.now_ns() / 1e9
            )

    async def close(self) -> None:
        """End every call in flight as `shutdown`, and let the shadows go."""
        for task in self._asking:
            task.cancel()
        for shadow in self.shadows.values():
            await shadow.close()
        for key in self.pairs.all():
            self._lost(Lost(key, SkipReason.SHUTDOWN))
