"""A running observer's counts as the message that a report pulls, over gRPC or HTTP."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.experiment.judged import Judged
from sidecar.experiment.state import State
from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.report.live import parts_of
from sidecar.serve.convert import counts_message


def counts_of(state: State, chosen: Iterable[Judged]) -> pb.GetCountsResponse:
    """Counts of the chosen shadows, now: one for each pair of versions that was seen."""
    return pb.GetCountsResponse(
        shadows=[counts_message(part) for judged in chosen for part in parts_of(state, judged)]
    )
