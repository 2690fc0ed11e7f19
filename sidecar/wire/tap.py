"""The tap: observers connect to a Unix socket and are told what passes, as fast as they can read.

Rule: nothing waits. A session is a bounded buffer and a non-blocking socket; an observer that is
slow, stopped or gone costs at most the buffer. `frames` keeps within its bound; only records that
begin or end a connection (under 300 bytes each, at most three for each connection of the session)
and STATS while at most half full are put in unasked. Calls that no session has in its books are
shared out among all, to the call. Counterpart: `sidecar.observe.tap`.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final

from sidecar.wire.backlog import CHUNK_BYTES, Backlog
from sidecar.wire.frames import Tally
from sidecar.wire.listen import close_listener
from sidecar.wire.peer import check_peer
from sidecar.wire.poll import DEAD, READ, WRITE, Poller
from sidecar.wire.records import HEADER, Kind, record

if TYPE_CHECKING:
    from sidecar.wire.watch import Watch

FLUSH_SECONDS: Final = 0.004
"""Records wait this long for company: each write wakes the observer, which costs the writer more
than all else here (a third of the CPU of one call after another, compared with 1 ms)."""
FLUSH_BYTES: Final = CHUNK_BYTES  # and no longer than until so many are there
LARGE_BYTES: Final = 32 << 10  # a record of so many does not wait: no copy of it is needed
STATS_SECONDS: Final = 1.0
MAX_ENDED: Final = 64  # sessions remembered that have ended
NO_FILES_SECONDS: Final = 0.1  # to wait when accepting fails, as for want of file descriptors
_SEND_BUFFER: Final = 1 << 20
_FRACTION: Final = struct.Struct("!d")


class Session:
    """One observer: what it is still to be told, and what it asked for.

    Args:
        limit: bound on waiting bytes, with what keeping them costs.
        draw: uniform in [0, 1).
        number: which session of the wire's this is.
        ended: called once, when the observer is gone or does not make sense.
        goaway: called with connections' numbers, 0 for all blind ones.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        poller: Poller,
        sock: socket.socket,
        limit: int,
        draw: Callable[[], float],
        ended: Callable[[Session], None],
        goaway: Callable[[set[int]], None],
        number: int = 0,
    ) -> None:
        self.number = number
        self.tally = Tally()  # of the connections that were given to it
        self.shared = 0  # its share of the calls that no session had
        self.limit = limit
        self.reserve = limit // 2  # not for DATA
        self._flush_bytes = min(FLUSH_BYTES, limit // 4)
        self.fraction = 1.0
        self.watches: dict[int, Watch] = {}
        self._loop = loop
        self._poller = poller
        self._socket = sock
        self._draw = draw
        self._ended = ended
        self._goaway = goaway
        self._backlog = Backlog()
        self._due: asyncio.Handle | None = None  # the next flush
        self._soon = False
        self._blocked = False  # the socket is full: it says when to go on
        self._open = True
        self._heard = b""
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self._wanted = 0
        self._want(READ)

    @property
    def blind_calls(self) -> int:
        """Calls that it has to answer for and was not shown."""
        return self.tally.blind_calls + self.shared

    def sample(self) -> bool:
        """Draw whether a new stream's DATA is copied."""
        fraction = self.fraction
        return fraction >= 1.0 or (fraction > 0.0 and self._draw() < fraction)

    @property
    def size(self) -> int:
        """Bytes waiting, and what keeping them costs."""
        return self._backlog.size

    @property
    def sent(self) -> int:
        """Bytes that its socket has taken."""
        return self._backlog.sent

    def put(self, header: bytes, payload: bytes | memoryview) -> None:
        """Append one record; the caller has seen that there is room. A view is not kept."""
        if not self._open:
            return
        if not isinstance(payload, bytes):
            if len(payload) >= LARGE_BYTES and not self._blocked:
                self._put_now(header, payload)
                return
            payload = bytes(payload)
        self._backlog.add(header, payload)
        if self._due is None:
            if not self._blocked:
                self._due = self._loop.call_later(FLUSH_SECONDS, self.flush)
        elif self._backlog.size >= self._flush_bytes and not self._soon:
            self._soon = True
            self._due.cancel()
            self._due = self._loop.call_soon(self.flush)

    def _put_now(self, header: bytes, payload: memoryview) -> None:
        """Send it at once, behind what waits."""
        self._undue()
        try:
            self._backlog.send_with(self._socket, header, payload)
        except (BlockingIOError, InterruptedError):
            self._block()
        except OSError:
            self.end()

    def tell(
        self, kind: Kind, number: int, now: int, payload: bytes = b"", direction: int = 0
    ) -> None:
        """Append a record that begins or ends something."""
        self.put(HEADER.pack(len(payload), kind, direction, 0, number, now), payload)

    def flush(self) -> None:
        """Send what the socket takes now; go on when it takes more."""
        self._undue()
        if not self._open:
            return
        try:
            self._backlog.send(self._socket)
        except (BlockingIOError, InterruptedError):
            self._block()
        except OSError:
            self.end()
        else:
            if self._blocked:
                self._blocked = False
                self._want(READ)

    def _block(self) -> None:
        self._blocked = True
        self._want(READ | WRITE)

    def end(self) -> None:
        """Close; what waits is lost, and the session's connections become blind."""
        if not self._open:
            return
        self._open = False
        self._undue()
        self._want(0)
        self._socket.close()
        self._backlog.clear()
        watches, self.watches = self.watches, {}
        for watch in watches.values():
            watch.abandon()
        self._ended(self)

    def _undue(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
            self._soon = False

    def _want(self, events: int) -> None:
        self._poller.want(self._socket.fileno(), self._wanted, events, self._ready)
        self._wanted = events

    def _ready(self, events: int) -> None:
        if events & (READ | DEAD):
            self.read()
        if events & WRITE and self._open:
            self.flush()

    def read(self) -> None:
        """Hear what the observer asks, or that it is gone."""
        try:
            data = self._socket.recv(4096)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data or not self._hear(self._heard + data):
            self.end()

    def _hear(self, data: bytes) -> bool:
        """Obey the whole records in `data`; False if one of them makes no sense."""
        pos = 0
        asked: set[int] = set()
        sizes = {Kind.SAMPLE: _FRACTION.size, Kind.GOAWAY: 0, Kind.UNREADABLE: 0}
        while len(data) - pos >= HEADER.size:
            size, kind, direction, flags, number, _ = HEADER.unpack_from(data, pos)
            if size != sizes.get(kind) or direction or flags:
                return False
            if len(data) - pos < HEADER.size + size:
                break
            pos += HEADER.size
            if kind == Kind.SAMPLE:
                (fraction,) = _FRACTION.unpack_from(data, pos)
                if not (math.isfinite(fraction) and 0 <= fraction <= 1) or number:
                    return False
                self.fraction = fraction
            elif kind == Kind.UNREADABLE:
                watch = self.watches.get(number)
                if watch is not None:  # else its CLOSE is on its way, and says the same
                    watch.unreadable()
            else:
                asked.add(number)
            pos += size
        self._heard = data[pos:]
        if asked:  # together: each asking looks at every connection, however often it is asked
            self._goaway(asked)
        return True


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
                self._loop,
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
