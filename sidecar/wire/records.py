"""The tap's language: what the wire tells the observer, and the little it hears back.

Rule: every record is self-delimiting, carries the wire's clock, and can be refused without
breaking the ones after it. Counterpart: `sidecar.observe.tap`, which reads them.

Both directions begin with the same 24-byte header, big-endian:

    u32 size      bytes of payload after the header
    u8  kind      see Kind
    u8  direction 0 from the client, 1 from the server (BYTES, GAP, CLOSE), else 0
    u16 flags     KERNEL_TIME, or 0
    u64 conn      the wire's number for the connection, 0 when the record is about the wire
    u64 time_ns   CLOCK_MONOTONIC, see below

BYTES from the client are stamped an instant before production's socket was handed them. BYTES from
the server are stamped when their last byte came: by the kernel, if KERNEL_TIME is among the flags
(`sidecar.wire.clock`), else when the wire read them. So what lies between the stamp of the BYTES
with a request's last byte, and of those with its answer's last, is production's own time: never
shorter than that, and longer by no more than a send and, without KERNEL_TIME, the wire's delay.
Other records carry the time when they were written.

A call is a stream that the client opens with HEADERS, and the wire counts them all. COUNTED says
how many calls of one connection were copied. It comes just before the connection's OPAQUE, BLIND or
CLOSE; BLIND is also the answer to UNREADABLE. From then on its calls are in STATS. So, to the call,
and for each session:

    calls on connections that were given to the session
        = sum of the last COUNTED of each connection + `session_blind_calls` in STATS

and an observer that found fewer calls than COUNTED says knows how many it has missed.

HELLO's JSON: `version`; `pid` and `life`, a name that no other wire has had; `session`, its number;
`ended`, the calls on connections that were given to earlier sessions, by their numbers;
`unattended_calls`, those that came since there was no session at all; `unattended`, the same of
earlier sessions, by their numbers; `resync`; `routes`.
"""

from __future__ import annotations

import struct
from enum import IntEnum

VERSION = 2
HEADER = struct.Struct("!IBBHQQ")
KERNEL_TIME = 0x1  # a flag of BYTES from the server: time_ns is the kernel's
U32 = struct.Struct("!I")
U64 = struct.Struct("!Q")
MAX_PAYLOAD = 1 << 20  # a reader may refuse a larger record: the peer is not a wire


class Kind(IntEnum):
    """What a record says. Wire to observer unless said otherwise."""

    HELLO = 1  # first record of every session; JSON, see above
    OPEN = 2  # a connection that will be observed from its first byte; JSON: peer, listen, upstream
    BYTES = 3  # the next bytes of one direction, unaltered
    GAP = 4  # u64: so many next bytes of one direction were not copied; only DATA payload
    UNSAMPLED = (
        5  # u32 streams: these new streams' DATA frames are left out whole; precedes their HEADERS
    )
    OPAQUE = 6  # not HTTP/2: nothing more follows for this connection; UTF-8 reason
    BLIND = 7  # sync is lost: nothing more follows for this connection; UTF-8 reason
    CLOSE = (
        8  # the connection ended; direction says which side ended it first; UTF-8 "eof" | "reset"
    )
    STATS = 9  # JSON: the wire's counters and gauges, about once a second and at HELLO
    COUNTED = 10  # u64: calls of this connection whose HEADERS were copied, ever
    SAMPLE = 64  # observer to wire: f64 in [0, 1], the share of new streams whose DATA is copied
    GOAWAY = (
        65  # observer to wire: conn to be resynchronised, 0 for all blind ones; only if allowed
    )
    UNREADABLE = 66  # observer to wire: conn cannot be read; the wire counts its calls from now on


def record(kind: Kind, direction: int, conn: int, time_ns: int, payload: bytes = b"") -> bytes:
    """Encode one record."""
    return HEADER.pack(len(payload), kind, direction, 0, conn, time_ns) + payload
