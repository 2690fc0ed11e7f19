"""One observer: what it is still to be told, and what it asked for.

Rule: nothing waits. A session is a bounded buffer and a non-blocking socket; an observer that is
slow, stopped or gone costs at most the buffer. `frames` keeps within its bound; only records that
begin or end a connection (under 300 bytes each, at most three for each connection of the session)
and STATS while at most half full are put in unasked. Counterparts: `tap`, which makes it;
`watch`, which tells it of a connection; `sidecar.observe.tap`, which reads what is told.
"""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

from sidecar.wire.backlog import CHUNK_BYTES, Backlog
from sidecar.wire.poll import DEAD, READ, WRITE, Poller
from sidecar.wire.records import HEADER, Kind
from sidecar.wire.sample import Sampler
from sidecar.wire.stats import Tally

if TYPE_CHECKING:
    from sidecar.wire.watch import Watch

FLUSH_SECONDS: Final = 0.004
"""Records wait this long for company: each write wakes the observer, which costs the writer more
than all else here (a third of the CPU of one call after another, compared with 1 ms)."""
FLUSH_BYTES: Final = CHUNK_BYTES  # and no longer than until so many are there
LARGE_BYTES: Final = 32 << 10  # a record of so many does not wait: no copy of it is needed
_SEND_BUFFER: Final = 1 << 20
_FRACTION: Final = struct.Struct("!d")
_now: Final = monotonic


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
        self.sampler = Sampler(draw)
        self.watches: dict[int, Watch] = {}
        self._poller = poller
        self._socket = sock
        self._fd = sock.fileno()
        self._ended = ended
        self._goaway = goaway
        self._backlog = Backlog()
        self._due = False  # whether the next flush has a time
        self._soon = False  # which has come
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
            if len(payload) < LARGE_BYTES:
                payload = bytes(payload)
            elif self._blocked:
                self._backlog.add_large(header, bytes(payload))
                return
            else:
                self._put_now(header, payload)
                return
        self._backlog.add(header, payload)
        if not self._due:
            if not self._blocked:
                self._due = True
                self._poller.call_at(_now() + FLUSH_SECONDS, self._fd, self.flush)
        elif self._backlog.size >= self._flush_bytes and not self._soon:
            self._soon = True
            self._poller.call_at(0.0, self._fd, self.flush)

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
        if self._due:
            self._poller.call_off(self._fd)
            self._due = self._soon = False

    def _want(self, events: int) -> None:
        self._poller.want(self._fd, self._wanted, events, self._ready)
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
                self.sampler.ask(fraction)
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
