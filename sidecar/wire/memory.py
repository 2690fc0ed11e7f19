"""What the wire may hold: one number for the process, and what of it is left for slow readers.

Rule: everything that grows has its part, and the parts together are `memory_bytes`. What is left
when all of them are given is for bytes that were read from one side and not yet taken by the
other; without any left, bytes stay in the kernel until the other side takes them. Counterparts:
`sidecar.settings.settings.WireSettings`, which checks the same; `docs/buffers.md`, the whole table.
"""

from __future__ import annotations

from typing import Final

from sidecar.wire.later import MAX_LATER_IN_ALL

MEMORY_BYTES: Final = 256 << 20
CONNECTIONS: Final = 10_000
SESSIONS: Final = 2  # an observer, and the one that takes its place
TAP_BYTES: Final = 8 << 20

PROCESS: Final = 32 << 20  # the interpreter, its modules, one read buffer (measured 19 MiB)
CONNECTION: Final = 8 << 10  # both sockets' objects, pipes, watch, walk (measured 5 KiB)
SESSION: Final = 10 << 20  # the kernel's send buffer and streams remembered as left out
LEAST_WAITING: Final = 4 << 20


def waiting_limit(
    memory_bytes: int = MEMORY_BYTES,
    connections: int = CONNECTIONS,
    sessions: int = SESSIONS,
    tap_bytes: int = TAP_BYTES,
) -> int:
    """Bytes that may wait for slow readers.

    Raises:
        ValueError: so few that there is no point; says how many are needed in all.
    """
    fixed = PROCESS + MAX_LATER_IN_ALL + connections * CONNECTION + sessions * (tap_bytes + SESSION)
    if memory_bytes < fixed + LEAST_WAITING:
        raise ValueError(
            f"{memory_bytes} is too little for {connections} connections and {sessions} observers "
            f"of {tap_bytes} bytes: at least {fixed + LEAST_WAITING}"
        )
    return memory_bytes - fixed
