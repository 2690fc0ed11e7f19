"""The observer process: builds the parts, attaches to the tap, and ends cleanly.

Rule: low priority in everything (CPU, memory, patience), so that production never notices it.
Counterpart: `app.py`, which holds the life of a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from sidecar.address import Unix, parse_address
from sidecar.compare.comparer import Comparer
from sidecar.compare.readers.registry import Registry
from sidecar.experiment.app import Experiment
from sidecar.experiment.assembly import assemble
from sidecar.experiment.link import WireLink
from sidecar.experiment.session import attach
from sidecar.fields import ConfigError
from sidecar.log import Log
from sidecar.run.allocator import give_back, one_arena
from sidecar.run.later import load
from sidecar.run.state import open_keeping
from sidecar.serve.bind import bind
from sidecar.serve.doorman import Doorman
from sidecar.serve.grpc import STOP_SECONDS, AdminService, serve_admin
from sidecar.serve.hosts import served_names
from sidecar.serve.polled import Polled
from sidecar.serve.token import made, places
from sidecar.serve.watchers import Watchers
from sidecar.settings.reload import Reloader
from sidecar.settings.settings import Settings
from sidecar.tasks import Tasks
from sidecar.telemetry.environment import sends_metrics
from sidecar.telemetry.pairs import PairSpans
from sidecar.wire.listen import close_listener

if TYPE_CHECKING:
    from aiohttp.web import AppRunner

    from sidecar.capture.writer import Capture
    from sidecar.serve.metrics import Metrics
    from sidecar.telemetry.push import Push

SWEEP_SECONDS = 1.0
ATTACH_SECONDS = 5.0
GIVE_BACK_SECONDS = 60.0
CALLS_NEED = ("hpack", "numpy")  # loaded with the first client; the first is needed first
EXIT_CANNOT_START = 1
EXIT_CONFIG = 2
EXIT_BROKEN = 70  # a part has died that the rest is nothing without; as sysexits.h has it


def main(
    settings: Settings,
    file: Path | None,
    again: Callable[[], Settings],
    on_ready: Callable[[str, str], None],
) -> int:
    """Run the observer until SIGTERM or SIGINT.

    Args:
        file: the configuration file to watch, if there is one.
        again: reads the settings anew.
        on_ready: told the HTTP and the admin address when the observer is up.

    Returns:
        The exit code.
    """
    log = Log("observer")
    one_arena()
    try:
        return uvloop.run(_run(settings, file, again, on_ready, log))
    except ConfigError as error:
        log.error("cannot_start", error="; ".join(error.errors))
        return EXIT_CONFIG
    except OSError as error:
        log.warning("cannot_start", error=str(error))
        return EXIT_CANNOT_START


def unix_offset_ns() -> int:
    """What to add to the machine's monotonic clock to get Unix time."""
    return time.time_ns() - time.monotonic_ns()


def page_of(address: str) -> str:
    """The URL of a page that listens at `address`; empty where others could not open it."""
    parsed = parse_address(address)
    if isinstance(parsed, Unix) or parsed.host in {"0.0.0.0", "::"}:
        return ""
    return f"http://{address}"


def spare_the_collector() -> None:
    """Let Python's garbage collector look less often.

    What exists now stays, so it need not look at that again. A call makes a hundred objects that
    are gone with it, without a cycle; looking at those in flight after every 700 new ones was a
    twentieth of a call. Cycles wait until there are 20,000: a few MiB at most.
    """
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


async def _run(
    settings: Settings,
    file: Path | None,
    again: Callable[[], Settings],
    on_ready: Callable[[str, str], None],
    log: Log,
) -> int:
    loop = asyncio.get_running_loop()
    stop = _stopped(loop)
    tasks = Tasks(log, stop.set)
    tasks.watch_everything_else(loop)

    dice = random.Random(random.SystemRandom().getrandbits(64))
    spans = PairSpans(settings.telemetry, settings.shadows, unix_offset_ns, dice, log=log)
    comparer = Comparer(settings.compare, Registry.from_settings(settings.compare))
    # Of this life alone: what a restarted process counts is added to what came before it.
    instance = f"{socket.gethostname()}-{dice.getrandbits(48):012x}"
    capture = _capture(settings, instance, log)
    offset_ns = unix_offset_ns()
    wire = WireLink(resync=settings.wire.resync == "goaway")
    watchers = Watchers(offset_ns)
    experiment = assemble(
        settings,
        comparer,
        spans,
        time.monotonic_ns,
        dice.random,
        log,
        instance=instance,
        unix_offset_ns=offset_ns,
        wire=wire,
        listeners=[watchers.tell],
        capture=capture,
        tasks=tasks,
        keeping=open_keeping(settings, socket.gethostname(), log),
    )
    await experiment.start()

    reloader = Reloader(file, again, experiment.configured, experiment.refused, log)
    loop.add_signal_handler(signal.SIGHUP, reloader.reload)

    sockets, address = bind(settings.http.listen)
    spans.page_url = spans.page_url or page_of(address)
    try:
        service = AdminService(experiment, watchers, _token(settings, log))
        admin, admin_address = await serve_admin(service, settings.admin)
    except OSError:
        for sock in sockets:
            close_listener(sock)
        raise
    doorman = push = None
    try:
        answering = asyncio.ensure_future(_answer(experiment, sockets, settings, spans, log, tasks))
        if await _is_first(answering, stop):
            doorman, push = answering.result()
            gc.collect()
            spare_the_collector()
            give_back()  # what was only needed until now
            _follow(tasks, settings, experiment, wire, log)
            tasks.start("configuration", reloader.watch())
            # Whoever waits for "ready" wants the first call seen; a late wire must not stop us.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wire.attached.wait(), ATTACH_SECONDS)
            on_ready(address, admin_address)
            log.info("observing", http=address, admin=admin_address, shadows=_names(settings))
        await stop.wait()
    finally:
        await tasks.close()
        await admin.stop(STOP_SECONDS)
        await experiment.close()
        spans.close()
        if push is not None:
            push.close()
        if doorman is not None:
            await doorman.close()
        _close(capture)
    return EXIT_BROKEN if tasks.vital_ended else 0


def _names(settings: Settings) -> list[str]:
    return [shadow.name for shadow in settings.shadows]


def _follow(
    tasks: Tasks, settings: Settings, experiment: Experiment, wire: WireLink, log: Log
) -> None:
    """Attach to the wire, and do what is due now and then."""
    session = attach(settings.wire.tap, experiment.connections, log, wire.use)
    tasks.start("tap", session, vital=True)
    tasks.start("sweep", _sweep(experiment), vital=True)
    tasks.start("rest", _rest(experiment))
    tasks.start("numbers", _numbers(wire))
    tasks.start("thrift", _thrift())


async def _is_first(answering: asyncio.Future[Any], stop: asyncio.Event) -> bool:
    """Wait until it is done; False: what came first was to stop, and it is given up."""
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({answering, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    return answering.done() or not answering.cancel()


async def _answer(
    experiment: Experiment,
    sockets: Sequence[socket.socket],
    settings: Settings,
    spans: PairSpans,
    log: Log,
    tasks: Tasks,
) -> tuple[Doorman, Push | None]:
    """Answer HTTP, and send metrics where that is asked for.

    Pages and metrics are loaded when somebody wants them: pages beside the loop, so that calls are
    read meanwhile.
    """
    push = None
    written = _Written(experiment)
    if sends_metrics(os.environ):
        push = _push(written.metrics, spans, log)
        if push is not None:
            tasks.start("metrics", push.run())
    polled = Polled(experiment, written.expose, time.monotonic_ns)

    async def pages() -> AppRunner:
        await asyncio.to_thread(importlib.import_module, "sidecar.serve.http")
        from sidecar.serve.http import Pages, runner_of

        whole = Pages(experiment, polled, time.monotonic_ns)
        return await runner_of(whole, settings.http.listen, settings.http.hosts)

    doorman = Doorman(polled, served_names(settings.http.listen, settings.http.hosts), pages)
    await doorman.open(sockets)
    return doorman, push


class _Written:
    """The metrics page, which is loaded when somebody reads it."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    @cached_property
    def metrics(self) -> Metrics:
        from sidecar.serve.metrics import Metrics

        return Metrics(self._experiment.state)

    def expose(self, accept: str) -> tuple[bytes, str]:
        """See `Metrics.expose`."""
        return self.metrics.expose(accept)


def _push(metrics: Metrics, spans: PairSpans, log: Log) -> Push | None:
    from sidecar.telemetry.push import make_push

    return make_push(os.environ, metrics.registry, spans.resource(), log)


def _close(capture: Capture | None) -> None:
    if capture is not None:
        capture.close()


def _stopped(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    """Is set by SIGTERM and SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _token(settings: Settings, log: Log) -> str | None:
    """What changing anything asks for: None where certificates do, "" where nobody may."""
    if settings.admin.tls is not None:
        return None
    try:
        secret, path = made(places(os.environ, settings.admin.token_file))
    except OSError as error:
        log.warning("admin_token", error=str(error), effect="nothing can be changed while running")
        return ""
    log.info("admin_token", file=str(path))
    return secret


def _capture(settings: Settings, instance: str, log: Log) -> Capture | None:
    """The writer of captured calls, where any are to be captured.

    Raises:
        ConfigError: the folder cannot be used, or pyarrow is not installed.
    """
    if not settings.capture.dir:
        return None
    try:
        from sidecar.capture.writer import Capture
    except ModuleNotFoundError:
        raise ConfigError(
            ["capture.dir: needs pyarrow: pip install 'shadow-sidecar[capture]'"]
        ) from None
    return Capture(settings.capture, instance, log)


async def _sweep(experiment: Experiment) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        experiment.sweep()


async def _numbers(wire: WireLink) -> None:
    """Load what evidence is added up with, beside the loop, once there is a client.

    Whoever is never asked does without: in a cluster every pod pays for it. It takes a tenth of a
    second; where a call needs it sooner, that call waits for it. Under `run` it is there already.
    """
    await wire.busy.wait()
    for name in CALLS_NEED:
        await asyncio.to_thread(load, name)


async def _thrift() -> None:
    while True:
        await asyncio.sleep(GIVE_BACK_SECONDS)
        give_back()


async def _rest(experiment: Experiment) -> None:
    while True:
        seconds = experiment.harmless.tick(time.monotonic_ns())
        await asyncio.sleep(seconds)
