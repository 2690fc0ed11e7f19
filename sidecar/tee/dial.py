"""A connected socket to a shadow, with hands shaken where it speaks TLS.

Rule: what goes wrong is an OSError (a failed handshake is one); every address of a name is tried.
Counterparts: `channel`, which bounds the time; `connection`, which uses the socket.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final

from sidecar.address import TCP, Unix
from sidecar.tee.sealed import Sealed

_READ: Final = 64 << 10
KEEPALIVE: Final = (
    (socket.TCP_KEEPIDLE, 30),
    (socket.TCP_KEEPINTVL, 10),
    (socket.TCP_KEEPCNT, 3),
    (socket.TCP_USER_TIMEOUT, 15_000),  # a peer that vanished with our bytes on the way is noticed
    (socket.TCP_NODELAY, 1),
)


async def dial(
    address: TCP | Unix, tls: ssl.SSLContext | None, name: str
) -> tuple[socket.socket, Sealed | None]:
    """Connect.

    Args:
        address: of the server.
        tls: None speaks in the clear.
        name: that the server's certificate must have.

    Raises:
        OSError: it cannot be reached, or its certificate is not good.
        UnicodeError: its name cannot be one.
    """
    sock = await _connected(address)
    try:
        return sock, None if tls is None else await _shaken(sock, tls, name)
    except BaseException:
        sock.close()
        raise


async def _connected(address: TCP | Unix) -> socket.socket:
    if isinstance(address, Unix):
        return await _connect(socket.AF_UNIX, address.path)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    trouble: OSError | None = None
    for family, _, _, _, where in found:
        try:
            sock = await _connect(family, where)
        except OSError as error:
            trouble = error
            continue
        for option, value in KEEPALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock
    raise trouble or OSError(f"{address.host} has no address")


async def _connect(family: int, where: object) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, where)  # type: ignore[arg-type]  # both
    except BaseException:
        sock.close()
        raise
    return sock


async def _shaken(sock: socket.socket, tls: ssl.SSLContext, name: str) -> Sealed:
    loop = asyncio.get_running_loop()
    sealed, heard = Sealed(tls, name), b""
    while True:
        try:
            done = sealed.shake(heard)
        finally:
            if said := sealed.outgoing():  # also the alert that says why not
                await loop.sock_sendall(sock, said)
        if done:
            return sealed
        heard = await loop.sock_recv(sock, _READ)
        if not heard:
            raise ConnectionResetError("the shadow hung up while hands were shaken")
