"""Opening listening sockets.

Rule: what cannot be listened on is said in one line, with the address. Nothing that somebody else
still listens on is taken away.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from sidecar.address import TCP, Unix, format_address
from sidecar.wire.connect import host_of
from sidecar.wire.peer import check_directory

BACKLOG: Final = 1024
ANY_V6: Final = "::"


class ListenError(Exception):
    """An address that cannot be listened on; the text says which and why."""


def open_listeners(address: TCP | Unix) -> list[socket.socket]:
    """Listen on an address; on all of them where a host name has several.

    `[::]` is every address of both families, and `0.0.0.0` where the kernel has no IPv6.

    Raises:
        ListenError: if that is not possible.
    """
    if isinstance(address, Unix):
        return [open_unix(Path(address.path), 0o666)]
    opened: list[socket.socket] = []
    host, port = address
    try:
        found = socket.getaddrinfo(
            host_of(address), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        if host == ANY_V6 and not _has_ipv6():
            found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("0.0.0.0", port))]
        for family, *_, where in dict.fromkeys(found):
            sock = socket.socket(family, socket.SOCK_STREAM)
            opened.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != ANY_V6))
            sock.bind((where[0], port, *where[2:]))
            sock.listen(BACKLOG)
            sock.setblocking(False)
            port = sock.getsockname()[1]  # where any port will do, one and the same
    except OSError as error:
        for sock in opened:
            sock.close()
        raise ListenError(f"{format_address(host, port)}: {error.strerror}") from None
    return opened


def _has_ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


def open_unix(path: Path, mode: int) -> socket.socket:
    """Listen on a Unix socket, in place of one that nobody answers on.

    A missing parent directory is made, for its owner only.

    Raises:
        ListenError: if something else is there, or it cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _clear(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(str(path))
            os.chmod(path, mode)
            sock.listen(BACKLOG)
            sock.setblocking(False)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        raise ListenError(f"unix:{path}: {error.strerror or error}") from None
    return sock


def open_private(path: Path) -> socket.socket:
    """Listen on a Unix socket that nobody but our own user can reach, or put in its place.

    Raises:
        ListenError: if the directory is not ours alone, something else is there, or it cannot be
            made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_directory(path.parent)
    except OSError as error:
        raise ListenError(f"unix:{path}: {error.strerror or error}") from None
    return open_unix(path, 0o600)


def close_listener(sock: socket.socket) -> None:
    """Close, and take a Unix socket's name away."""
    name = sock.getsockname()
    sock.close()
    if isinstance(name, str):
        with suppress(OSError):
            os.unlink(name)


def name_of(sock: socket.socket) -> str:
    """The address that a socket listens on, as people write it."""
    name = sock.getsockname()
    return f"unix:{name}" if isinstance(name, str) else format_address(name[0], name[1])


def _clear(path: Path) -> None:
    try:
        there = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(there.st_mode):
        raise FileExistsError(None, "something that is not a socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a full backlog is an answer too
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
    raise FileExistsError(None, "another process listens on it")
