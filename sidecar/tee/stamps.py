"""When the kernel received what a socket gives, on the monotonic clock.

Rule: how long bytes waited for us to read them is no part of a server's latency. The kernel stamps
what it receives with the wall clock, which people and NTP may step; a stamp that a step could have
touched is not used, and the instant of reading takes its place. Counterparts: `connection`, which
reads; the wire, which does the same for production's answers.

Source: socket(7), SO_TIMESTAMP; Linux gives for TCP the stamp of the last segment that a read took
from, also of segments that were merged (`tcp_recvmsg`, `tcp_try_coalesce`).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from time import monotonic_ns, time_ns
from typing import Final, TypeAlias

Ancillary: TypeAlias = Sequence[tuple[int, int, bytes]]

SO_TIMESTAMPNS: Final = 35  # asm-generic/socket.h; Python has no name for it
_TIMESPEC: Final = struct.Struct("@qq")
SPACE: Final = socket.CMSG_SPACE(_TIMESPEC.size)  # for `recvmsg`
LONGEST_NS: Final = 10_000_000_000  # that bytes may have waited for us; older is no stamp
STEP_NS: Final = 200_000  # of the wall clock against the monotonic one, between two reads,
SLEW: Final = 0.001  # beyond this share of the time between them: NTP slews by 0.0005


def stamp_reads(sock: socket.socket) -> None:
    """Ask for stamps. Without them, as on a Unix socket, the instant of reading is used."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    except OSError:
        return


class KernelClock:
    """Turns the kernel's stamps into monotonic time; one for all sockets of a process."""

    __slots__ = ("_at_ns", "_offset_ns", "_wall_ns", "steps")

    def __init__(self, wall_ns: Callable[[], int] = time_ns) -> None:
        self._wall_ns = wall_ns
        self._at_ns = monotonic_ns()
        self._offset_ns = wall_ns() - monotonic_ns()
        self.steps = 0  # of the wall clock that were noticed

    def received_ns(self, ancillary: Ancillary) -> int:
        """When the last byte of a read came, given what came beside it.

        Returns:
            Nanoseconds of the monotonic clock: the kernel's stamp, or now.
        """
        before = monotonic_ns()
        wall = self._wall_ns()
        now = monotonic_ns()
        stamp = _stamp_ns(ancillary)
        if now - before > STEP_NS // 2:
            return now  # we were interrupted, and cannot compare the clocks
        offset = wall - now
        moved, self._offset_ns = abs(offset - self._offset_ns), offset
        passed, self._at_ns = now - self._at_ns, now
        if moved > STEP_NS + SLEW * passed:
            self.steps += 1
            return now
        waited = wall - stamp
        return now - waited if 0 <= waited <= LONGEST_NS else now


def _stamp_ns(ancillary: Ancillary) -> int:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) == _TIMESPEC.size:
            seconds, ns = _TIMESPEC.unpack(data)
            return int(seconds) * 1_000_000_000 + int(ns)
    return 0
