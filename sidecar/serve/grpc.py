"""The gRPC Admin API, `shadow.v1.Admin`, with health and reflection.

Rule: every answer is computed when it is asked for. Loopback needs no credentials to read, and a
token to change anything; any other address takes mutual TLS, which the configuration enforces.
Counterparts: `protos/shadow/v1`, `client`, `token`.
"""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NoReturn, TypeAlias

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from sidecar.address import TCP, format_address, parse_address
from sidecar.experiment.app import Experiment
from sidecar.experiment.judged import Judged
from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.pb.shadow.v1 import admin_pb2_grpc
from sidecar.report.live import report_of
from sidecar.serve import token
from sidecar.serve.convert import label_of_message, note_message, report_message
from sidecar.serve.counts import counts_of
from sidecar.serve.malformed import RefuseMalformed
from sidecar.serve.policy import PolicyError, set_policy
from sidecar.serve.skipped import SKIPPED, skipped_message
from sidecar.serve.watchers import Watcher, Watchers
from sidecar.settings.settings import AdminSettings, AdminTLS

SERVICE = pb.DESCRIPTOR.services_by_name["Admin"].full_name
MAX_LABELS = 10_000  # of one request
MAX_WHY = 1000  # labels of which it is told why they are of no use
MAX_WANTED = 10_000
WANTED = 100
STOP_SECONDS = 0.5
_FATES = ("joined", "early", "late", "unmatched", "duplicate", "unusable")

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class AdminService(admin_pb2_grpc.AdminServicer):
    """The methods, over one experiment."""

    def __init__(
        self, experiment: Experiment, watchers: Watchers, secret: str | None = None
    ) -> None:
        """Serve an experiment.

        Args:
            experiment: the running one.
            watchers: those whom the experiment tells of every pair.
            secret: the token asked of whoever changes anything; "": nobody may; None: who calls is
                known by a certificate.
        """
        self._token = secret
        self._experiment = experiment
        self._watchers = watchers

    @property
    def _shadows(self) -> Mapping[str, Judged]:
        return self._experiment.state().judged

    async def GetReport(  # noqa: N802  (named by the protocol, like the next)
        self, request: pb.GetReportRequest, context: Context
    ) -> pb.GetReportResponse:
        """The verdict and what belongs to it."""
        judged = await self._one(request.shadow, context)
        return report_message(report_of(self._experiment.state(), judged))

    async def GetCounts(  # noqa: N802
        self, request: pb.GetCountsRequest, context: Context
    ) -> pb.GetCountsResponse:
        """Counts that add, of one shadow or of all."""
        chosen = await self._some(request.shadow, context)
        return counts_of(self._experiment.state(), chosen)

    async def WatchPairs(  # noqa: N802
        self, request: pb.WatchPairsRequest, context: Context
    ) -> AsyncIterator[pb.WatchPairsResponse]:
        """Differences as they happen."""
        await self._some(request.shadow, context)
        watcher = Watcher(request.shadow, request.agreeing)
        if not self._watchers.add(watcher):
            await _abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watchers")
        try:
            # So that a client knows that what happens from now on will be told.
            await context.send_initial_metadata(())
            while True:
                shadow, note, dropped = await watcher.next()
                yield pb.WatchPairsResponse(shadow=shadow, pair=note_message(note), dropped=dropped)
        finally:
            self._watchers.remove(watcher)

    async def RecordLabels(  # noqa: N802
        self, request: pb.RecordLabelsRequest, context: Context
    ) -> pb.RecordLabelsResponse:
        """Labels, for one shadow or for all; none is taken when one of them cannot be read."""
        await self._may_change(context)
        chosen = await self._some(request.shadow, context)
        if len(request.labels) > MAX_LABELS:
            await _abort(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                f"{len(request.labels)} labels: at most {MAX_LABELS} at a time",
            )
        labels = []
        for i, message in enumerate(request.labels):
            try:
                labels.append(label_of_message(message))
            except ValueError as error:
                await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"labels[{i}]: {error}")
        response = pb.RecordLabelsResponse()
        for judged in chosen:
            before = judged.label_fates
            found = ((label, self._experiment.label(label, judged.name)) for label in labels)
            refused = [(label.correlation_id, why) for label, why in found if why]
            after = judged.label_fates
            changed = {fate: after.get(fate, 0) - before.get(fate, 0) for fate in _FATES}
            told = [pb.UnusableLabel(correlation_id=i, why=why) for i, why in refused[:MAX_WHY]]
            response.shadows[judged.name].CopyFrom(pb.LabelCounts(**changed, why=told))
        return response

    async def WantedLabels(  # noqa: N802
        self, request: pb.WantedLabelsRequest, context: Context
    ) -> pb.WantedLabelsResponse:
        """Correlation ids, most wanted first."""
        judged = await self._one(request.shadow, context)
        if not 0 <= request.most <= MAX_WANTED:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"most: from 0 to {MAX_WANTED}")
        wanted = judged.judge.wanted(request.most or WANTED)
        return pb.WantedLabelsResponse(correlation_ids=wanted)

    async def SetPolicy(  # noqa: N802
        self, request: pb.SetPolicyRequest, context: Context
    ) -> pb.SetPolicyResponse:
        """Sample, pause, end, and each receiver's rate."""
        await self._may_change(context)
        try:
            return set_policy(self._experiment, request)
        except PolicyError as error:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))

    async def ListSkipped(  # noqa: N802
        self, request: pb.ListSkippedRequest, context: Context
    ) -> pb.ListSkippedResponse:
        """The latest calls that were not compared, and why."""
        try:
            return skipped_message(
                self._experiment.state(), request.reason, request.most or SKIPPED, request.after
            )
        except ValueError as error:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))

    async def _may_change(self, context: Context) -> None:
        if self._token is None:
            return
        sent = dict(context.invocation_metadata() or ()).get(token.HEADER, "")
        shown = sent.encode() if isinstance(sent, str) else sent
        wanted = f"{token.SCHEME}{self._token}".encode()
        if not self._token or not hmac.compare_digest(shown, wanted):
            await _abort(
                context,
                grpc.StatusCode.UNAUTHENTICATED,
                "changing anything needs the token in admin.token_file "
                f"({token.HEADER}: {token.SCHEME}TOKEN); its place is in the observer's log",
            )

    async def _some(self, shadow: str, context: Context) -> list[Judged]:
        shadows = self._shadows
        if not shadow:
            return list(shadows.values())
        if shadow not in shadows:
            names = ", ".join(shadows) or "there is none"
            await _abort(
                context, grpc.StatusCode.NOT_FOUND, f"no shadow is called {shadow!r}: {names}"
            )
        return [shadows[shadow]]

    async def _one(self, shadow: str, context: Context) -> Judged:
        chosen = await self._some(shadow, context)
        if len(chosen) != 1:
            names = ", ".join(j.name for j in chosen) or "there is none"
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"name one shadow: {names}")
        return chosen[0]


async def _abort(context: Context, code: grpc.StatusCode, detail: str) -> NoReturn:
    await context.abort(code, detail)
    raise AssertionError("abort raises")


async def serve_admin(
    service: admin_pb2_grpc.AdminServicer, settings: AdminSettings
) -> tuple[grpc.aio.Server, str]:
    """Listen; returns the server to stop and the bound address.

    Raises:
        OSError: with the address in its message when it cannot be bound, or a TLS file cannot
            be read.
    """
    # Two sidecars on one port must not share its callers.
    server = grpc.aio.server(
        options=[("grpc.so_reuseport", 0)], interceptors=[RefuseMalformed(SERVICE)]
    )
    register: Callable[[admin_pb2_grpc.AdminServicer, grpc.aio.Server], None] = vars(
        admin_pb2_grpc
    )[
        "add_AdminServicer_to_server"  # generated without types
    ]
    register(service, server)
    checks = health.aio.HealthServicer()
    for name in ("", SERVICE):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    address = parse_address(settings.listen)
    try:
        if settings.tls is None:
            port = server.add_insecure_port(settings.listen)
        else:
            port = server.add_secure_port(settings.listen, _credentials(settings.tls))
    except RuntimeError as error:
        raise OSError(f"admin.listen {settings.listen!r}: {error}") from None
    await server.start()
    if isinstance(address, TCP):
        return server, format_address(address.host, port)
    return server, settings.listen


def _credentials(tls: AdminTLS) -> grpc.ServerCredentials:
    """Mutual TLS whose files may be renewed while we serve.

    Raises:
        OSError: a file cannot be read.
    """
    loaded = _files(tls)

    def renewed() -> grpc.ServerCertificateConfiguration:
        nonlocal loaded
        with contextlib.suppress(OSError):  # in the middle of being replaced
            loaded = _files(tls)
        return _certificates(loaded)

    return grpc.dynamic_ssl_server_credentials(
        _certificates(loaded), renewed, require_client_authentication=True
    )


def _files(tls: AdminTLS) -> tuple[bytes, bytes, bytes]:
    return tls.key.read_bytes(), tls.cert.read_bytes(), tls.ca.read_bytes()


def _certificates(files: tuple[bytes, bytes, bytes]) -> grpc.ServerCertificateConfiguration:
    key, cert, ca = files
    return grpc.ssl_server_certificate_configuration([(key, cert)], root_certificates=ca)
