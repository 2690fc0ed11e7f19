"""A running observer's counts as the message that a report pulls, over gRPC or HTTP."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.experiment.judging import Judged
from sidecar.experiment.state import State
from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.report.live import part_of
from sidecar.serve.convert import counts_message


def counts_of(state: State, chosen: Iterable[Judged]) -> pb.GetCountsResponse:
    """Counts of the chosen shadows, now."""
    return pb.GetCountsResponse(
        shadows=[counts_message(part_of(state, judged)) for judged in chosen]
    )
