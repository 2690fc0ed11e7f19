"""One server that is asked again: at most `concurrency` calls at a time, the others wait here.

Rule: whoever asks is told once, or cancels; no call has a task or a future of its own, for these
cost more than asking. The metadata policy is that of live copies: nothing that is denied there is
sent here. Counterparts: `tee.client`, which asks; `replay`, `capacity` and `sensitivity`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from sidecar.call import Observation, SkipReason
from sidecar.replay.recorded import Recorded
from sidecar.tee.client import ShadowClient
from sidecar.tee.connection import Call
from sidecar.tee.metadata import MetadataPolicy
from sidecar.tee.settings import ShadowSettings


class Asking:
    """A call that waits for its answer, or for a place."""

    __slots__ = ("call", "done", "messages", "under_way")

    def __init__(
        self, call: Recorded, messages: tuple[bytes, ...], done: Callable[[Observation], None]
    ) -> None:
        self.call = call
        self.messages = messages
        self.done: Callable[[Observation], None] | None = done  # None: told, or cancelled
        self.under_way: Call | None = None  # None: it waits for a place


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
        self._now_ns = now_ns
        self._running = 0
        self._waiting: deque[Asking] = deque()

    def begin(
        self,
        call: Recorded,
        done: Callable[[Observation], None],
        messages: tuple[bytes, ...] | None = None,
    ) -> Asking:
        """Ask when there is a place; `done` is told the answer, never before this returns.

        Args:
            call: its method and metadata are asked with.
            done: must not raise.
            messages: other messages than the captured ones.
        """
        asking = Asking(call, call.request if messages is None else messages, done)
        if self._running < self.settings.concurrency:
            self._start(asking)
        else:
            self._waiting.append(asking)
        return asking

    def cancel(self, asking: Asking) -> None:
        """Give a call up; nothing more is told of it."""
        if asking.done is None:
            return
        asking.done = None
        if asking.under_way is not None:
            self._client.cancel(asking.under_way)
            self._next()

    async def ask(self, call: Recorded, messages: tuple[bytes, ...] | None = None) -> Observation:
        """The same for whoever can wait; cancelling it gives the call up."""
        answered: asyncio.Future[Observation] = asyncio.get_running_loop().create_future()
        asking = self.begin(
            call,
            lambda answer: None if answered.done() else answered.set_result(answer),
            messages,
        )
        try:
            return await answered
        except asyncio.CancelledError:
            self.cancel(asking)
            raise

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _start(self, asking: Asking) -> None:
        self._running += 1
        call = asking.call
        asking.under_way = self._client.call(
            call.method,
            asking.messages,
            self._policy.outgoing(call.metadata),
            deadline_seconds=self.settings.deadline_seconds,
            now=self._now_ns,
            done=partial(self._answered, asking),
        )

    def _answered(self, asking: Asking, answer: Observation, _: SkipReason | None) -> None:
        done, asking.done = asking.done, None
        self._next()
        if done is not None:
            done(answer)

    def _next(self) -> None:
        """One place is free."""
        self._running -= 1
        while self._waiting and self._running < self.settings.concurrency:
            asking = self._waiting.popleft()
            if asking.done is not None:
                self._start(asking)
