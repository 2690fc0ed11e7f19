"""One shadow, driven: gate, wait, ask, and exactly one word back for each call it took.

Rule: a dispatch that `offer` took (it returned None) ends in exactly one of
    done(dispatch, Observation)   the shadow answered, or failed to
    done(dispatch, INCOMPLETE)    it said that it did nothing: REFUSED_STREAM or GOAWAY
    done(dispatch, PAIRS_FULL)    there was no room for its answer
    done(dispatch, EXPIRED)       it waited longer than `queue.max_wait_seconds`
    done(dispatch, SHUTDOWN)      `close` came first
    cancel(key) -> True           the caller of `cancel` knows; `done` is not called
so whoever keeps the ledger can count each once. `offer` never waits. Counterpart: the composition
root, which decides what to dispatch and pairs what comes back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from sidecar.call import CallKey, GrpcMetadata, Observation, SkipReason
from sidecar.http2.budget import Budget
from sidecar.tee.breaker import SICK, BreakerState
from sidecar.tee.client import Clock, ShadowClient
from sidecar.tee.connection import Call
from sidecar.tee.gate import Gate
from sidecar.tee.limits import NANOSECONDS
from sidecar.tee.queue import WaitingLine
from sidecar.tee.settings import PairSettings, ShadowSettings

_LOGGER = logging.getLogger(__name__)


class Dispatch:
    """One request on its way to one shadow."""

    __slots__ = ("key", "messages", "metadata", "method", "offered_ns", "size")

    def __init__(
        self,
        key: CallKey,
        method: str,
        messages: tuple[bytes, ...],
        metadata: GrpcMetadata,
        size: int,
        offered_ns: int,
    ) -> None:
        """Made.

        Args:
            key: the call's.
            method: as in `:path`.
            messages: the request.
            metadata: from `MetadataPolicy.outgoing`.
            size: bytes of all messages.
            offered_ns: the wait is counted from here.
        """
        self.key, self.method, self.messages = key, method, messages
        self.metadata, self.size, self.offered_ns = metadata, size, offered_ns


Done: TypeAlias = Callable[[Dispatch, Observation | SkipReason], None]
Sent: TypeAlias = Callable[[Dispatch], None]
"""Hears that a copy goes out now; whatever becomes of it, the shadow knows of the call."""
_Admitted: TypeAlias = tuple[Dispatch, int]  # and the breaker's epoch


class Shadow:
    """A gate, a queue, and up to `concurrency` calls at one time on one channel.

    `done` is called from within the event loop, also during `offer` and `close` of other calls.
    Counters only grow: `started` calls, `answered` by status code.
    """

    def __init__(
        self,
        settings: ShadowSettings,
        pairs: PairSettings,
        clock: Clock,
        done: Done,
        budget: Budget | None = None,
        sent: Sent = lambda _: None,
    ) -> None:
        self._budget = budget
        self._settings = settings
        self._clock = clock
        self._done = done
        self._sent = sent
        self._gate = Gate(settings, pairs.max_request_bytes)
        self._line: WaitingLine[CallKey, _Admitted] = WaitingLine()
        self._running: dict[CallKey, tuple[Call, _Admitted]] = {}
        self._client: ShadowClient | None = None
        self.starting = False  # not reached yet, and waited for: it gets no calls
        self.started = 0
        self.answered: dict[int, int] = {}

    @property
    def settings(self) -> ShadowSettings:
        """The settings in force."""
        return self._settings

    @property
    def queued_calls(self) -> int:
        """Calls waiting for a place."""
        return len(self._line)

    @property
    def queued_bytes(self) -> int:
        """Bytes of the requests that wait."""
        return self._line.bytes

    @property
    def running(self) -> int:
        """Calls that the shadow is working on."""
        return len(self._running)

    @property
    def breaker_state(self) -> BreakerState:
        """The breaker's state."""
        return self._gate.breaker.state

    def start(self) -> None:
        """Open the channel, within the running event loop; it connects with the first call.

        Raises:
            OSError: when a TLS file cannot be read.
        """
        self._client = ShadowClient(self._settings, self._budget)

    def refusal(self, draw: float = 0.0, lost: SkipReason | None = None) -> SkipReason | None:
        """Say why the call would be refused, as far as its header tells; None: it may be read.

        What a call costs comes after its header: one that has no place need not be read.

        Args:
            draw: uniform in [0, 1), for the shadow's own fraction.
            lost: why no shadow can have the call, although it was chosen; None: they can.
        """
        if self._client is None:
            return SkipReason.SHUTDOWN
        now_ns = self._clock()
        self._expire(now_ns)  # which may make room, and give a probe's place back
        waiting = len(self._line) - self._settings.concurrency + len(self._running)
        return self._gate.refusal(
            draw=draw, starting=self.starting, lost=lost, queued_calls=waiting, now_ns=now_ns
        )

    def pressure(self, now_ns: int) -> float:
        """How close the queue is to refusing or losing calls: 1 is half way there."""
        queue = self._settings.queue
        waiting = len(self._line) - self._settings.concurrency + len(self._running)
        if waiting <= 0:
            return 0.0
        waited = self._line.waited_ns(now_ns) / (queue.max_wait_seconds * NANOSECONDS)
        return 2 * max(waiting / queue.calls, self._line.bytes / queue.bytes, waited)

    def offer(self, dispatch: Dispatch) -> SkipReason | None:
        """Take a call that `refusal` let through, or say why not. Never waits.

        Args:
            dispatch: its key must be new to this shadow.
        """
        if self._client is None:
            return SkipReason.SHUTDOWN
        now_ns = self._clock()
        self._expire(now_ns)
        free = self._settings.concurrency - len(self._running)
        refusal = self._gate.admit(
            size=dispatch.size,
            queued_calls=max(0, len(self._line) - free),
            queued_bytes=self._line.bytes,
            now_ns=now_ns,
        )
        if refusal is not None:
            return refusal
        admitted = (dispatch, self._gate.breaker.epoch)
        if free > 0 and not self._line:
            self._ask(self._client, admitted)
        else:
            self._line.push(dispatch.key, admitted, dispatch.size, dispatch.offered_ns)
            self._fill(self._client)
        return None

    def cancel(self, key: CallKey) -> bool:
        """Forget a call, because its client gave up.

        Returns:
            Whether the call was waiting or running; then `done` is not called for it.
        """
        waiting = self._line.discard(key)
        running = self._running.pop(key, None)
        if waiting is not None:
            self._gate.breaker.released(waiting[1])
        elif running is not None and self._client is not None:
            call, (_, epoch) = running
            self._client.cancel(call)
            self._gate.breaker.released(epoch)
            self._fill(self._client)
        else:
            return False
        return True

    def update(self, settings: ShadowSettings) -> None:
        """Take over the settings that are marked live, without a restart.

        Raises:
            ValueError: naming the other settings that differ; nothing is changed then.
        """
        fixed = [
            name
            for name in ShadowSettings.model_fields
            if name not in ShadowSettings.live()
            and getattr(settings, name) != getattr(self._settings, name)
        ]
        if fixed:
            raise ValueError(f"shadow {self._settings.name}: needs a restart: {', '.join(fixed)}")
        self._settings = settings
        self._gate.update(settings)

    async def close(self) -> None:
        """End everything that waits or runs with SHUTDOWN, and close the channel."""
        client, self._client = self._client, None
        while (waiting := self._line.pop()) is not None:
            self._end_unasked(waiting, SkipReason.SHUTDOWN)
        if client is None:
            return
        running, self._running = self._running, {}
        for call, admitted in running.values():
            client.cancel(call)
            self._end_unasked(admitted, SkipReason.SHUTDOWN)
        await client.close()

    def _fill(self, client: ShadowClient) -> None:
        """Ask what waits, as far as there are places."""
        while len(self._running) < self._settings.concurrency:
            admitted = self._line.pop()
            if admitted is None:
                return
            self._ask(client, admitted)

    def _ask(self, client: ShadowClient, admitted: _Admitted) -> None:
        dispatch = admitted[0]
        self.started += 1
        self._sent(dispatch)
        call = client.call(
            dispatch.method,
            dispatch.messages,
            dispatch.metadata,
            deadline_seconds=self._settings.deadline_seconds,
            now=self._clock,
            done=partial(self._answered, admitted),
        )
        self._running[dispatch.key] = (call, admitted)

    def _answered(
        self, admitted: _Admitted, observation: Observation, skip: SkipReason | None
    ) -> None:
        dispatch, epoch = admitted
        del self._running[dispatch.key]
        if skip is SkipReason.PAIRS_FULL:
            self._gate.breaker.released(epoch)  # it was we who had no room
        else:
            self._report(observation, epoch)  # one that did nothing is UNAVAILABLE to the breaker
        self._tell(dispatch, observation if skip is None else skip)
        if self._client is not None and self._line:
            self._expire(self._clock())
            self._fill(self._client)

    def _report(self, observation: Observation, epoch: int) -> None:
        status = observation.status
        self.answered[status] = self.answered.get(status, 0) + 1
        if status in SICK:
            self._gate.breaker.failed(epoch, observation.ended_ns)
        else:
            self._gate.breaker.succeeded(epoch, observation.ended_ns)

    def _expire(self, now_ns: int) -> None:
        if not self._line:
            return
        limit_ns = now_ns - round(self._settings.queue.max_wait_seconds * NANOSECONDS)
        while (late := self._line.pop_older(limit_ns)) is not None:
            self._end_unasked(late, SkipReason.EXPIRED)

    def _end_unasked(self, admitted: _Admitted, reason: SkipReason) -> None:
        dispatch, epoch = admitted
        self._gate.breaker.released(epoch)
        self._tell(dispatch, reason)

    def _tell(self, dispatch: Dispatch, result: Observation | SkipReason) -> None:
        try:
            self._done(dispatch, result)
        except Exception:  # its place in `concurrency` must not be lost with it
            _LOGGER.exception("shadow %s: %s was not taken", self._settings.name, dispatch.key)
