"""`shadow-sidecar collect`: one verdict for a service, kept on disk, over HTTP and gRPC.

Rule: exit code 2 with what is wrong before anything is asked; SIGTERM and SIGINT end it with 0,
after what was heard is on disk. Counterpart: the package `collect`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sidecar.run.report import CA, Cert, Key, ServerName, Timeout, TraceURL, reach_by, usage

if TYPE_CHECKING:
    from sidecar.collect.cluster import Cluster
    from sidecar.serve.client import Reach
    from sidecar.settings.settings import AdminSettings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the flags ask for."""

    services: list[str]
    reach: Reach
    data: Path
    listen: str
    hosts: list[str]
    every: float
    allow_missing: bool
    other_shadows: bool
    trace_url: str
    cluster: Cluster | None
    admin: AdminSettings | None


def collect(
    service: Annotated[
        list[str],
        typer.Option(
            help="A headless service's name: every address behind it is asked, by the Admin API "
            "or with http:// over HTTP.",
            metavar="NAME[:PORT]",
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            help="The SQLite file; made where there is none.", metavar="FILE", dir_okay=False
        ),
    ] = Path("collect.sqlite"),
    listen: Annotated[
        str, typer.Option(help="Verdict, gate, page, metrics.", metavar="HOST:PORT")
    ] = "127.0.0.1:9097",
    host: Annotated[
        list[str] | None,
        typer.Option(help="A name that the page is served under; default: see http.hosts."),
    ] = None,
    every: Annotated[
        float, typer.Option(help="Between two rounds.", metavar="SECONDS", min=0.1)
    ] = 10.0,
    pods: Annotated[
        str,
        typer.Option(
            help="Also ask the API server for the pods with these labels, to name those that asked "
            "for the sidecar and do not have it. Needs the right to list pods.",
            metavar="SELECTOR",
        ),
    ] = "",
    namespace: Annotated[
        str, typer.Option(help="Of --pods; default: this pod's own.", metavar="NAME")
    ] = "",
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Let PASS stand although pods are missing.")
    ] = False,
    other_shadows: Annotated[
        bool,
        typer.Option(
            "--other-shadows",
            help="Pods may have other shadows than each other, as the two halves of a rollout do: "
            "one that has none of a name is not missing from its verdict.",
        ),
    ] = False,
    trace_url: TraceURL = "",
    timeout: Timeout = 5.0,
    ca: CA = None,
    cert: Cert = None,
    key: Key = None,
    server_name: ServerName = None,
    admin: Annotated[
        str,
        typer.Option(
            help="Also serve the gRPC Admin API about the service; beyond loopback it takes "
            "--admin-cert, --admin-key and --admin-ca.",
            metavar="HOST:PORT",
        ),
    ] = "",
    admin_cert: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
    admin_key: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
    admin_ca: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
) -> None:
    """Ask every sidecar of a service again and again, and serve their common verdict.

    Pods and the collector may come and go: what was counted stays in the file. Flagger, Argo
    Rollouts and Prometheus ask here; `report` and `gate --service` do, where it is there.
    """
    from sidecar.collect.cluster import Cluster, ClusterError
    from sidecar.collect.ledger import LedgerError
    from sidecar.fields import ConfigError
    from sidecar.serve.client import with_port
    from sidecar.telemetry.environment import environment_errors
    from sidecar.wire.listen import ListenError

    if trace_url and "{trace_id}" not in trace_url:
        usage(f"--trace-url {trace_url!r}: where a trace opens, with {{trace_id}} in it")
    if namespace and not pods:
        usage("--namespace goes with --pods")
    if wrong := environment_errors({**os.environ, "OTEL_TRACES_EXPORTER": "none"}):
        usage("; ".join(wrong))
    reach = reach_by(timeout, ca, cert, key, server_name)
    try:
        for name in service:
            with_port(name)
        wanted = Wanted(
            service,
            reach,
            data,
            listen,
            host or [],
            every,
            allow_missing,
            other_shadows,
            trace_url,
            Cluster(pods, namespace) if pods else None,
            _admin(admin, admin_cert, admin_key, admin_ca),
        )
        asyncio.run(_serve(wanted))
    except ConfigError as error:
        usage("; ".join(error.errors))
    except (LedgerError, ListenError, ClusterError, ValueError, OSError) as error:
        usage(str(error))


def _admin(
    listen: str, cert: Path | None, key: Path | None, ca: Path | None
) -> AdminSettings | None:
    from pydantic import ValidationError

    from sidecar.settings.settings import AdminSettings

    given = {"cert": cert, "key": key, "ca": ca}
    if not listen:
        if any(given.values()):
            usage("--admin-cert, --admin-key and --admin-ca go with --admin")
        return None
    tls = {name: str(file) for name, file in given.items() if file is not None}
    try:
        return AdminSettings.model_validate({"listen": listen} | ({"tls": tls} if tls else {}))
    except ValidationError as error:
        usage("; ".join(f"--admin: {one['msg']}" for one in error.errors()))


async def _serve(wanted: Wanted) -> None:
    from sidecar.collect.admin import ServiceAdmin
    from sidecar.collect.collector import Collector
    from sidecar.collect.ledger import Ledger, LedgerError
    from sidecar.collect.pages import Pages
    from sidecar.collect.poll import Poller
    from sidecar.log import Log
    from sidecar.serve.grpc import serve_admin
    from sidecar.serve.http import serve
    from sidecar.tasks import Tasks
    from sidecar.telemetry.environment import make_resource
    from sidecar.telemetry.push import make_push

    # Each round reads thousands of rows, none of them in a cycle: to look for cycles at the usual
    # pace took a third of its time.
    gc.set_threshold(50_000, 20, 100)
    log = Log("collect")
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with AsyncExitStack() as stack:
        ledger = Ledger(wanted.data)
        stack.callback(ledger.close)
        poller = Poller(wanted.services, wanted.reach, wanted.cluster)
        stack.push_async_callback(poller.close)
        collector = Collector(
            wanted.services,
            poller,
            ledger,
            log,
            every_seconds=wanted.every,
            allow_missing=wanted.allow_missing,
            other_shadows=wanted.other_shadows,
        )
        pages = Pages(collector, trace_url=wanted.trace_url)
        runner, http = await serve(pages, wanted.listen, wanted.hosts)
        stack.push_async_callback(runner.cleanup)
        told = {"http": http}
        if wanted.admin is not None:
            server, told["admin"] = await serve_admin(ServiceAdmin(collector), wanted.admin)
            stack.push_async_callback(server.stop, 0.5)
        log.info("collecting", services=", ".join(wanted.services), data=str(wanted.data), **told)
        tasks = Tasks(log, ended.set)  # a defect of ours: let it be seen, and be started again
        stack.push_async_callback(tasks.close)
        tasks.start("rounds", collector.run(), vital=True)
        push = make_push(os.environ, pages.registry, make_resource(os.environ, {}), log)
        if push is not None:
            stack.callback(push.close)
            tasks.start("metrics", push.run())
        await ended.wait()
        await tasks.close()
        try:
            await asyncio.to_thread(collector.flush)
        except LedgerError as error:
            log.warning("not kept on disk", error=str(error))
    log.info("ended")
    if tasks.vital_ended:
        raise SystemExit(1)
