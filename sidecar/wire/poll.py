"""Which sockets are ready, exactly as the kernel says it.

Rule: level-triggered and with all of epoll's events, errors included. The event loop's own
`add_reader` is not enough: where an error comes together with bytes, uvloop 0.22 and 0.23 call the
reader once and never again, so that a reset behind the last bytes would go unseen. The set of
sockets is one file descriptor for the loop, at the price of one system call for each turn of it.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Final

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
DEAD: Final = select.EPOLLERR | select.EPOLLHUP  # always told of, asked for or not

_BATCH: Final = 256


class Poller:
    """The sockets of all connections; for each the events that its owner wants now."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._owners: dict[int, Callable[[int], None]] = {}
        loop.add_reader(self._epoll.fileno(), self._dispatch)

    def want(self, fd: int, before: int, events: int, owner: Callable[[int], None]) -> None:
        """Change what is wanted of a socket from `before`; wanting nothing hears of nothing."""
        if events == before:
            return
        if not events:
            self._epoll.unregister(fd)
            del self._owners[fd]
        elif before:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
            self._owners[fd] = owner

    def close(self) -> None:
        """Hear of nothing any more."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _dispatch(self) -> None:
        owners = self._owners
        for fd, events in self._epoll.poll(0, _BATCH):
            # A socket may have been closed by the owner of one before it; its number is not in
            # use again yet, because nothing is opened in here.
            owner = owners.get(fd)
            if owner is not None:
                owner(events)
