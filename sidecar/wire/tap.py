"""The tap: observers connect to a Unix socket and are told what passes, as fast as they can read.

Rule: connections are given to observers in turn, and calls that no session has in its books are
shared out among all, to the call. Counterparts: `session`, one observer; `sidecar.observe.tap`.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic_ns
from typing import Any, Final

from sidecar.wire.listen import close_listener
from sidecar.wire.peer import check_peer
from sidecar.wire.poll import Poller
from sidecar.wire.records import Kind, record
from sidecar.wire.session import Session
from sidecar.wire.stats import Tally

STATS_SECONDS: Final = 1.0
MAX_ENDED: Final = 64  # sessions remembered that have ended
NO_FILES_SECONDS: Final = 0.1  # to wait when accepting fails, as for want of file descriptors


class Tap:
    """The listening end: accepts observers, gives connections to them in turn.

    Args:
        limit: bound on waiting bytes for each session.
        most: sessions at once.
        stranger: called when another user's process was turned away.
        hello: what the HELLO record says.
        stats: what the STATS records say.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        poller: Poller,
        limit: int,
        most: int,
        hello: dict[str, Any],
        stats: Callable[[], dict[str, int]],
        draw: Callable[[], float],
        goaway: Callable[[set[int]], None],
        log: Callable[..., None],
        stranger: Callable[[], None] = lambda: None,
    ) -> None:
        self.sessions: list[Session] = []
        self.sent = 0  # by sessions that have ended
        self.past = Tally()  # of sessions that have ended
        self.orphans = Tally()  # of connections that no session has, or had to its end
        self._shared = 0  # of the orphans' calls
        self._ever = 0
        self._most = most
        self._stranger = stranger
        self._ended_calls: dict[int, int] = {}
        self._unattended: dict[int, int] = {}  # calls that came before a session, without any
        self._loop = loop
        self._poller = poller
        self._listener: socket.socket | None = None
        self._limit = limit
        self.hello = hello
        self._stats = stats
        self._draw = draw
        self._goaway = goaway
        self._log = log
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None

    def listen(self, listener: socket.socket) -> None:
        """Accept observers on a listening Unix socket; it is closed with the tap."""
        listener.setblocking(False)
        self._listener = listener
        self._listen()

    def deafen(self) -> None:
        """Listen no more, and leave the name to whom it is now."""
        assert self._listener is not None
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        self._listener = None

    @property
    def buffered(self) -> int:
        """Bytes waiting in all sessions."""
        return sum(session.size for session in self.sessions)

    @property
    def told(self) -> int:
        """Bytes put into all sessions, ever, less those lost with a session that ended."""
        return self.sent + sum(session.sent + session.size for session in self.sessions)

    @property
    def tally(self) -> Tally:
        """All that the walks have counted."""
        whole = Tally()
        for part in (self.past, self.orphans, *(session.tally for session in self.sessions)):
            whole.add(part)
        return whole

    def assign(self) -> Session | None:
        """Choose who observes a new connection: in turn, if less than half full."""
        for _ in self.sessions:
            self._next = (self._next + 1) % len(self.sessions)
            session = self.sessions[self._next]
            if session.size <= session.reserve:
                return session
        return None

    def close(self) -> None:
        """End all sessions, after one last try to send what waits."""
        if self._listener is not None:
            self._loop.remove_reader(self._listener.fileno())
            close_listener(self._listener)
        for timer in (self._timer, self._pause):
            if timer is not None:
                timer.cancel()
        for session in list(self.sessions):
            session.flush()
            session.end()

    def _listen(self) -> None:
        assert self._listener is not None
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError:
            # For want of file descriptors: who waits is still there, and would be heard of at once.
            self._loop.remove_reader(self._listener.fileno())
            self._pause = self._loop.call_later(NO_FILES_SECONDS, self._listen)
            return
        with suppress(OSError):
            try:
                check_peer(sock)
            except OSError as error:
                self._stranger()
                self._log("observer refused", error=str(error))
                sock.close()
                return
            if len(self.sessions) >= self._most:
                # Where many sockets are ready, the end of one that has gone may come after this.
                for session in list(self.sessions):
                    session.read()
            if len(self.sessions) >= self._most:
                self._log("observer refused", error=f"{self._most} are attached")
                sock.close()
                return
            self._ever += 1
            session = Session(
                self._poller,
                sock,
                self._limit,
                self._draw,
                self._ended,
                self._goaway,
                self._ever,
            )
            unattended = self._share()
            self.sessions.append(session)
            about = self.hello | {
                "session": session.number,
                "ended": self._ended_calls,
                "unattended_calls": unattended,
                "unattended": self._unattended,
            }
            session.tell(Kind.HELLO, 0, monotonic_ns(), json.dumps(about).encode())
            if unattended:
                self._unattended[session.number] = unattended
                if len(self._unattended) > MAX_ENDED:
                    del self._unattended[next(iter(self._unattended))]
            self._log("observer attached", sessions=len(self.sessions))
            self._tell_stats()

    def _ended(self, session: Session) -> None:
        self._share()
        self.sessions.remove(session)
        self.sent += session.sent
        self.past.add(session.tally)
        self._ended_calls[session.number] = session.tally.calls + session.blind_calls
        if len(self._ended_calls) > MAX_ENDED:
            del self._ended_calls[next(iter(self._ended_calls))]
        self._log("observer gone", sessions=len(self.sessions))

    def _share(self) -> int:
        """Give each session its part of the calls that none had; how many found nobody."""
        calls, self._shared = self.orphans.blind_calls - self._shared, self.orphans.blind_calls
        if not self.sessions:
            return calls
        each, left = divmod(calls, len(self.sessions))
        for place, session in enumerate(self.sessions):
            session.shared += each + (place < left)
        return 0

    def _tell_stats(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.sessions:
            self._timer = self._loop.call_later(STATS_SECONDS, self._tell_stats)
            self._share()
            figures = self._stats()
            for session in list(self.sessions):
                if session.size <= session.reserve:
                    mine = {
                        "session_calls": session.tally.calls,
                        "session_blind_calls": session.blind_calls,
                    }
                    payload = json.dumps(figures | mine).encode()
                    session.put(record(Kind.STATS, 0, 0, monotonic_ns(), payload), b"")
