"""A quantile of the mean time between an answer's messages against the reference's.

Of streamed answers with two messages or more on both sides: how fast they go on once they have
begun. It is a mean over one answer, so a call counts once however many messages it has; sides that
cut the same text into other pieces have other times between them. Counters as of `latency_ratio`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from sidecar.judge.criteria.latency_ratio import LatencyRatio
from sidecar.judge.times import What


class TimeBetweenMessages(LatencyRatio):
    """Do messages come more slowly."""

    kind: Literal["time_between_messages"] = "time_between_messages"  # type: ignore[assignment]  # narrowed as pydantic wants it
    of: ClassVar[What] = "message_gap"
    noun: ClassVar[str] = "time between messages"
