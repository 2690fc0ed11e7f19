"""Sends captured calls to the candidates, and hands what comes back to the book.

Rule: at most `concurrency` calls of a candidate are under way, so memory stays flat however many
rows there are; a candidate that hangs costs its own deadline. The metadata policy is that of live
copies: nothing that is denied there is sent here. Counterparts: `tee.client`, which asks; `pace`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sidecar.call import GrpcMetadata, Observation
from sidecar.replay.book import Book
from sidecar.replay.done import Done
from sidecar.replay.pace import Pace
from sidecar.replay.recorded import Recorded
from sidecar.tee.client import ShadowClient
from sidecar.tee.metadata import MetadataPolicy
from sidecar.tee.settings import ShadowSettings

DEADLINE_EXCEEDED, UNIMPLEMENTED, UNAVAILABLE = 4, 12, 14
MAX_METHODS = 20  # that are named
GIVE_UP = 100  # calls, of which not one was answered: no model's fault


class SilentError(Exception):
    """A candidate that answers nothing: it hangs, is not there, or does not know the method."""


@dataclass(slots=True)
class Progress:
    """How far a replay is."""

    sent: int = 0
    done: int = 0
    late: int = 0  # sent over a second after they were due: the candidate is slower than the pace
    status: dict[str, dict[int, int]] = field(default_factory=dict)  # by candidate and gRPC code
    lacking: set[str] = field(default_factory=set)  # methods that a candidate does not know


class Candidate:
    """One server that is asked again."""

    def __init__(self, settings: ShadowSettings, now_ns: Callable[[], int]) -> None:
        """Make it within the running event loop.

        Raises:
            OSError: a TLS file cannot be read.
        """
        self.name = settings.name
        self.settings = settings
        self._client = ShadowClient(settings)
        self._policy = MetadataPolicy(settings)
        self._places = asyncio.Semaphore(settings.concurrency)
        self._now_ns = now_ns

    async def ask(self, call: Recorded, messages: tuple[bytes, ...] | None = None) -> Observation:
        """Ask, when there is a place.

        Args:
            call: its method and metadata are asked with.
            messages: other messages than the captured ones.
        """
        request = call.request if messages is None else messages
        async with self._places:
            answered: asyncio.Future[Observation] = asyncio.get_running_loop().create_future()
            under_way = self._client.call(
                call.method,
                request,
                self._metadata(call),
                deadline_seconds=self.settings.deadline_seconds,
                now=self._now_ns,
                done=lambda answer, _: None if answered.done() else answered.set_result(answer),
            )
            try:
                return await answered
            except asyncio.CancelledError:
                self._client.cancel(under_way)
                raise

    def _metadata(self, call: Recorded) -> GrpcMetadata:
        return self._policy.outgoing(call.metadata)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class Replay:
    """One run over captured calls."""

    def __init__(
        self,
        book: Book,
        candidates: list[Candidate],
        production: Candidate | None,
        pace: Pace,
        done: Done | None = None,
    ) -> None:
        """Prepare.

        Args:
            book: told of every call.
            candidates: at least one.
            production: asked again too; None: what it answered then stands.
            pace: when calls are sent.
            done: takes the numbers of the calls that are answered.
        """
        self._done = done if done is not None else Done()
        self._broken: BaseException | None = None
        self._silent = {c.name for c in candidates}  # those that have not answered a call yet
        self.progress = Progress(status={c.name: {} for c in candidates})
        self._book = book
        self._candidates = candidates
        self._production = production
        self._pace = pace
        self._places = asyncio.Semaphore(max(c.settings.concurrency for c in candidates))

    async def run(self, calls: Iterator[Recorded], told: Callable[[Progress], None]) -> None:
        """Send every call; returns when all are answered. Cancelling it ends with what there is.

        Raises:
            CapturedError: a file is damaged.
            SilentError: a candidate answers nothing.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        running: set[asyncio.Task[None]] = set()
        try:
            for call in calls:
                self._check(GIVE_UP)
                self._check_whole()
                due = self._pace.due(self.progress.sent, call.started_ns)
                if due is not None:
                    wait = began + due - loop.time()
                    if wait > 0:
                        await asyncio.sleep(wait)
                    self.progress.late += wait < -1.0
                await self._places.acquire()
                task = loop.create_task(self._one(call, told))
                running.add(task)
                task.add_done_callback(running.discard)
                task.add_done_callback(self._ended)
                self.progress.sent += 1
            if running:
                await asyncio.gather(*running)
            self._check_whole()
            self._check(1)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._broken = self._broken or task.exception()

    def _check_whole(self) -> None:
        """A call that could not be entered is a defect of ours, and no result stands on it."""
        if self._broken is not None:
            raise self._broken

    def _check(self, least: int) -> None:
        for candidate in self._candidates:
            codes = self.progress.status[candidate.name]
            answered = sum(codes.values())
            if candidate.name in self._silent and answered >= least:
                raise SilentError(_why(candidate, codes, answered))

    async def _one(self, call: Recorded, told: Callable[[Progress], None]) -> None:
        try:
            asked = (
                [self._candidates[0].ask(call)]
                if len(self._candidates) == 1
                else [candidate.ask(call) for candidate in self._candidates]
            )
            if self._production is not None:
                asked.append(self._production.ask(call))
            answers = await asyncio.gather(*asked)
        finally:
            self._places.release()
        production = answers.pop() if self._production is not None else call.production
        named = {c.name: a for c, a in zip(self._candidates, answers, strict=True)}
        for name, answer in named.items():
            codes = self.progress.status[name]
            codes[answer.status] = codes.get(answer.status, 0) + 1
            if answer.status not in {DEADLINE_EXCEEDED, UNIMPLEMENTED, UNAVAILABLE}:
                self._silent.discard(name)
            elif answer.status == UNIMPLEMENTED and len(self.progress.lacking) < MAX_METHODS:
                self.progress.lacking.add(f"{name} lacks {call.method}")
        self._book.enter(call, production, named)
        self._done.add(call.number)
        self.progress.done += 1
        told(self.progress)


def _why(candidate: Candidate, codes: dict[int, int], calls: int) -> str:
    """Why a candidate has answered nothing, and what to do."""
    address = candidate.settings.address
    none = f"{candidate.name} at {address}: none of {calls:,} calls was answered: "
    match max(codes, key=lambda code: codes[code]):
        case 12:
            return none + "it does not know their method (UNIMPLEMENTED); is it the right server?"
        case 4:
            return none + (
                f"it hangs, or takes longer than {candidate.settings.deadline_seconds:g} s "
                "(--set shadows.0.deadline_seconds=...)"
            )
    return none + "nobody answers there (UNAVAILABLE); is it up, and does it want TLS?"
