"""The wire's counters and gauges.

Rule: nothing here is paid for by a call that could be paid for when somebody asks. Counterpart:
the STATS record, whose JSON keys are the field names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.wire.state import State

if TYPE_CHECKING:  # an int of the machine's; as Python it is an int
    from mypy_extensions import i64


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of them at one moment. Names that end in `_total` only grow."""

    connections_open: int
    connections_total: int
    connections_opaque: int
    connections_blind: int
    connections_uncounted: int  # no longer looked at: too many frames, or a mistake in the walk
    opaque_total: int
    blind_total: int
    uncounted_total: int
    opaque_bytes: int  # of connections that are not HTTP/2 and open, both directions
    opaque_bytes_total: int
    calls_total: int  # streams that clients opened; copied and blind
    blind_calls_total: int  # of those, the ones that nobody was shown
    assumed_calls_total: int  # of those, as many as fit into bytes that nobody walked
    refused_total: int  # the upstream could not be reached
    rejected_total: int  # more connections than allowed
    left_total: int  # clients that left before production was reached
    lingered_total: int  # closed because only one side had ended, and nothing came any more
    waiting_bytes: int  # read from one side and not yet taken by the other
    bytes_from_client_total: int
    bytes_from_server_total: int
    tap_bytes_total: int  # put into sessions' buffers
    tap_gap_frames_total: int  # DATA frames left out, in part or whole, because the tap was full
    tap_gap_bytes_total: int
    tap_sessions: int
    tap_buffered_bytes: int
    goaways_total: int
    strangers_total: int  # other users' processes that were turned away from the tap
    errors_total: int  # mistakes of ours; each is in the log


class Counters:
    """What is counted as it happens; the rest of a snapshot is looked up."""

    __slots__ = (
        "bytes_from_client",
        "bytes_from_server",
        "connections",
        "crowded",
        "errors",
        "ever",
        "goaways",
        "left",
        "lingered",
        "now",
        "opaque_bytes",
        "opaque_bytes_open",
        "refused",
        "rejected",
        "strangers",
        "waiting",
        "waiting_limit",
    )

    def __init__(self, waiting_limit: int = 64 << 20) -> None:
        self.waiting = 0  # bytes read from one side and not yet taken by the other
        self.waiting_limit = waiting_limit
        self.crowded = False  # so many wait that nothing is read any more that is not taken at once
        self.opaque_bytes = 0
        self.opaque_bytes_open = 0
        self.left = 0
        self.lingered = 0
        self.strangers = 0
        self.errors = 0
        self.connections = 0
        self.refused = 0
        self.rejected = 0
        self.goaways = 0
        self.bytes_from_client: i64 = 0
        self.bytes_from_server: i64 = 0
        self.now = dict.fromkeys(State, 0)  # open connections in each state of observing
        self.ever = dict.fromkeys(State, 0)  # connections that ever came into it

    def wait(self, more: int) -> None:
        """So many bytes more are waiting; or fewer, if negative."""
        self.waiting += more
        self.crowded = self.waiting >= self.waiting_limit


class Tally:
    """Counters that the walks of a session's connections share."""

    __slots__ = ("assumed_calls", "blind_calls", "calls", "gap_bytes", "gap_frames", "left_out")

    def __init__(self) -> None:
        self.calls = 0  # whose HEADERS were copied
        self.blind_calls = 0  # the others
        self.assumed_calls = 0  # of those, in bytes that nobody walked: as many as fit in
        self.gap_frames = 0
        self.gap_bytes = 0
        self.left_out = 0  # streams that the walks remember now

    def add(self, other: Tally) -> None:
        """Take over what another has counted."""
        self.calls += other.calls
        self.blind_calls += other.blind_calls
        self.assumed_calls += other.assumed_calls
        self.gap_frames += other.gap_frames
        self.gap_bytes += other.gap_bytes
