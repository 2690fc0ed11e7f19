"""Health, metrics, status and recent pairs over HTTP.

Rule: everything here is computed when somebody asks; nothing is kept up for it on the data path.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from aiohttp import web

from sidecar.address import TCP, Unix, format_address, parse_address
from sidecar.admin.status import status
from sidecar.app import Observer

PAIRS_SHOWN = 50
PAIRS_LIMIT = 1000


class Pages:
    """The handlers, over one observer."""

    def __init__(
        self,
        observer: Observer,
        metrics: Callable[[], tuple[bytes, str]],
        unix_offset_ns: Callable[[], int],
    ) -> None:
        self._observer = observer
        self._metrics = metrics
        self._unix_offset_ns = unix_offset_ns

    def application(self) -> web.Application:
        """All routes."""
        application = web.Application(client_max_size=64 << 10)
        application.router.add_get("/livez", self.livez)
        application.router.add_get("/readyz", self.readyz)
        application.router.add_get("/metrics", self.metrics)
        application.router.add_get("/status", self.status)
        application.router.add_get("/pairs", self.pairs)
        return application

    async def livez(self, _: web.Request) -> web.Response:
        """The event loop turns."""
        return web.Response(text="ok\n")

    async def readyz(self, _: web.Request) -> web.Response:
        """Attached to a wire, so that calls can be seen."""
        if self._observer.wire_hello is None:
            return web.Response(status=503, text="not attached to a wire yet\n")
        return web.Response(text="ok\n")

    async def metrics(self, _: web.Request) -> web.Response:
        """Prometheus text."""
        body, content_type = self._metrics()
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def status(self, _: web.Request) -> web.Response:
        """The ledger, the connections and the shadows."""
        return web.json_response(status(self._observer))

    async def pairs(self, request: web.Request) -> web.Response:
        """The latest pairs, differing ones first; `?limit=N`."""
        text = request.query.get("limit", str(PAIRS_SHOWN))
        if not (text.isascii() and text.isdigit() and 0 < int(text) <= PAIRS_LIMIT):
            return web.Response(
                status=400, text=f"limit: {text!r}: a number from 1 to {PAIRS_LIMIT}\n"
            )
        return web.json_response(self._observer.recent.rows(int(text), self._unix_offset_ns()))


async def serve(pages: Pages, listen: str) -> tuple[web.AppRunner, str]:
    """Listen; returns the runner to clean up and the bound address.

    Raises:
        OSError: with the address in its message when it cannot be bound.
    """
    runner = web.AppRunner(pages.application(), access_log=None, handle_signals=False)
    await runner.setup()
    address = parse_address(listen)
    site: web.BaseSite
    match address:
        case TCP(host, port):
            site = web.TCPSite(runner, host, port)
        case Unix(path):
            site = web.UnixSite(runner, path)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        number = error.errno or errno.EADDRNOTAVAIL
        raise OSError(number, f"http.listen {listen!r}: {error.strerror}") from error
    if isinstance(address, Unix):
        return runner, listen
    return runner, format_address(*runner.addresses[0][:2])
