"""One pair as it waits to be written: references to what was there anyway, and nothing read.

Counterparts: `experiment.capturing`, which makes rows, and `columns`, which turns them into Arrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sidecar.call import Metadata, Observation
from sidecar.compare.result import Comparison
from sidecar.judge.pair import Value


class Row(NamedTuple):
    """A pair. Times are nanoseconds of Unix time, durations nanoseconds."""

    experiment: str
    call: str  # names the call within one sidecar's life: rows of one call share it
    started_ns: int  # the request's headers were read
    request_ns: int  # from then until the request was complete
    timeout_ns: int | None  # the caller's deadline
    method: str
    peer: str
    correlation_id: str
    trace_id: str
    shadow_trace_id: str
    shadow: str  # the receiver's name
    role: str  # "shadow" or "control"
    comparison: Comparison
    production: Observation
    answer: Observation  # the shadow's
    request: tuple[bytes, ...]  # messages, decompressed; empty unless payloads are asked for
    metadata: Metadata  # the request's, all of it: `columns` keeps what is allowed
    slices: tuple[tuple[str, str], ...]
    scores: Mapping[str, float]  # by criterion
    inputs: Mapping[str, Value]
    outputs: Mapping[str, tuple[Value | None, Value | None]]  # production's and the shadow's
    waited_ns: int | None = None  # from the complete request until the copy went out

    @property
    def size(self) -> int:
        """What it holds while it waits, in bytes; an estimate that errs upwards for small rows."""
        size = 2048
        for messages in (self.request, self.production.messages, self.answer.messages):
            size += sum(map(len, messages))
        return size
