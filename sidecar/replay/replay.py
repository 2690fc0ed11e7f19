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
from sidecar.replay.pace import Pace
from sidecar.replay.recorded import Recorded
from sidecar.tee.client import ShadowClient
from sidecar.tee.metadata import MetadataPolicy
from sidecar.tee.settings import ShadowSettings

UNIMPLEMENTED = 12
UNAVAILABLE = 14


@dataclass(slots=True)
class Progress:
    """How far a replay is."""

    sent: int = 0
    done: int = 0
    late: int = 0  # sent over a second after they were due: the candidate is slower than the pace
    status: dict[str, dict[int, int]] = field(default_factory=dict)  # by candidate and gRPC code


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
    ) -> None:
        """Prepare.

        Args:
            book: told of every call.
            candidates: at least one.
            production: asked again too; None: what it answered then stands.
            pace: when calls are sent.
        """
        self.progress = Progress(status={c.name: {} for c in candidates})
        self._book = book
        self._candidates = candidates
        self._production = production
        self._pace = pace
        self._places = asyncio.Semaphore(max(c.settings.concurrency for c in candidates))

    async def run(self, calls: Iterator[Recorded], told: Callable[[Progress], None]) -> None:
        """Send every call; returns when all are answered. Cancelling it ends with what there is."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        running: set[asyncio.Task[None]] = set()
        try:
            for call in calls:
                due = self._pace.due(call.number, call.started_ns)
                if due is not None:
                    wait = began + due - loop.time()
                    if wait > 0:
                        await asyncio.sleep(wait)
                    self.progress.late += wait < -1.0
                await self._places.acquire()
                task = loop.create_task(self._one(call, told))
                running.add(task)
                task.add_done_callback(running.discard)
                self.progress.sent += 1
            if running:
                await asyncio.gather(*running)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

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
        self._book.enter(call, production, named)
        self.progress.done += 1
        told(self.progress)
