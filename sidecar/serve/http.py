"""The page, health, metrics, status, verdict, gate and recent pairs over HTTP.

Rule: everything here is computed when somebody asks; nothing is kept up for it on the data path.
Page, report and counts are given again for a moment: see `cache`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from aiohttp import web

from sidecar.experiment.app import Experiment
from sidecar.experiment.judged import Judged
from sidecar.report.as_json import to_json
from sidecar.report.build import empty_report
from sidecar.report.call import render_call
from sidecar.report.live import report_of
from sidecar.report.page import CONTENT_SECURITY_POLICY, render_html
from sidecar.serve import gate
from sidecar.serve.bind import bind
from sidecar.serve.cache import AnswerCache
from sidecar.serve.hosts import served_names
from sidecar.serve.polled import Polled
from sidecar.serve.skipped import SKIPPED, skipped_rows
from sidecar.serve.status import status

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

PAIRS_SHOWN = 50
PAIRS_LIMIT = 1000
TRACE_ID = 64  # characters of one that is asked for
COMPRESSION = 5

PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Vary": "Accept-Encoding",
}


class Pages:
    """The handlers, over one experiment."""

    def __init__(self, experiment: Experiment, polled: Polled, now_ns: Callable[[], int]) -> None:
        """Serve an experiment.

        Args:
            experiment: the running one.
            polled: its answers to machines.
            now_ns: the monotonic clock.
        """
        self._experiment = experiment
        self._polled = polled
        self._pages: AnswerCache[tuple[bytes, bytes]] = AnswerCache(
            now_ns
        )  # as it is, and compressed
        self._reports: AnswerCache[bytes] = AnswerCache(now_ns)

    def application(self, served: Callable[[str], bool] = lambda _: True) -> web.Application:
        """All routes, under the names that are served."""

        application = application_of(served)
        application.router.add_get("/", self.page)
        for path in self._polled.paths:
            application.router.add_get(path, self.polled)
        application.router.add_get("/pairs", self.pairs)
        application.router.add_get("/call/{trace_id}", self.call)
        application.router.add_get("/skipped", self.skipped)
        application.router.add_get("/verdict", self.verdict)
        application.router.add_get("/report.json", self.report)
        application.router.add_get("/gate", self.measured)
        application.router.add_post("/gate", self.hooked)
        return application

    async def page(self, request: web.Request) -> web.Response:
        """The report of one shadow for people; `?shadow=NAME`, else the first."""
        names = list(self._shadows)
        name = self._chosen(request).name if "shadow" in request.query else next(iter(names), "")
        plain, packed = self._pages.get(name, lambda: self._rendered(name, names))
        fits = "gzip" in request.headers.get("Accept-Encoding", "")
        return web.Response(
            body=packed if fits else plain,
            content_type="text/html",
            charset="utf-8",
            headers={**PAGE_HEADERS, **({"Content-Encoding": "gzip"} if fits else {})},
        )

    def _rendered(self, name: str, names: list[str]) -> tuple[bytes, bytes]:
        now = self._experiment.state()
        if names:
            beside = [report_of(now, judged) for judged in now.judged.values()]
            report = next(each for each in beside if each.shadow == name)
        else:
            report, beside = empty_report({}, now.unix_seconds, "no shadow is configured"), []
        text = render_html(
            report,
            live=True,
            trace_url=now.settings.telemetry.trace_url,
            status=status(now),
            shadows=names,
            beside=beside,
        )
        body = text.encode()
        return body, gzip.compress(body, COMPRESSION)

    async def polled(self, request: web.Request) -> web.Response:
        """What machines ask for, see `polled`."""
        found = self._polled.answer(request.path, request.headers.get("Accept", ""))
        if found is None:
            raise web.HTTPNotFound
        return web.Response(
            status=found.status, body=found.body, headers={"Content-Type": found.content_type}
        )

    async def pairs(self, request: web.Request) -> web.Response:
        """The latest pairs, differing ones first; `?limit=N`, `?trace_id=ID` for those of one."""
        text = request.query.get("limit", str(PAIRS_SHOWN))
        few = len(text) <= len(str(PAIRS_LIMIT))  # `int` raises for thousands of digits
        if not (few and text.isascii() and text.isdigit() and 0 < int(text) <= PAIRS_LIMIT):
            return web.Response(
                status=400, text=f"limit: {text[:20]!r}: a number from 1 to {PAIRS_LIMIT}\n"
            )
        now = self._experiment.state()
        trace_id = request.query.get("trace_id", "")
        return web.json_response(now.recent.rows(int(text), now.unix_offset_ns, trace_id))

    async def call(self, request: web.Request) -> web.Response:
        """One call for people, by production's trace or the comparison's; see `report.call`."""
        now = self._experiment.state()
        trace_id = request.match_info["trace_id"][:TRACE_ID]
        rows = now.recent.rows(PAIRS_LIMIT, now.unix_offset_ns, trace_id) if trace_id else []
        return web.Response(
            status=200 if rows else 404,
            text=render_call(rows, trace_id, now.settings.telemetry.trace_url),
            content_type="text/html",
            headers=PAGE_HEADERS,
        )

    async def skipped(self, request: web.Request) -> web.Response:
        """The latest calls that were not compared; `?reason=R`, `?limit=N`, `?after=NUMBER`."""
        query = request.query
        limit, after = query.get("limit", str(SKIPPED)), query.get("after", "0")
        try:
            if not all(len(n) <= 18 and n.isascii() and n.isdigit() for n in (limit, after)):
                raise ValueError("limit and after are whole numbers")
            found = skipped_rows(
                self._experiment.state(), query.get("reason", ""), int(limit), int(after)
            )
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        return web.json_response(found)

    async def verdict(self, request: web.Request) -> web.Response:
        """The verdict of one shadow; `?shadow=NAME` where there are several."""
        judged = self._chosen(request)
        verdict = judged.evaluate(self._experiment.state().now_ns)
        return web.json_response({"shadow": judged.name, **verdict.to_dict()})

    async def report(self, request: web.Request) -> web.Response:
        """The whole report of one shadow, see `report.build`; `?shadow=NAME`."""
        judged = self._chosen(request)
        body = self._reports.get(judged.name, lambda: self._report(judged))
        return web.Response(body=body, content_type="application/json")

    def _report(self, judged: Judged) -> bytes:
        report = report_of(self._experiment.state(), judged)
        return json.dumps(to_json(report)).encode()

    async def measured(self, request: web.Request) -> web.Response:
        """For Argo Rollouts, see `gate`; `?wait=true`, `?shadow=NAME`."""
        wait = request.query.get("wait", "false")
        if wait not in {"true", "false"}:
            return web.Response(status=400, text=f"wait: {wait!r}: true or false\n")
        judged = self._chosen(request)
        verdict = judged.evaluate(self._experiment.state().now_ns)
        status_code, body = gate.measured(judged.name, verdict, wait == "true")
        return web.json_response(body, status=status_code)

    async def hooked(self, request: web.Request) -> web.Response:
        """For Flagger, see `gate`; `?hook=TYPE`, `?shadow=NAME`."""
        hook = request.query.get("hook", "confirm-promotion")
        if hook not in gate.HOOKS:
            return web.Response(
                status=400, text=f"hook: {hook!r}: one of {', '.join(gate.HOOKS)}\n"
            )
        judged = self._chosen(request)
        verdict = judged.evaluate(self._experiment.state().now_ns)
        status_code, body = gate.hooked(judged.name, verdict, hook)
        return web.json_response(body, status=status_code)

    @property
    def _shadows(self) -> Mapping[str, Judged]:
        return self._experiment.state().judged

    def _chosen(self, request: web.Request) -> Judged:
        """The shadow that is asked about.

        Raises:
            HTTPNotFound: there is no such shadow, or none at all.
            HTTPBadRequest: there are several, and none is named.
        """
        name = request.query.get("shadow")
        names = ", ".join(self._shadows) or "there is none"
        if name is None and len(self._shadows) > 1:
            raise web.HTTPBadRequest(text=f"shadow: name one of {names}\n")
        found = [j for j in self._shadows.values() if name in {None, j.name}]
        if not found:
            raise web.HTTPNotFound(text=f"shadow: {name!r}: {names}\n")
        return found[0]


def application_of(served: Callable[[str], bool]) -> web.Application:
    """An application without routes yet, that answers under the names that are served."""

    @web.middleware
    async def named(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host")  # a browser always sends one
        if host is not None and not served(host):
            raise web.HTTPMisdirectedRequest(
                text=f"not served as {host[:80]!r}: see http.hosts in the configuration\n"
            )
        return await handler(request)

    return web.Application(client_max_size=64 << 10, middlewares=[named])


class Served(Protocol):
    """What has routes."""

    def application(self, served: Callable[[str], bool]) -> web.Application:
        """All of them, under the names that are served."""


async def serve(pages: Served, listen: str, hosts: Sequence[str] = ()) -> tuple[web.AppRunner, str]:
    """Listen; returns the runner to clean up and the bound address.

    Args:
        pages: what is served.
        listen: where.
        hosts: the names it is served under; see `served_names`.

    Raises:
        OSError: with the address in its message when it cannot be bound.
    """
    sockets, address = bind(listen)
    runner = await runner_of(pages, listen, hosts)
    for sock in sockets:
        await web.SockSite(runner, sock).start()
    return runner, address


async def runner_of(pages: Served, listen: str, hosts: Sequence[str] = ()) -> web.AppRunner:
    """Ready to serve connections, and listening nowhere; arguments as for `serve`."""
    application = pages.application(served_names(listen, hosts))
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    return runner
