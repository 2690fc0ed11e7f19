"""Everybody who receives copies: shadows and controls, by name.

Rule: each receiver has its own word on each call; one that is slow, gone or at its bounds takes
nothing from the others. How a receiver fails is said once, then now and then, then that it
answers again. Counterparts: `tee.shadow`, which drives one; `app`, which asks and is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from sidecar.address import TCP, parse_address
from sidecar.call import (
    CallKey,
    GrpcMetadata,
    Metadata,
    Observation,
    Requested,
    SkipReason,
    Started,
)
from sidecar.experiment.state import Failing, ReceiverState
from sidecar.http2.budget import Budget
from sidecar.log import Log
from sidecar.settings.settings import Settings
from sidecar.status import status_name
from sidecar.tasks import Tasks
from sidecar.tee.client import ShadowClient
from sidecar.tee.metadata import MetadataPolicy
from sidecar.tee.shadow import Dispatch, Shadow
from sidecar.telemetry.plan import SpanPlan

Done: TypeAlias = Callable[[str, Dispatch, Observation | SkipReason], None]
Sent: TypeAlias = Callable[[str, Dispatch], None]

UNIMPLEMENTED = 12
ABSENT = frozenset({4, 8, UNIMPLEMENTED, 14})
"""Statuses that say that the shadow is not there, too slow, or not the server that was meant."""

AGAIN_NS = 60_000_000_000  # between two lines about the same failure
PROBE_SECONDS = 0.25  # between two looks for a shadow that is waited for
REFLECTION_WINDOW = 64 << 10  # bytes of descriptors on their way to us
DETAIL = 200  # characters of what a shadow says


@dataclass(slots=True)
class _Health:
    failing: Failing | None = None
    said_ns: int | None = None  # when a failure was last told
    told: bool = False  # of the failure that goes on


class Receivers:
    """The shadows and controls that are configured."""

    def __init__(
        self,
        settings: Settings,
        now_ns: Callable[[], int],
        log: Log,
        budget: Budget,
        tasks: Tasks,
    ) -> None:
        """Prepare; nobody is called before `start`.

        Args:
            settings: the whole configuration.
            now_ns: the monotonic clock.
            log: told of a receiver that fails.
            budget: for answers that are on their way.
            tasks: what is done beside.
        """
        self._now_ns = now_ns
        self._budget = budget
        self._log = log
        self._done: Done | None = None
        self._sent: Sent | None = None
        self._shadows = {
            s.name: Shadow(
                s,
                settings.pairs,
                now_ns,
                partial(self._answered, s.name),
                budget,
                partial(self._goes_out, s.name),
            )
            for s in settings.shadows
        }
        self._health = {name: _Health() for name in self._shadows}
        self._policies = {s.name: MetadataPolicy(s) for s in settings.shadows}
        # A control that is slow must not cost the candidate its calls.
        leading = [s for s in self._shadows.values() if s.settings.role == "shadow"]
        self._leading = leading or list(self._shadows.values())
        self._tasks = tasks

    def __len__(self) -> int:
        return len(self._shadows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shadows)

    def in_turn(self, draw: Callable[[], float]) -> Sequence[str]:
        """Everybody, in an order that is drawn: who is asked second finds a warmer machine.

        So over many calls neither a shadow nor its control is favoured.

        Args:
            draw: uniform in [0, 1).
        """
        names = tuple(self._shadows)
        return names if len(names) == 1 else sorted(names, key=lambda _: draw())

    def refusals(
        self, draw: Callable[[], float], lost: SkipReason | None, ended: Callable[[str], bool]
    ) -> dict[str, SkipReason]:
        """Ask everybody about a call whose header has been read; who is absent may have it.

        Args:
            draw: uniform in [0, 1).
            lost: why nobody can have the call, although it was chosen; None: they can.
            ended: whether a receiver's part in the experiment is over.
        """
        found = {}
        for name, shadow in self._shadows.items():
            reason = SkipReason.ENDED if ended(name) else shadow.refusal(draw(), lost)
            if reason is not None:
                found[name] = reason
        return found

    def lost(
        self,
        reason: SkipReason,
        calls: int,
        draw: Callable[[], float],
        ended: Callable[[str], bool],
    ) -> dict[tuple[SkipReason, ...], int]:
        """Say of calls that nobody can have why each receiver does not, in their order.

        Args:
            reason: why nobody can, although they were chosen.
            calls: how many, which came together.
            draw: uniform in [0, 1).
            ended: whether a receiver's part in the experiment is over.

        Returns:
            How many calls have these reasons.
        """
        each: list[SkipReason] = []
        fractions: list[float] = []
        for name, shadow in self._shadows.items():
            over = ended(name)
            found = SkipReason.ENDED if over else shadow.refusal(-1.0, reason)
            each.append(reason if found is None else found)
            fractions.append(1.0 if over else shadow.settings.fraction)
        if min(fractions) >= 1.0:
            return {tuple(each): calls}
        told: dict[tuple[SkipReason, ...], int] = {}
        for _ in range(calls):
            drawn = tuple(
                [
                    why if draw() < fraction else SkipReason.NOT_SAMPLED
                    for why, fraction in zip(each, fractions, strict=True)
                ]
            )
            told[drawn] = told.get(drawn, 0) + 1
        return told

    def offer(
        self, name: str, call: Started, request: Requested, plan: SpanPlan, size: int
    ) -> SkipReason | None:
        """Give a complete request to one of them, or say why not."""
        metadata = self._metadata(name, call.metadata, plan)
        return self._shadows[name].offer(
            Dispatch(
                key=request.key,
                method=call.method,
                messages=request.messages,
                metadata=metadata,
                size=size,
                offered_ns=request.ended_ns,
            )
        )

    def _metadata(self, name: str, callers: Metadata, plan: SpanPlan) -> GrpcMetadata:
        return self._policies[name].outgoing(
            plan.metadata_for(name, callers), plan.trace_for(name, callers)
        )

    def cancel(self, name: str, key: CallKey) -> None:
        """Forget a call that nobody waits for any more."""
        self._shadows[name].cancel(key)

    def _answered(self, name: str, dispatch: Dispatch, result: Observation | SkipReason) -> None:
        if not isinstance(result, SkipReason):
            self._note(name, result)
        if self._done is not None:
            self._done(name, dispatch, result)

    def _goes_out(self, name: str, dispatch: Dispatch) -> None:
        if self._sent is not None:
            self._sent(name, dispatch)

    # ---- how they are ---------------------------------------------------------------------------

    def _note(self, name: str, answer: Observation) -> None:
        health = self._health[name]
        if answer.status not in ABSENT:
            if health.failing is not None:
                if health.told:
                    self._log.info("shadow_answers", shadow=name, failed_calls=health.failing.calls)
                # What was said stays: a shadow that fails every other call is told once a minute.
                self._health[name] = _Health(said_ns=health.said_ns)
            return
        cause = f"{status_name(answer.status)}: {answer.detail[:DETAIL]}".rstrip(": ")
        before = health.failing
        since, calls = (before.since_ns, before.calls) if before else (answer.ended_ns, 0)
        health.failing = Failing(since, calls + 1, cause)
        if health.said_ns is None or answer.ended_ns - health.said_ns >= AGAIN_NS:
            health.said_ns, health.told = answer.ended_ns, True
            self._log.warning(
                "shadow_fails",
                shadow=name,
                address=self._shadows[name].settings.address,
                cause=cause,
                for_seconds=round((answer.ended_ns - since) / 1e9, 1),
                failed_calls=calls + 1,
            )

    def pressure(self) -> float:
        """How close the shadow that has the most room is to refusing calls: 1 is half way."""
        now_ns = self._now_ns()
        return min((shadow.pressure(now_ns) for shadow in self._leading), default=0.0)

    def states(self) -> tuple[ReceiverState, ...]:
        """Everybody, now, in the order of the configuration."""
        return tuple(
            ReceiverState(
                settings=shadow.settings,
                queued_calls=shadow.queued_calls,
                queued_bytes=shadow.queued_bytes,
                running=shadow.running,
                breaker=shadow.breaker_state,
                failing=self._health[name].failing,
                starting=shadow.starting,
            )
            for name, shadow in self._shadows.items()
        )

    # ---- their life -----------------------------------------------------------------------------

    def start(self, done: Done, sent: Sent, wait_seconds: float = 0.0) -> None:
        """Make them ready to be called.

        Args:
            done: gets one word for each call that `offer` took.
            sent: hears of each copy when it goes out.
            wait_seconds: who cannot be reached yet gets no calls, at most so long.

        Raises:
            OSError: a TLS file cannot be read.
        """
        self._done, self._sent = done, sent
        for shadow in self._shadows.values():
            shadow.start()
            if wait_seconds:
                shadow.starting = True
                self._tasks.start(
                    f"wait for {shadow.settings.name}", self._wait(shadow, wait_seconds)
                )

    async def _wait(self, shadow: Shadow, seconds: float) -> None:
        name, address = shadow.settings.name, shadow.settings.address
        said = False
        try:
            async with asyncio.timeout(seconds):
                while not await _reachable(address):
                    if not said:
                        said = True
                        self._log.info("waiting_for_shadow", shadow=name, address=address)
                    await asyncio.sleep(PROBE_SECONDS)
        except TimeoutError:
            self._log.warning("shadow_absent", shadow=name, address=address, waited_seconds=seconds)
        else:
            if said:
                self._log.info("shadow_reached", shadow=name, address=address)
        finally:
            shadow.starting = False  # whatever happened: it must get its calls

    def connect(self, max_bytes: int) -> ShadowClient:
        """A connection of its own to the first one, to ask it what its messages mean.

        Args:
            max_bytes: of one answer.

        Raises:
            OSError: a TLS file cannot be read.
        """
        first = next(iter(self._shadows.values())).settings
        bounds = {"max_response_bytes": max_bytes, "window_bytes": REFLECTION_WINDOW}
        return ShadowClient(first.model_copy(update=bounds), self._budget)

    def change(self, settings: Settings) -> None:
        """Take over what is live of the receivers that are here."""
        for wanted in settings.shadows:
            shadow = self._shadows.get(wanted.name)
            if shadow is not None:
                shadow.update(wanted)

    async def close(self) -> None:
        """End every call of theirs, and let them go."""
        for shadow in self._shadows.values():
            await shadow.close()


async def _reachable(address: str) -> bool:
    """Whether something listens there."""
    where = parse_address(address)
    try:
        if isinstance(where, TCP):
            _, writer = await asyncio.open_connection(where.host, where.port)
        else:
            _, writer = await asyncio.open_unix_connection(where.path)
    except OSError:
        return False
    writer.close()
    return True
