"""The service's verdict over HTTP: what a sidecar answers, about all of them.

    /  /verdict  /gate  /report.json      as a sidecar's own, `?shadow=NAME` where there are several
    /reports.json    of all shadows, by name
    /history    the verdicts there were, newest first
    /metrics    for Prometheus: one series a shadow, however many pods
    /livez, /readyz    it runs; it has asked everybody at least once

Rule: answers come from the latest round, so asking costs the pods nothing. Counterparts:
`collector`, which makes the reports; `serve.gate`, which says what rollout controllers are told.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from sidecar.collect.collector import Collector
from sidecar.collect.metrics import registry_of
from sidecar.report.as_json import to_json
from sidecar.report.build import empty_report
from sidecar.report.page import render_html
from sidecar.report.report import Report
from sidecar.serve import gate
from sidecar.serve.http import PAGE_HEADERS, application_of

NAMED = 20


class Pages:
    """The handlers."""

    def __init__(
        self,
        collector: Collector,
        *,
        trace_url: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Serve a collector."""
        self._collector = collector
        self._trace_url = trace_url
        self._clock = clock
        self.registry = registry_of(collector)

    def application(self, served: Callable[[str], bool] = lambda _: True) -> web.Application:
        """All routes, under the names that are served."""
        application = application_of(served)
        for path, handler in (
            ("/", self.page),
            ("/verdict", self.verdict),
            ("/report.json", self.report),
            ("/reports.json", self.reports),
            ("/gate", self.measured),
            ("/history", self.history),
            ("/metrics", self.metrics),
            ("/livez", self.livez),
            ("/readyz", self.readyz),
        ):
            application.router.add_get(path, handler)
        application.router.add_post("/gate", self.hooked)
        return application

    async def page(self, request: web.Request) -> web.Response:
        """The report for people."""
        reports = self._collector.now()
        names = sorted(reports)
        if names:
            report = self._named(request.query.get("shadow", names[0]))
        else:
            report = empty_report(self._collector.missing, self._clock())
        text = render_html(
            report,
            live=True,
            trace_url=self._trace_url,
            shadows=names,
            beside=[reports[name] for name in names],
        )
        return web.Response(text=text, content_type="text/html", headers=PAGE_HEADERS)

    async def verdict(self, request: web.Request) -> web.Response:
        """The verdict, and who is missing from it."""
        plain = to_json(self._chosen(request))
        keys = ("shadow", "missing", "service")
        return web.json_response({key: plain[key] for key in keys} | plain["verdict"])

    async def report(self, request: web.Request) -> web.Response:
        """The whole report, see `report.as_json`."""
        return web.json_response(to_json(self._chosen(request)))

    async def reports(self, _: web.Request) -> web.Response:
        """The reports of all shadows, by name: what `report --service` asks for."""
        found = {name: to_json(report) for name, report in self._collector.now().items()}
        return web.json_response(found)

    async def measured(self, request: web.Request) -> web.Response:
        """For Argo Rollouts: `?wait=true`."""
        wait = request.query.get("wait", "false")
        if wait not in {"true", "false"}:
            return web.Response(status=400, text=f"wait: {wait!r}: true or false\n")
        report = self._chosen(request)
        status, body = gate.measured(report.shadow, report.verdict, wait == "true")
        return web.json_response({**body, "missing": dict(report.missing)}, status=status)

    async def hooked(self, request: web.Request) -> web.Response:
        """For Flagger: `?hook=TYPE`."""
        hook = request.query.get("hook", "confirm-promotion")
        if hook not in gate.HOOKS:
            allowed = ", ".join(gate.HOOKS)
            return web.Response(status=400, text=f"hook: {hook!r}: one of {allowed}\n")
        report = self._chosen(request)
        status, body = gate.hooked(report.shadow, report.verdict, hook)
        return web.json_response({**body, "missing": dict(report.missing)}, status=status)

    async def history(self, request: web.Request) -> web.Response:
        """Every change of a verdict; `?shadow=NAME`."""
        name = request.query.get("shadow")
        found = [asdict(c) for c in self._collector.history if name in {None, c.shadow}]
        return web.json_response(found)

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text."""
        write, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=write(self.registry), headers={"Content-Type": content_type})

    async def livez(self, _: web.Request) -> web.Response:
        """The event loop turns."""
        return web.Response(text="ok\n")

    async def readyz(self, _: web.Request) -> web.Response:
        """Everybody was asked at least once."""
        if self._collector.age is None:
            return web.Response(status=503, text="nobody was asked yet\n")
        return web.Response(text="ok\n")

    def _chosen(self, request: web.Request) -> Report:
        """The report that is asked for.

        Raises:
            HTTPServiceUnavailable: nobody has told of any shadow yet.
            HTTPBadRequest: there are several shadows, and none is named.
        """
        names = sorted(self._collector.reports)
        name = request.query.get("shadow")
        if not names:
            gone = sorted(self._collector.missing.items())[:NAMED]
            why = "; ".join(f"{a}: {w}" for a, w in gone)
            raise web.HTTPServiceUnavailable(text=f"no sidecar told of a shadow: {why}\n")
        if name is None and len(names) > 1:
            raise web.HTTPBadRequest(text=f"shadow: name one of {', '.join(names)}\n")
        return self._named(names[0] if name is None else name)

    def _named(self, name: str) -> Report:
        reports = self._collector.now()
        if name not in reports:
            known = ", ".join(sorted(reports))
            raise web.HTTPNotFound(text=f"shadow: {name[:100]!r}: {known}\n")
        return reports[name]
