"""When an answer came: the kernel knows, and says so with the bytes.

Rule: a stamp is never earlier than what it stamps, and never later than the reading. The kernel's
is of the last segment that a read took bytes of, as its network device or loopback handed it over
(socket(7), SO_TIMESTAMPNS); so that a wire that has no core for a while makes no answer look slow.
It is told by the wall clock, and is turned into the monotonic one at the reading; where a step of
the wall clock lies between the two it is of no use, and the time of the reading stands for it.
Counterpart: `sidecar.wire.records`, whose BYTES carry it.
"""

from __future__ import annotations

import socket
import struct
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, Final

from sidecar.wire.records import KERNEL_TIME

if TYPE_CHECKING:  # an int of the machine's; as Python it is an int
    from mypy_extensions import i64

_SO_TIMESTAMPNS: Final = 35  # asm-generic/socket.h; the socket module has no name for it
_TIMESPEC: Final = struct.Struct("@2l")
_unpack: Final = _TIMESPEC.unpack
_wall_ns: Final = time_ns
_now_ns: Final = monotonic_ns
STAMP_BYTES: Final = socket.CMSG_SPACE(_TIMESPEC.size)


def ask_for_stamps(sock: socket.socket) -> bool:
    """Have the kernel stamp what comes on a TCP socket; whether it will."""
    if sock.family == socket.AF_UNIX:
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def came(said: list[tuple[int, int, bytes]], last: int, now: int) -> tuple[int, int]:
    """When what was just read came, by the monotonic clock, and the flags of its record.

    Args:
        said: what the kernel said with the bytes: nothing, or a `struct timespec`.
        last: no earlier than this: when what was read before came.
        now: the time of the reading; it may be a while ago.
    """
    if said:
        seconds: i64
        nanoseconds: i64
        seconds, nanoseconds = _unpack(said[0][2])
        wall: i64 = _wall_ns()  # first: what comes between the two can only make the stamp later
        here: i64 = _now_ns()
        stamp: i64 = here - wall + seconds * 1_000_000_000 + nanoseconds
        if last <= stamp <= now:
            return stamp, KERNEL_TIME
    return now, 0
