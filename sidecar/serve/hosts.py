"""Which names a page is served under, so that no stranger's name can be made to mean us.

Rule: a browser sends the name that it was given. A page of a stranger's, whose name is made to
point here (DNS rebinding), could read all that loopback shows; its name gives it away. An address
cannot be rebound, so any is served. Where `http.listen` is open to a network, whoever is in it may
read anyway, and names there are many: all are served, unless `http.hosts` says which. Pure.
Counterpart: `http`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from sidecar.address import is_loopback, parse_address

LOOPBACK = ("localhost", "*.localhost")


def served_names(listen: str, hosts: Sequence[str]) -> Callable[[str], bool]:
    """Whether a Host field's value is one of ours.

    Args:
        listen: `http.listen`.
        hosts: `http.hosts`, globs.
    """
    closed = is_loopback(parse_address(listen))
    globs = (*LOOPBACK, *(host.lower() for host in hosts))
    if not closed and not hosts:
        globs = ("*",)

    def served(host: str) -> bool:
        name = _without_port(host.lower())
        return _is_address(name) or any(fnmatchcase(name, glob) for glob in globs)

    return served


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
