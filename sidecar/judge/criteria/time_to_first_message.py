"""A quantile of the time to an answer's first message against the reference's.

Of streamed answers: how long a caller waits before anything comes. Counters as of `latency_ratio`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from sidecar.judge.criteria.latency_ratio import LatencyRatio
from sidecar.judge.times import What


class TimeToFirstMessage(LatencyRatio):
    """Does the first message come later."""

    kind: Literal["time_to_first_message"] = "time_to_first_message"  # type: ignore[assignment]  # narrowed as pydantic wants it
    of: ClassVar[What] = "first_message"
    noun: ClassVar[str] = "time to the first message"
