"""The admission webhook: `admission` behind HTTPS.

Rule: every request is bounded in bytes and in time, and so is the time before one; SIGTERM stops
accepting and lets what has begun finish. `/healthz` and `/metrics` are on the same port.
Counterparts: `admission`, which answers; `certificate`, which is read again when it changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from sidecar.address import TCP, format_address
from sidecar.collect.api_server import ApiServer
from sidecar.kube.admission import (
    OUTCOMES,
    Answer,
    MalformedReviewError,
    decide,
    read_request,
    with_warnings,
)
from sidecar.kube.certificate import Certificate, CertificateError
from sidecar.kube.events import Events, subject_of
from sidecar.kube.namespaces import Namespaces
from sidecar.log import Log
from sidecar.tasks import Tasks
from sidecar.wire.listen import open_listeners

MAX_BODY = 8 << 20  # the API server's own bound is 3 MiB for an object, and a review may hold two
READ_SECONDS = 5.0
SILENT_SECONDS = 10.0  # a connection on which nothing was ever asked
KEEPALIVE_SECONDS = 120.0  # the API server keeps its connections
LOOK_SECONDS = 5.0
API_SECONDS = 2.0  # for each of two questions, of the five that the API server gives us
END_SECONDS = 10.0
REFUSED = ("malformed", "too_large", "slow")
QUIET = frozenset({"foreign", "unchanged"})
# A pod that starts without what it asked for, or with it and is not reached through it.
TO_EVENTS = frozenset({"warned", "error", "passed"})
TOLD = frozenset(
    {"refused", "warned", "waiting", "error", "passed"}
)  # outcomes that have a line in the log

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Webhook:
    """The HTTP application and its counters."""

    def __init__(
        self,
        defaults: Mapping[str, str],
        namespaces: Namespaces | None = None,
        events: Events | None = None,
    ) -> None:
        """Serve.

        Args:
            defaults: option values by name.
            namespaces: has defaults of their own; None: they are not asked for.
            events: told of what was asked for and not done; None: nobody is.
        """
        self._defaults = defaults
        self._namespaces, self._events = namespaces, events
        self._log = Log("webhook")
        self._registry = CollectorRegistry()
        self.reviews = Counter(
            "shadow_sidecar_webhook_reviews",
            "Admission reviews by what came of them.",
            ("outcome",),
            registry=self._registry,
        )
        for outcome in (*OUTCOMES, *REFUSED):
            self.reviews.labels(outcome)
        self.seconds = Histogram(
            "shadow_sidecar_webhook_seconds",
            "Time to answer a review, its body read.",
            registry=self._registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1),
        )
        self.reloads = Counter(
            "shadow_sidecar_webhook_certificate_reloads",
            "Certificates read again, by whether they were good.",
            ("result",),
            registry=self._registry,
        )
        for result in ("good", "bad"):
            self.reloads.labels(result)
        if events is not None:
            events.counted = self._registered(
                "events", "Events about pods that start without it, by result.", events.RESULTS
            )
        self.in_flight = Gauge(
            "shadow_sidecar_webhook_in_flight", "Reviews under way.", registry=self._registry
        )
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.silent: set[object] = set()  # young connections on which nothing was asked

    def _registered(self, name: str, text: str, results: tuple[str, ...]) -> Callable[[str], None]:
        counter = Counter(
            f"shadow_sidecar_webhook_{name}", text, ("result",), registry=self._registry
        )
        for result in results:
            counter.labels(result)
        return lambda result: counter.labels(result).inc()

    def application(self) -> web.Application:
        """The routes."""

        @web.middleware
        async def remember(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.silent.discard(request.protocol)
            return await handler(request)

        app = web.Application(client_max_size=MAX_BODY, middlewares=[remember])
        app.router.add_post("/mutate", self._mutate)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/metrics", self._metrics)
        return app

    async def idle(self) -> None:
        """Wait until no review is under way, but not for ever.

        aiohttp's own shutdown reads no further bytes: a body half received would be lost.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), END_SECONDS)

    async def _mutate(self, request: web.Request) -> web.Response:
        self._under_way += 1
        self._idle.clear()
        self.in_flight.set(self._under_way)
        try:
            return await self._review(request)
        finally:
            self._under_way -= 1
            self.in_flight.set(self._under_way)
            if not self._under_way:
                self._idle.set()

    async def _review(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(READ_SECONDS):
                body = await request.read()
        except TimeoutError:
            return self._not_read("slow", 408, f"the body took longer than {READ_SECONDS:g} s")
        except web.HTTPRequestEntityTooLarge:
            return self._not_read("too_large", 413, f"the body is larger than {MAX_BODY} bytes")
        started = time.perf_counter()
        try:
            request_read = read_request(body)
        except MalformedReviewError as error:
            return self._not_read("malformed", 400, str(error))
        found = await self._answered(request_read)
        self.seconds.observe(time.perf_counter() - started)
        self.reviews.labels(found.outcome).inc()
        if found.outcome in TOLD:
            self._log.warning("asked for and not done", outcome=found.outcome, **found.about)
        return web.json_response(found.review)

    async def _answered(self, request: Mapping[str, Any]) -> Answer:
        """Decide, by the namespace's defaults where there are any, and have it told."""
        if self._namespaces is None:
            found = decide(request, self._defaults)
        else:
            own = await self._namespaces.of(str(request.get("namespace") or ""))
            found = decide(request, {**self._defaults, **own.values}, own)
            if found.outcome not in QUIET:
                found = with_warnings(found, own.wrong)
        if self._events is not None and found.outcome in TO_EVENTS and not request.get("dryRun"):
            self._events.tell(subject_of(request), found.about.get("reason", ""), found.outcome)
        return found

    def _not_read(self, outcome: str, status: int, text: str) -> web.Response:
        self.reviews.labels(outcome).inc()
        response = web.Response(status=status, text=text + "\n")
        if outcome != "malformed":
            response.force_close()  # the rest of the body is not worth reading
        return response

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(self._registry), headers=headers)


async def serve(
    address: TCP,
    cert: Path,
    key: Path,
    defaults: Mapping[str, str],
    api: ApiServer | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        address: where.
        cert: the server's certificate chain.
        key: its private key.
        defaults: option values by name.
        api: is asked for namespaces' defaults, and told Events; None: neither.

    Raises:
        CertificateError: the first certificate is not good.
        ListenError: the address cannot be listened on.
    """
    log = Log("webhook")
    certificate = Certificate(cert, key)
    namespaces = Namespaces(api, time.monotonic) if api else None
    events = Events(api, time.monotonic, log) if api else None
    webhook = Webhook(defaults, namespaces, events)
    runner = web.AppRunner(
        webhook.application(),
        access_log=None,
        keepalive_timeout=KEEPALIVE_SECONDS,
        shutdown_timeout=END_SECONDS,
    )
    await runner.setup()
    loop = asyncio.get_running_loop()
    make = runner.server
    assert make is not None  # after setup

    def connection() -> asyncio.BaseProtocol:
        protocol = make()
        webhook.silent.add(protocol)
        loop.call_later(SILENT_SECONDS, end_if_silent, protocol)
        return protocol

    def end_if_silent(protocol: web.RequestHandler) -> None:
        if protocol in webhook.silent:
            webhook.silent.discard(protocol)
            if protocol.transport is not None:
                protocol.transport.abort()

    server = await loop.create_server(
        connection,
        sock=open_listeners(address)[0],
        ssl=certificate.context,
        ssl_handshake_timeout=READ_SECONDS,
    )
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    host, port, *_ = server.sockets[0].getsockname()
    log.info("listening", address=format_address(host, port))
    # Without it a renewed certificate is not taken, and every new pod fails when the old one ends.
    tasks = Tasks(log, ended.set)
    if events is not None:
        tasks.start("events", events.run())
    tasks.start("certificate", _watch(certificate, webhook, log), vital=True)
    try:
        await ended.wait()
        log.info("ending")
    finally:
        await tasks.close()
        server.close()
        await webhook.idle()
        await runner.cleanup()
    log.info("ended")


async def _watch(certificate: Certificate, webhook: Webhook, log: Log) -> None:
    told = ""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            if certificate.look():
                webhook.reloads.labels("good").inc()
                log.info("certificate read again")
            told = ""
        except CertificateError as error:
            if str(error) != told:  # once, not at every look
                webhook.reloads.labels("bad").inc()
                log.warning("certificate not good, the old one stays", error=str(error))
            told = str(error)
