"""Addresses as people write them: `host:port`, `[v6]:port`, `unix:/path`.

Standard library only: the wire reads its addresses with this too.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

MAX_UNIX_PATH = 107  # sun_path is 108 bytes on Linux, the last one NUL

# Underscores are no part of a host name, but of the names of containers; a last dot is allowed.
_NAME = re.compile(r"(?=.{1,253}\Z)(\w([\w-]{0,61}\w)?)(\.\w([\w-]{0,61}\w)?)*\.?")


class TCP(NamedTuple):
    """A host and a port; port 0 binds any free port."""

    host: str
    port: int


class Unix(NamedTuple):
    """A Unix socket's path."""

    path: str


def parse_address(text: str) -> TCP | Unix:
    """Read an address.

    Raises:
        ValueError: saying what is allowed.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not 0 < len(path.encode()) <= MAX_UNIX_PATH:
            raise ValueError(f"a Unix socket's path has 1 to {MAX_UNIX_PATH} bytes")
        return Unix(path)
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or (":" in host and not bracketed):
        raise ValueError("an address is host:port, [v6]:port or unix:/path")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError(f"the port must be a number from 0 to 65535, not {port!r}")
    host = host.strip("[]") if bracketed else host
    if not (_is_v6(host) if bracketed else _NAME.fullmatch(host)):
        raise ValueError(f"{host!r} is no {'IPv6 address' if bracketed else 'host name'}")
    return TCP(host, int(port))


def _is_v6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def is_loopback(address: TCP | Unix) -> bool:
    """Whether only this machine can reach it, as far as its text tells."""
    if isinstance(address, Unix) or address.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        return False


def format_address(host: str, port: int) -> str:
    """Write a TCP address, with brackets around IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def nth_address(address: str, number: int) -> str:
    """Where the observer of that number listens, if the first does at `address`.

    Pages and Admin API are neighbours by default, so every other port is taken.
    """
    if address.startswith("unix:"):
        return f"{address}.{number}" if number else address
    host, _, port = address.rpartition(":")
    return f"{host}:{int(port) + 2 * number if int(port) else 0}"
