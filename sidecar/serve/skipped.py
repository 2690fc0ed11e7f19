"""The latest calls that were not compared, as rows and as messages. Pure.

Counterparts: `experiment.skipped`, which remembers; `/skipped` and `ListSkipped`, which are asked.
"""

from __future__ import annotations

from typing import Any

from sidecar.call import SkipReason
from sidecar.experiment.skipped import Skip
from sidecar.experiment.state import State
from sidecar.pb.shadow.v1 import admin_pb2 as pb

SKIPPED = 50
MOST_SKIPPED = 5_000


def skipped(now: State, reason: str, most: int, after: int) -> list[Skip]:
    """The latest, newest first.

    Args:
        now: the experiment.
        reason: of this one only; empty: all.
        most: how many.
        after: with a larger number only.

    Raises:
        ValueError: there is no such reason, or `most` is out of bounds.
    """
    if not 0 < most <= MOST_SKIPPED:
        raise ValueError(f"{most}: from 1 to {MOST_SKIPPED} calls can be asked for")
    if reason and reason not in set(SkipReason):
        raise ValueError(f"reason: {reason[:40]!r}: one of {', '.join(SkipReason)}")
    return now.skips.latest(most, [SkipReason(reason)] if reason else None, after)


def skipped_rows(now: State, reason: str, most: int, after: int) -> list[dict[str, Any]]:
    """As JSON-ready rows; the arguments are those of `skipped`."""
    return [
        {
            "number": skip.number,
            "time": (skip.time_ns + now.unix_offset_ns) / 1e9,
            "reason": skip.reason.value,
            "step": skip.step.value,
            "receiver": skip.receiver,
            "method": skip.method,
            "trace_id": skip.trace_id,
            "correlation_id": skip.correlation_id,
        }
        for skip in skipped(now, reason, most, after)
    ]


def skipped_message(now: State, reason: str, most: int, after: int) -> pb.ListSkippedResponse:
    """As a message; the arguments are those of `skipped`."""
    return pb.ListSkippedResponse(
        skipped=[
            pb.SkippedCall(
                number=skip.number,
                unix_ns=skip.time_ns + now.unix_offset_ns,
                reason=skip.reason.value,
                step=skip.step.value,
                receiver=skip.receiver,
                method=skip.method,
                trace_id=skip.trace_id,
                correlation_id=skip.correlation_id,
            )
            for skip in skipped(now, reason, most, after)
        ]
    )
