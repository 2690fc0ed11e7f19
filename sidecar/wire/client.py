"""A client that waits for production to be reached.

Rule: who leaves meanwhile costs production no connection. Counterpart: `server`, which connects.
"""

from __future__ import annotations

import asyncio
import socket

from sidecar.wire.poll import DEAD, GONE, Poller


class WaitingClient:
    """A client that may leave while production is being reached: then nobody needs it any more.

    A reset ends the task that makes this. An end may be all that the client will say, though it
    still listens: production has `linger` seconds to be reached.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, poller: Poller, client: socket.socket, linger: float
    ) -> None:
        self.left = False
        self._loop = loop
        self._poller = poller
        self._client = client
        self._linger = linger
        self._wanted = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task = asyncio.current_task()
        self._want(GONE)

    def stop(self) -> None:
        """Production has been reached, or will not be."""
        self._want(0)
        if self._timer is not None:
            self._timer.cancel()

    def _want(self, events: int) -> None:
        self._poller.want(self._client.fileno(), self._wanted, events, self._gone)
        self._wanted = events

    def _gone(self, events: int) -> None:
        self._want(0)
        if events & DEAD:
            self._leave()
        else:
            self._timer = self._loop.call_later(self._linger, self._leave)

    def _leave(self) -> None:
        assert self._task is not None
        self.left = True
        self._task.cancel()
