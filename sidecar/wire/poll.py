"""The wire's event loop: asyncio's, over a selector that serves connections itself.

Rule: level-triggered and with all of epoll's events, errors included: an `add_reader` is not told
of those, and uvloop's (0.22 and 0.23) never calls a reader again once an error came together with
bytes, so that a reset behind the last bytes would go unseen. A connection's sockets have an owner
that is called straight from the kernel's answer: no handle, context or queue stands between the
two, and asyncio has its turn only when there is something for it to do. An owner may ask to be
called at a time, too. All other timers, signals and listeners are asyncio's own.
"""

from __future__ import annotations

import asyncio
import math
import select
import selectors
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from contextvars import Context
from time import monotonic
from typing import Any, Final, Protocol, TypeAlias, TypeVar, TypeVarTuple

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
GONE: Final = select.EPOLLRDHUP  # the other end sends no more
DEAD: Final = select.EPOLLERR | select.EPOLLHUP  # always told of, asked for or not

_BATCH: Final = 256
_NEVER: Final = math.inf
_now: Final = monotonic
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


FileObject: TypeAlias = int | _HasFileno


def run(main: Callable[[Poller], Coroutine[Any, Any, T]]) -> T:
    """Run `main` in a loop of its own, which serves what it asks of the poller."""
    poller = Poller()
    with asyncio.Runner(loop_factory=lambda: _Loop(poller)) as runner:
        return runner.run(main(poller))


class _Loop(asyncio.SelectorEventLoop):
    """asyncio's, which tells its poller whenever it was given something to do."""

    def __init__(self, poller: Poller) -> None:
        super().__init__(poller)
        self._poller = poller

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        self._poller.asked = True
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self._poller.asked = True
        return super().call_at(when, callback, *args, context=context)


class Poller(selectors.BaseSelector):
    """The sockets of all connections, for each the events that its owner wants now; and asyncio's.

    The latter are known by their file descriptors only.
    """

    def __init__(self) -> None:
        self.asked = False  # since asyncio asked: it has something new to do
        self._epoll = select.epoll()
        self._owners: dict[int, Callable[[int], None]] = {}
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._alarms: dict[int, tuple[float, Callable[[], None]]] = {}
        self._next = _NEVER  # of the alarms

    def call_at(self, when: float, fd: int, owner: Callable[[], None]) -> None:
        """Call a socket's owner once at a time of `monotonic`, instead of any asked for before.

        A time that has passed is when all sockets that are ready now have been served.
        """
        self._alarms[fd] = (when, owner)
        self._next = min(self._next, when)

    def call_off(self, fd: int) -> None:
        """Do not call, if that was asked for."""
        if self._alarms.pop(fd, None) is not None:
            self._next = min((when for when, _ in self._alarms.values()), default=_NEVER)

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

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Serve the connections until something is asyncio's to do, and return what it is to serve.

        Args:
            timeout: seconds until its next timer.
        """
        self.asked = False
        now = _now()
        until = _NEVER if timeout is None else now + timeout
        while True:
            others = self._serve(min(until, self._next) - now)
            now = _now()
            if self._next <= now:
                self._ring(now)
            if others or self.asked or until <= now:
                return others

    def _ring(self, now: float) -> None:
        """Call whose time has come, in the order of their times."""
        for _, fd in sorted((when, fd) for fd, (when, _) in self._alarms.items()):
            alarm = self._alarms.get(fd)
            if alarm is None or alarm[0] > now:  # one before it may have called it off
                continue
            self.call_off(fd)
            try:
                alarm[1]()
            except Exception as error:
                _failed(error)

    def _serve(self, wait: float) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait once, at most so many seconds, and serve the connections; what is asyncio's."""
        others = []
        owners = self._owners
        timeout = None if wait == _NEVER else max(wait, 0.0)
        for fd, events in self._epoll.poll(timeout, _BATCH):
            # A socket may have been closed by the owner of one before it; its number is not in
            # use again yet, because nothing is opened in here.
            owner = owners.get(fd)
            if owner is not None:
                try:
                    owner(events)
                except Exception as error:  # one connection's trouble; the others go on
                    _failed(error)
            elif (key := self._keys.get(fd)) is not None:
                mask = selectors.EVENT_READ if events & ~WRITE else 0
                mask |= selectors.EVENT_WRITE if events & ~READ else 0
                others.append((key, mask & key.events))
        return others

    def register(self, fileobj: FileObject, events: int, data: Any = None) -> selectors.SelectorKey:
        """Register a file descriptor of asyncio's."""
        assert isinstance(fileobj, int)
        wanted = READ if events & selectors.EVENT_READ else 0
        wanted |= WRITE if events & selectors.EVENT_WRITE else 0
        key = selectors.SelectorKey(fileobj, fileobj, events, data)
        self._epoll.register(fileobj, wanted)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: FileObject) -> selectors.SelectorKey:
        """Forget a file descriptor of asyncio's.

        Raises:
            KeyError: it is not registered.
        """
        assert isinstance(fileobj, int)
        key = self._keys.pop(fileobj)
        with suppress(OSError):  # closed before it was forgotten
            self._epoll.unregister(fileobj)
        return key

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """What is registered."""
        return self._keys

    def close(self) -> None:
        """Hear of nothing any more; the loop does this when it closes."""
        self._epoll.close()
        self._keys.clear()
        self._alarms.clear()


def _failed(error: Exception) -> None:
    context = {"message": "a connection's owner failed", "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)
