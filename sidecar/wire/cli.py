"""The command line of production's path: `python -m sidecar.wire`.

Rule: the standard library, nothing else; every error at once, and exit code 2.
Counterpart: `sidecar.settings.settings.WireSettings`, whose defaults are the same.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import math
import os
import resource
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from sidecar.address import MAX_UNIX_PATH, Unix, parse_address
from sidecar.log import format_line, is_text
from sidecar.wire.memory import CONNECTIONS, MEMORY_BYTES, SESSIONS, TAP_BYTES, waiting_limit
from sidecar.wire.options import Options, Route
from sidecar.wire.poll import Poller, run
from sidecar.wire.server import Wire


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        fail([message])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the wire until SIGTERM or SIGINT; returns the exit code."""
    options, ready_fd = read_arguments(sys.argv[1:] if argv is None else argv)
    # SIGHUP asks observers to reload, SIGUSR1 is for `--leave`, and SIGTTOU comes of logging to a
    # terminal that is not ours: none is a reason to end or to stop what production flows through.
    for number in (signal.SIGHUP, signal.SIGTTOU, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    _allow_files()
    return run(lambda poller: _run(options, poller, ready_fd))


def read_arguments(argv: Sequence[str]) -> tuple[Options, int | None]:
    """Read the flags.

    Raises:
        SystemExit: with code 2, after every error has been printed.
    """
    given = _parser().parse_args(argv)
    errors: list[str] = []
    routes = [route for text in given.route for route in _route(text, errors)]
    listens = [route.listen for route in routes]
    for listen in sorted({text.partition("=")[0] for text in given.route}):
        try:
            address = parse_address(listen)
        except ValueError:
            continue
        if listens.count(address) > 1 and (isinstance(address, Unix) or address.port):
            errors.append(f"--route: {listen!r} is listened on twice")
    if not given.route:
        errors.append("--route: required, as LISTEN=UPSTREAM")
    if given.tap is not None and not 0 < len(os.fsencode(given.tap)) <= MAX_UNIX_PATH:
        errors.append(f"--tap: a Unix socket's path has 1 to {MAX_UNIX_PATH} bytes")
    memory_bytes = _whole("--memory-bytes", given.memory_bytes, 1, errors)
    options = Options(
        routes=tuple(routes),
        tap=Path(given.tap) if given.tap else None,
        tap_bytes=_whole("--tap-bytes", given.tap_bytes, 1, errors),
        connection_bytes=_whole("--connection-bytes", given.connection_bytes, 4096, errors),
        connections=_whole("--connections", given.connections, 1, errors),
        sessions=_whole("--sessions", given.sessions, 1, errors),
        memory_bytes=memory_bytes,
        linger_seconds=_seconds("--linger-seconds", given.linger_seconds, errors),
        drain_seconds=_seconds("--drain-seconds", given.drain_seconds, errors),
        resync=given.resync == "goaway",
        leave=Path(given.leave) if given.leave else None,
    )
    if not errors:
        try:
            waiting_limit(memory_bytes, options.connections, options.sessions, options.tap_bytes)
        except ValueError as error:
            errors.append(f"--memory-bytes: {error}")
    if given.resync not in ("off", "goaway"):
        errors.append(f"--resync: off or goaway, not {given.resync!r}")
    ready_fd = None
    if given.ready_fd is not None:
        ready_fd = _whole("--ready-fd", given.ready_fd, 0, errors)
    if errors:
        fail(errors)
    return options, ready_fd


def fail(errors: list[str]) -> NoReturn:
    """Print every error on a line of its own, and exit with 2."""
    _print(errors)
    sys.exit(2)


def log(event: str, **fields: object) -> None:
    """Write one line on stderr, in the dialect of `sidecar.log`; nothing here may wait."""
    with suppress(OSError, ValueError):
        line = format_line("wire", "info", event, fields, text=is_text(sys.stderr))
        poll = select.poll()
        poll.register(2, select.POLLOUT)
        if poll.poll(0):
            os.write(2, line[:4000].encode() + b"\n")


def _print(errors: list[str]) -> None:
    for error in errors:
        print(error, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m sidecar.wire",
        description="Forwards production's bytes, and shows a copy of them to observers.",
        allow_abbrev=False,
        formatter_class=_help,
    )
    add = parser.add_argument
    add(
        "--route",
        metavar="LISTEN=UPSTREAM",
        action="append",
        default=[],
        help="of silence after production's end, until the client is let go",
    )
    add("--tap", metavar="PATH", help="Unix socket for observers; without it there is no tap")
    add(
        "--tap-bytes",
        metavar="N",
        default=str(TAP_BYTES),
        help="of copies waiting, each observer",
    )
    add(
        "--connection-bytes",
        metavar="N",
        default="262144",
        help="forwarded and not yet taken, each direction",
    )
    add("--connections", metavar="N", default=str(CONNECTIONS), help="more than these are reset")
    add(
        "--sessions",
        metavar="N",
        default=str(SESSIONS),
        help="observers at once",
    )
    add("--memory-bytes", metavar="N", default=str(MEMORY_BYTES), help="bound on all that it holds")
    add(
        "--linger-seconds",
        metavar="S",
        default="30",
        help="of silence, from one side's end until the other's is taken for granted",
    )
    add("--drain-seconds", metavar="S", default="30", help="from SIGTERM to the end")
    add(
        "--resync", metavar="off|goaway", default="off", help="whether observers may ask for GOAWAY"
    )
    add(
        "--leave",
        metavar="PATH",
        help="write our pid there; from SIGUSR1 on clients are asked to go elsewhere (GOAWAY)",
    )
    add("--ready-fd", metavar="N", help="gets one line of JSON with the bound addresses")
    return parser


def _help(prog: str) -> argparse.HelpFormatter:
    """Of this width: to ask the terminal, argparse would load what it takes to unpack archives."""
    return argparse.HelpFormatter(prog, width=100)


def _route(text: str, errors: list[str]) -> list[Route]:
    listen, equals, upstream = text.partition("=")
    if not equals:
        errors.append(f"--route: {text!r} is not LISTEN=UPSTREAM")
        return []
    sides = []
    for side in (listen, upstream):
        try:
            sides.append(parse_address(side))
        except ValueError as error:
            errors.append(f"--route: {side!r}: {error}")
    if len(sides) < 2:
        return []
    if sides[0] == sides[1]:
        errors.append(f"--route: {listen!r} forwards to itself")
    return [Route(*sides)]


def _whole(flag: str, text: str, least: int, errors: list[str]) -> int:
    if text.isascii() and text.isdigit() and int(text) >= least:
        return int(text)
    errors.append(f"{flag}: a whole number, at least {least}, not {text!r}")
    return least


def _seconds(flag: str, text: str, errors: list[str]) -> float:
    with suppress(ValueError):
        seconds = float(text)
        if math.isfinite(seconds) and seconds > 0:
            return seconds
    errors.append(f"{flag}: seconds, more than 0, not {text!r}")
    return 1.0


def _allow_files() -> None:
    """A connection takes two file descriptors: allow as many as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _run(options: Options, poller: Poller, ready_fd: int | None) -> int:
    loop = asyncio.get_running_loop()
    stopping, ending = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        (ending if stopping.is_set() else stopping).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    wire = Wire(options, poller, log)
    errors = wire.start()
    if errors:
        _print(errors)
        return 2
    if options.leave is not None:
        loop.add_signal_handler(signal.SIGUSR1, wire.leave)
        try:
            options.leave.write_text(f"{os.getpid()}\n", encoding="ascii")
        except OSError as error:  # production goes on; its end is only less graceful
            log("cannot be asked to leave", path=str(options.leave), error=str(error))
    gc.freeze()  # what exists now stays; the collector need not look at it again
    log("listening", listen=wire.listening, tap=str(options.tap) if options.tap else None)
    if ready_fd is not None:
        line = json.dumps({"listen": wire.listening, "pid": os.getpid()})
        with suppress(OSError):
            os.write(ready_fd, line.encode() + b"\n")
            os.close(ready_fd)
    await stopping.wait()
    log("draining", connections=wire.snapshot().connections_open)
    await wire.drain(ending)
    log("ended", connections=wire.snapshot().connections_open)
    wire.close()
    return 0
