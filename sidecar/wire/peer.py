"""Who is at the other end of the tap, and who may put a socket there.

Rule: both ends are the same user's (or root's), and the directory of the socket is that user's and
closed to all others, so that nobody can show an observer calls that never were, or read those that
were. Both ends ask: the wire when it listens and accepts, the observer when it connects.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final

_CREDENTIALS: Final = struct.Struct("3i")  # unix(7), SO_PEERCRED: pid, uid, gid


def check_peer(sock: socket.socket) -> None:
    """See that the other end of a Unix socket was opened by our own user, or by root.

    Raises:
        OSError: it was not, or that cannot be told.
    """
    told = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(told)
    if uid not in (os.geteuid(), 0):
        raise PermissionError(None, f"the other end is user {uid}, this is user {os.geteuid()}")


def check_directory(path: Path) -> None:
    """See that a directory is ours, and that nobody else can look into it.

    Raises:
        OSError: it is not, or there is none.
    """
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        there = os.fstat(fd)
    finally:
        os.close(fd)
    if there.st_uid != os.geteuid():
        raise PermissionError(None, f"{path} belongs to user {there.st_uid}, not {os.geteuid()}")
    if there.st_mode & 0o077:
        mode = stat.S_IMODE(there.st_mode)
        raise PermissionError(None, f"{path} is open to others: its mode is {mode:o}, not 700")
