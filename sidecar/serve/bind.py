"""Listening for HTTP, before anything that answers is loaded.

Rule: who is told that the observer is ready finds its port open; what connects earlier than the
pages are there waits in the backlog. Counterpart: `http`, which answers.
"""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from sidecar.address import Unix, parse_address
from sidecar.wire.listen import ListenError, name_of, open_listeners, open_unix

UNIX_MODE = 0o755  # whoever can write to it may connect: our own user, whatever the umask


def bind(listen: str) -> tuple[list[socket.socket], str]:
    """Listen; the sockets, and the address that was bound.

    Raises:
        OSError: with the address in its message when it cannot be bound.
    """
    address = parse_address(listen)
    try:
        if isinstance(address, Unix):
            return [open_unix(Path(address.path), UNIX_MODE)], listen
        sockets = open_listeners(address)
    except ListenError as error:
        raise OSError(errno.EADDRNOTAVAIL, f"http.listen {error}") from None
    return sockets, name_of(sockets[0])
