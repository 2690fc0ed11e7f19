"""Connecting to production.

Rule: nothing here blocks, and an address that is no name is not resolved. Counterpart: `listen`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from contextlib import suppress
from typing import Any, Final

from sidecar.address import TCP, Unix

RESET: Final = struct.pack("ii", 1, 0)  # linger for no time: close sends RST
_UNIX_TRIES: Final = 1000
_UNIX_RETRY_SECONDS: Final = 0.01


async def open_upstream(loop: asyncio.AbstractEventLoop, address: TCP | Unix) -> socket.socket:
    """Connect to the first of an address's hosts that answers.

    Raises:
        OSError: of the last one that was tried.
    """
    if isinstance(address, Unix):
        return await _open_socket(loop, socket.AF_UNIX, address.path)
    host, port = host_of(address), address.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError | None = None
    for family, *_, where in found:
        try:
            return await _open_socket(loop, family, where)
        except OSError as error:
            failure = error
    raise failure or OSError(f"{address.host} has no address")


def host_of(address: TCP) -> str | bytes:
    """The host as `getaddrinfo` takes it: as text, it would load tables of all scripts' letters."""
    return address.host.encode() if address.host.isascii() else address.host


async def _open_socket(loop: asyncio.AbstractEventLoop, family: int, where: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if family == socket.AF_UNIX:
            await _connect_unix(sock, where)
        else:
            await _connect_tcp(loop, sock, where)
            if sock.getsockname() == sock.getpeername():
                # Nobody listens, and the port that the kernel chose for us was the one we wanted
                # (RFC 9293, 3.5: simultaneous open, with ourselves). Reset, or it would be taken.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                raise OSError(errno.ECONNREFUSED, "connected to itself: nobody listens there")
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect_tcp(loop: asyncio.AbstractEventLoop, sock: socket.socket, where: Any) -> None:
    """Connect without the loop's own way, which asks a pool of threads to resolve any address."""
    with suppress(BlockingIOError):
        sock.connect(where)
        return
    settled = asyncio.Event()
    loop.add_writer(sock.fileno(), settled.set)
    try:
        await settled.wait()
    finally:
        loop.remove_writer(sock.fileno())
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


async def _connect_unix(sock: socket.socket, path: str) -> None:
    """Connect at once, or as soon as the listener's backlog has room: no event tells of that."""
    for _ in range(_UNIX_TRIES):
        with suppress(BlockingIOError):
            sock.connect(path)
            return
        await asyncio.sleep(_UNIX_RETRY_SECONDS)
    sock.connect(path)
