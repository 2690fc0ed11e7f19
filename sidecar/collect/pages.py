"""The service's verdict over HTTP: what a sidecar answers, about all of them.

    /  /verdict  /gate  /report.json      as a sidecar's own, `?shadow=NAME` where there are several
    /history    the verdicts there were, newest first
    /metrics    for Prometheus: one series a shadow, however many pods
    /livez, /readyz    it runs; it has asked everybody at least once

Rule: answers come from the latest round, so asking costs the pods nothing. Counterparts:
`collector`, which makes the reports; `serve.gate`, which says what rollout controllers are told.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from aiohttp import web
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import CollectorRegistry

from sidecar.address import format_address, parse_address
from sidecar.collect.collector import Collector
from sidecar.judge.report import State
from sidecar.report.build import empty_report
from sidecar.report.page import render_html
from sidecar.serve import gate
from sidecar.serve.http import PAGE_HEADERS
from sidecar.wire.listen import open_listeners

STALE_ROUNDS = 3  # an answer older than so many intervals is no PASS
_NAME = "shadow_sidecar_service_"


class Pages:
    """The handlers."""

    def __init__(
        self,
        collector: Collector,
        *,
        every_seconds: float,
        trace_url: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._collector = collector
        self._most_age = STALE_ROUNDS * every_seconds + 30
        self._trace_url = trace_url
        self._clock = clock
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def application(self) -> web.Application:
        """All routes."""
        application = web.Application(client_max_size=64 << 10)
        for path, handler in (
            ("/", self.page),
            ("/verdict", self.verdict),
            ("/report.json", self.report),
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
        names = sorted(self._collector.reports)
        if names:
            wanted = request.query.get("shadow", names[0])
            report = self._fresh(self._named(wanted))
        else:
            report = empty_report(self._missing(), self._clock())
        text = render_html(report, live=True, trace_url=self._trace_url, shadows=names)
        return web.Response(text=text, content_type="text/html", headers=PAGE_HEADERS)

    async def verdict(self, request: web.Request) -> web.Response:
        """The verdict, and who is missing from it."""
        report = self._chosen(request)
        return web.json_response(
            {
                "shadow": report["shadow"],
                **report["verdict"],
                "missing": report["missing"],
                "service": report["service"],
            }
        )

    async def report(self, request: web.Request) -> web.Response:
        """The whole report, see `report.build` and `service`."""
        return web.json_response(self._chosen(request))

    async def measured(self, request: web.Request) -> web.Response:
        """For Argo Rollouts: `?wait=true`."""
        wait = request.query.get("wait", "false")
        if wait not in {"true", "false"}:
            return web.Response(status=400, text=f"wait: {wait!r}: true or false\n")
        body = self._body(request)
        decided = body["verdict"] in {State.PASS, State.FAIL} or body["ended"]
        status = gate.UNAVAILABLE if wait == "true" and not decided else gate.OK
        return web.json_response(body, status=status)

    async def hooked(self, request: web.Request) -> web.Response:
        """For Flagger: `?hook=TYPE`."""
        hook = request.query.get("hook", "confirm-promotion")
        if hook not in gate.HOOKS:
            allowed = ", ".join(gate.HOOKS)
            return web.Response(status=400, text=f"hook: {hook!r}: one of {allowed}\n")
        body = self._body(request)
        status = gate.OK if State(body["verdict"]) in gate.HOOKS[hook] else gate.CONFLICT
        return web.json_response(body, status=status)

    async def history(self, request: web.Request) -> web.Response:
        """Every change of a verdict; `?shadow=NAME`."""
        name = request.query.get("shadow")
        found = [c._asdict() for c in self._collector.history if name in {None, c.shadow}]
        return web.json_response(found)

    async def metrics(self, _: web.Request) -> web.Response:
        """Prometheus text."""
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def livez(self, _: web.Request) -> web.Response:
        """The event loop turns."""
        return web.Response(text="ok\n")

    async def readyz(self, _: web.Request) -> web.Response:
        """Everybody was asked at least once."""
        if self._collector.service.last is None:
            return web.Response(status=503, text="nobody was asked yet\n")
        return web.Response(text="ok\n")

    def collect(self) -> list[Metric]:
        """The metrics, now. Called by the registry."""
        collector = self._collector
        verdict = GaugeMetricFamily(
            f"{_NAME}verdict",
            "1 for the state that the service's verdict is in.",
            labels=("shadow", "state"),
        )
        calls = GaugeMetricFamily(
            f"{_NAME}calls", "Calls that the verdict is about.", labels=("shadow",)
        )
        coverage = GaugeMetricFamily(
            f"{_NAME}coverage", "Compared of eligible calls.", labels=("shadow",)
        )
        pods = GaugeMetricFamily(
            f"{_NAME}sidecars",
            "Sidecars that answer, that are missing from the sum, that saw no call, and that "
            "are gone and still count.",
            labels=("shadow", "how"),
        )
        for name in collector.reports:
            report = self._fresh(self._named(name))
            said, about = report["verdict"], report["service"]
            for state in State:
                verdict.add_metric((name, state.value), float(said["state"] == state))
            calls.add_metric((name,), said["calls"])
            if said["coverage"] is not None:
                coverage.add_metric((name,), said["coverage"])
            for how, count in (
                ("answering", about["answering"]),
                ("missing", len(report["missing"])),
                ("silent", len(about["silent"])),
                ("gone", about["gone"]),
            ):
                pods.add_metric((name, how), count)
        rounds = CounterMetricFamily(
            f"{_NAME}rounds", "Rounds of questions, by whether all answered.", labels=("result",)
        )
        for result, count in collector.rounds.items():
            rounds.add_metric((result,), count)
        unwritten = GaugeMetricFamily(
            f"{_NAME}unwritten", "1 while the disk does not take what was heard."
        )
        unwritten.add_metric((), float(bool(collector.unwritten)))
        found: list[Metric] = [verdict, calls, coverage, pods, rounds, unwritten]
        if (last := collector.service.last) is not None:
            for what, text, value in (
                ("staleness_seconds", "Since the last round.", self._clock() - last.unix),
                ("round_seconds", "That the last round took.", last.took_seconds),
            ):
                gauge = GaugeMetricFamily(_NAME + what, text)
                gauge.add_metric((), max(0.0, value))
                found.append(gauge)
        return found

    def _body(self, request: web.Request) -> dict[str, Any]:
        report = self._chosen(request)
        said = report["verdict"]
        return {
            "shadow": report["shadow"],
            "verdict": str(said["state"]),
            "reason": said["reason"],
            "successful": said["state"] == State.PASS,
            "failed": said["state"] == State.FAIL,
            "inconclusive": said["state"] == State.INCONCLUSIVE,
            "ended": said["ended"],
            "calls": said["calls"],
            "coverage": said["coverage"],
            "missing": report["missing"],
        }

    def _chosen(self, request: web.Request) -> dict[str, Any]:
        """The report that is asked for.

        Raises:
            HTTPServiceUnavailable: nobody has told of any shadow yet.
            HTTPBadRequest: there are several shadows, and none is named.
        """
        names = sorted(self._collector.reports)
        name = request.query.get("shadow")
        if not names:
            why = "; ".join(f"{a}: {w}" for a, w in sorted(self._missing().items())[:20])
            raise web.HTTPServiceUnavailable(text=f"no sidecar told of a shadow: {why}\n")
        if name is None and len(names) > 1:
            raise web.HTTPBadRequest(text=f"shadow: name one of {', '.join(names)}\n")
        return self._fresh(self._named(names[0] if name is None else name))

    def _named(self, name: str) -> dict[str, Any]:
        found = self._collector.reports.get(name)
        if found is None:
            known = ", ".join(sorted(self._collector.reports))
            raise web.HTTPNotFound(text=f"shadow: {name[:100]!r}: {known}\n")
        return found

    def _fresh(self, report: dict[str, Any]) -> dict[str, Any]:
        """The report with its age; what is too old to stand for now is no PASS."""
        last = self._collector.service.last
        age = None if last is None else max(0.0, self._clock() - last.unix)
        report = {**report, "service": {**report["service"], "staleness_seconds": age}}
        if age is not None and age > self._most_age and report["verdict"]["state"] == State.PASS:
            reason = f"nobody was asked for {age:.0f} s"
            changed = {"state": State.INCONCLUSIVE, "reason": reason}
            report["verdict"] = {**report["verdict"], **changed}
        return report

    def _missing(self) -> dict[str, str]:
        last = self._collector.service.last
        return dict(last.missing) if last else {}


async def serve(pages: Pages, listen: str) -> tuple[web.AppRunner, str]:
    """Listen; returns the runner to clean up and the bound address.

    Raises:
        ListenError: the address cannot be listened on.
        ValueError: it is none.
    """
    sockets = open_listeners(parse_address(listen))
    runner = web.AppRunner(pages.application(), access_log=None, handle_signals=False)
    await runner.setup()
    for sock in sockets:
        await web.SockSite(runner, sock).start()
    host, port, *_ = sockets[0].getsockname()
    return runner, format_address(host, port)
