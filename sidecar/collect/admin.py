"""The Admin API about a whole service: its report, and the counts that it is made of.

Rule: what only one pod can answer or change is not here: UNIMPLEMENTED, as gRPC says it.
Counterparts: `collector`; `serve.grpc`, a pod's own, which listens and shuts the door likewise.
"""

from __future__ import annotations

from grpc import StatusCode

from sidecar.collect.collector import Collector
from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.pb.shadow.v1 import admin_pb2_grpc
from sidecar.serve.convert import counts_message, report_message
from sidecar.serve.grpc import Context


class ServiceAdmin(admin_pb2_grpc.AdminServicer):
    """The methods, over one collector."""

    def __init__(self, collector: Collector) -> None:
        """Serve a collector."""
        self._collector = collector

    async def GetReport(  # noqa: N802  (named by the protocol, like the next)
        self, request: pb.GetReportRequest, context: Context
    ) -> pb.GetReportResponse:
        """The service's verdict and what belongs to it."""
        reports = self._collector.now()
        names = ", ".join(sorted(reports)) or "there is none"
        if not request.shadow and len(reports) != 1:
            code = StatusCode.INVALID_ARGUMENT if reports else StatusCode.UNAVAILABLE
            await context.abort(code, f"name one shadow: {names}")
        name = request.shadow or next(iter(reports))
        if name not in reports:
            await context.abort(StatusCode.NOT_FOUND, f"no shadow is called {name!r}: {names}")
        return report_message(reports[name])

    async def GetCounts(  # noqa: N802
        self, request: pb.GetCountsRequest, context: Context
    ) -> pb.GetCountsResponse:
        """The newest counts of every observer's life that is known, those of pods gone included."""
        service = self._collector.service
        names = [request.shadow] if request.shadow else service.lives.shadows
        return pb.GetCountsResponse(
            shadows=[counts_message(part) for name in names for part in service.lives.parts(name)]
        )
