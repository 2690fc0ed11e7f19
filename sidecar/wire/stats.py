"""The wire's counters and gauges.

Rule: nothing here is paid for by a call that could be paid for when somebody asks. Counterpart:
the STATS record, whose JSON keys are the field names.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.wire.frames import State


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of them at one moment. Names that end in `_total` only grow."""

    connections_open: int
    connections_total: int
    connections_opaque: int
    connections_blind: int
    opaque_total: int
    blind_total: int
    blind_calls_total: int
    refused_total: int  # the upstream could not be reached
    rejected_total: int  # more connections than allowed
    bytes_from_client_total: int
    bytes_from_server_total: int
    tap_bytes_total: int  # put into sessions' buffers
    tap_gap_frames_total: int  # DATA frames left out, in part or whole, because the tap was full
    tap_gap_bytes_total: int
    tap_sessions: int
    tap_buffered_bytes: int
    goaways_total: int


class Counters:
    """What is counted as it happens; the rest of a snapshot is looked up."""

    __slots__ = ("bytes_from", "connections", "ever", "goaways", "now", "refused", "rejected")

    def __init__(self) -> None:
        self.connections = 0
        self.refused = 0
        self.rejected = 0
        self.goaways = 0
        self.bytes_from = [0, 0]  # by direction
        self.now = dict.fromkeys(State, 0)  # open connections in each state of observing
        self.ever = dict.fromkeys(State, 0)  # connections that ever came into it
